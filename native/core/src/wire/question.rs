//! What is asked, in one value: how the cache and the questions in flight are spoken to.
//!
//! Knows: the four facts that decide which answer serves.  Does not know: who asks, nor in which spelling.

/// A name and a type of the Internet class, and the two bits that ask for another answer.
///
/// There is no class in it: the gates refuse every class but IN before a question is looked up or asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Question<'q> {
    /// Wire form, ASCII lower case, with the root's zero octet.
    pub qname: &'q [u8],
    /// The type asked.
    pub qtype: u16,
    /// The DO bit: DNSSEC records are asked for as well (RFC 3225).
    pub dnssec_ok: bool,
    /// The CD bit: answers that fail validation are asked for as well (RFC 4035 §3.2.2).
    pub checking_disabled: bool,
}

impl<'q> Question<'q> {
    /// With neither of the two bits.
    #[must_use]
    pub fn plain(qname: &'q [u8], qtype: u16) -> Self {
        Question { qname, qtype, dnssec_ok: false, checking_disabled: false }
    }
}
