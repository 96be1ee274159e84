//! Octets from a client -> the facts of one query, or why it is none.
//!
//! Knows: the header, one question, the OPT record.  Does not know: policy, cache, sockets.
//! Strict: whatever this walker passes, every later step may trust.

use super::names::{lower_in_place, NameBuf, NAME_OCTETS_MAX};
use super::numbers::{FLAG_CD, FLAG_RD, RCODE_FORMERR, RCODE_NOTIMP, TYPE_OPT};
use super::question::Question;
use super::walk::{read_fixed, read_name, u16_at, Names, WireError, HEADER_OCTETS, RECORD_OCTETS_MIN};

/// Largest UDP response to a client without EDNS, and the floor with it, in octets (RFC 6891 §6.2.3).
pub const UDP_PAYLOAD_OCTETS_WITHOUT_OPT: u16 = 512;

/// EDNS options that a query may carry; more get FORMERR.
///
/// A server ignores options that it does not know (RFC 6891 §6.1.2), so this is well above what anybody sends.
pub const OPTIONS_MAX: usize = 64;

/// Additional records that a query may carry; more get FORMERR.  Only OPT, TSIG and SIG(0) have a meaning there.
pub const ADDITIONAL_MAX: usize = 16;

/// Type of an additional record that holds one EDNS option for a query without EDNS: that of an audit, of the same
/// number (for private use, RFC 6895 §3.1).  Any other content of it is stepped over.
pub const AUDIT_RECORD: u16 = 65331;

/// One well-formed query: the client's octets and the facts read from them.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// The whole message, as sent.
    pub octets: &'a [u8],
    /// The header's 16-bit flags word, as sent.
    pub flags: u16,
    /// Wire form, ASCII lower case, with the root's zero octet.
    pub qname: NameBuf,
    /// Type asked for.
    pub qtype: u16,
    /// Class asked for.
    pub qclass: u16,
    /// Offset of the first octet after the question, so `octets[12..question_end]` is it, case kept.
    pub question_end: usize,
    /// Whether there is an OPT: the client speaks EDNS.
    pub has_opt: bool,
    /// Version of EDNS; 0 without OPT.
    pub edns_version: u8,
    /// Largest UDP response the client takes, in octets: 512 without OPT, never under 512 with it.
    pub payload_octets: u16,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// EDNS options as sent, checked to end where the OPT ends; empty for a version other than 0.  Without OPT at
    /// most one, from an `AUDIT_RECORD`.
    pub options: &'a [u8],
}

impl<'a> Query<'a> {
    /// The CD bit.
    #[inline]
    pub fn checking_disabled(&self) -> bool {
        self.flags & FLAG_CD != 0
    }

    /// The RD bit.
    #[inline]
    pub fn recursion_desired(&self) -> bool {
        self.flags & FLAG_RD != 0
    }

    /// How far addresses in its answer turn: the lower octet of its ID.
    #[inline]
    pub fn turn(&self) -> u8 {
        self.octets.get(1).copied().unwrap_or(0)
    }

    /// What it asks; the class must be IN.
    #[inline]
    pub fn question(&self) -> Question<'_> {
        let (qtype, dnssec_ok) = (self.qtype, self.dnssec_ok);
        Question { qname: &self.qname, qtype, dnssec_ok, checking_disabled: self.checking_disabled() }
    }

    /// The question as sent: name, type and class.
    #[inline]
    pub fn question_octets(&self) -> &'a [u8] {
        self.octets.get(HEADER_OCTETS..self.question_end).unwrap_or_default()
    }

    /// EDNS options in order, as (code, octets).
    #[inline]
    pub fn options_iter(&self) -> Options<'a> {
        Options { left: self.options }
    }
}

/// Iterator over EDNS options; ends at the first that overruns.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    left: &'a [u8],
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let code = u16_at(self.left, 0).ok()?;
        let end = 4 + usize::from(u16_at(self.left, 2).ok()?);
        let value = self.left.get(4..end)?;
        self.left = &self.left[end..];
        Some((code, value))
    }
}

/// Octets that are no query we answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub reason: MalformedReason,
    /// What to answer; `None`: send nothing.
    pub rcode: Option<u8>,
}

/// Why octets are no query; a closed set, fit for a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MalformedReason {
    /// Under a header's 12 octets.
    Short,
    /// QR is set.
    Response,
    /// An opcode other than QUERY.
    Opcode,
    /// Not one question, over `ADDITIONAL_MAX` records, or counts that the octets cannot hold.
    Counts,
    /// A question that cannot be read.
    Name,
    /// An additional record that cannot be read.
    Record,
    /// A broken OPT, two, or one with over `OPTIONS_MAX` options.
    Opt,
    /// Octets after the last record.
    Trailing,
}

impl MalformedReason {
    /// Every reason.
    pub const ALL: [MalformedReason; 8] = [
        MalformedReason::Short,
        MalformedReason::Response,
        MalformedReason::Opcode,
        MalformedReason::Counts,
        MalformedReason::Name,
        MalformedReason::Record,
        MalformedReason::Opt,
        MalformedReason::Trailing,
    ];

    /// The short word for it.
    pub fn label(self) -> &'static str {
        match self {
            MalformedReason::Short => "short",
            MalformedReason::Response => "response",
            MalformedReason::Opcode => "opcode",
            MalformedReason::Counts => "counts",
            MalformedReason::Name => "name",
            MalformedReason::Record => "record",
            MalformedReason::Opt => "opt",
            MalformedReason::Trailing => "trailing",
        }
    }
}

impl From<MalformedReason> for Malformed {
    fn from(reason: MalformedReason) -> Self {
        let rcode = match reason {
            // Why nothing: two servers that answer responses would play ping-pong for ever.
            MalformedReason::Short | MalformedReason::Response => None,
            MalformedReason::Opcode => Some(RCODE_NOTIMP as u8),
            _ => Some(RCODE_FORMERR as u8),
        };
        Malformed { reason, rcode }
    }
}

/// QDCOUNT 1, no answer, no authority, and the upper half of an ARCOUNT under 256.
const ONE_QUESTION: [u8; 7] = [0, 1, 0, 0, 0, 0, 0];
/// Root owner, type, class, TTL and RDLENGTH of an OPT without options.
const OPT_OCTETS: usize = 11;
/// The octets of QTYPE and QCLASS.
const TYPE_AND_CLASS_OCTETS: usize = 4;

/// Read one query, or say why it is none.
///
/// Judges form only: whether type, class and EDNS version are served is for later gates.  At most 128 labels
/// and one step per additional record.
#[inline]
pub fn parse_query(octets: &[u8]) -> Result<Query<'_>, Malformed> {
    let length = octets.len();
    if length < HEADER_OCTETS {
        return Err(MalformedReason::Short.into());
    }
    let high = octets[2];
    if high & 0xF8 != 0 {
        // Why first: a response must never be answered.
        let is_response = high & 0x80 != 0;
        return Err(if is_response { MalformedReason::Response } else { MalformedReason::Opcode }.into());
    }
    let mut additional = usize::from(octets[11]);
    if octets[4..11] != ONE_QUESTION || additional > 1 {
        if !counts_fit(octets) {
            return Err(MalformedReason::Counts.into());
        }
        additional = 2;
    }
    let Some(name_end) = question_name_end(octets) else {
        return Err(MalformedReason::Name.into());
    };
    let mut qname = NameBuf::new();
    if qname.try_extend_from_slice(&octets[HEADER_OCTETS..name_end]).is_err() {
        return Err(MalformedReason::Name.into());
    }
    lower_in_place(&mut qname);
    let question_end = name_end + TYPE_AND_CLASS_OCTETS;
    let query = Query {
        octets,
        flags: u16::from_be_bytes([high, octets[3]]),
        qname,
        qtype: u16::from_be_bytes([octets[name_end], octets[name_end + 1]]),
        qclass: u16::from_be_bytes([octets[name_end + 2], octets[name_end + 3]]),
        question_end,
        has_opt: false,
        edns_version: 0,
        payload_octets: UDP_PAYLOAD_OCTETS_WITHOUT_OPT,
        dnssec_ok: false,
        options: &[],
    };
    if additional == 0 {
        return if question_end == length { Ok(query) } else { Err(MalformedReason::Trailing.into()) };
    }
    let rest = &octets[question_end..];
    if additional == 1 && rest.len() >= OPT_OCTETS && rest[..3] == [0, 0, TYPE_OPT as u8] {
        return parse_opt(query, rest);
    }
    parse_additional(query)
}

/// Whether there is one question, no answer or authority, few other records, and octets enough for them.
///
/// RFC 9619: a query has exactly one question.  A record takes at least 11 octets.
fn counts_fit(octets: &[u8]) -> bool {
    let additional = usize::from(u16::from_be_bytes([octets[10], octets[11]]));
    octets[4..10] == ONE_QUESTION[..6]
        && additional <= ADDITIONAL_MAX
        && additional * RECORD_OCTETS_MIN + 17 <= octets.len()
}

/// Where the question's name ends; `None` where it, its type or its class cannot be read.
#[inline]
fn question_name_end(octets: &[u8]) -> Option<usize> {
    let mut at = HEADER_OCTETS;
    loop {
        let label = usize::from(*octets.get(at)?);
        at += 1;
        if label == 0 {
            break;
        }
        // A pointer in the first name of a message has nothing before it to point to, so any octet over 63
        // is an error here (RFC 1035 §4.1.4).
        if label > 63 {
            return None;
        }
        at += label;
    }
    (at <= HEADER_OCTETS + NAME_OCTETS_MAX && at + TYPE_AND_CLASS_OCTETS <= octets.len()).then_some(at)
}

/// Whether EDNS options, at most `OPTIONS_MAX`, fill `octets` exactly.
fn are_options(octets: &[u8]) -> bool {
    let mut options = Options { left: octets };
    for _ in options.by_ref().take(OPTIONS_MAX) {}
    options.left.is_empty()
}

/// A query whose one additional record is an OPT with the root as owner; `rest` is all after the question.
#[inline]
fn parse_opt<'a>(mut query: Query<'a>, rest: &'a [u8]) -> Result<Query<'a>, Malformed> {
    let end = OPT_OCTETS + usize::from(u16::from_be_bytes([rest[9], rest[10]]));
    if end != rest.len() {
        let reason = if end < rest.len() { MalformedReason::Trailing } else { MalformedReason::Opt };
        return Err(reason.into());
    }
    query.has_opt = true;
    query.edns_version = rest[6];
    if end > OPT_OCTETS && rest[6] == 0 {
        let options = &rest[OPT_OCTETS..];
        if !are_options(options) {
            return Err(MalformedReason::Opt.into());
        }
        query.options = options;
    }
    query.payload_octets = u16::from_be_bytes([rest[3], rest[4]]).max(UDP_PAYLOAD_OCTETS_WITHOUT_OPT);
    query.dnssec_ok = rest[7] & 0x80 != 0;
    Ok(query)
}

/// The rare shapes: no OPT first, or more than one additional record (TSIG, SIG(0)).
///
/// Records other than OPT are stepped over: we hold no keys, so we answer unsigned.
#[cold]
fn parse_additional(mut query: Query<'_>) -> Result<Query<'_>, Malformed> {
    let octets = query.octets;
    let count = u16::from_be_bytes([octets[10], octets[11]]);
    let mut names = Names::new();
    let mut at = query.question_end;
    for _ in 0..count {
        at = read_additional(&mut query, at, &mut names)?;
    }
    if at == octets.len() {
        Ok(query)
    } else {
        Err(MalformedReason::Trailing.into())
    }
}

/// The one option that an `AUDIT_RECORD` holds, if that is what it holds.
fn audit_option(rdata: &[u8]) -> &[u8] {
    let mut options = Options { left: rdata };
    let is_one = options.next().is_some_and(|(code, _)| code == AUDIT_RECORD) && options.left.is_empty();
    if is_one {
        rdata
    } else {
        &[]
    }
}

/// Read one additional record into `query` and return the offset after it.
fn read_additional(query: &mut Query<'_>, at: usize, names: &mut Names) -> Result<usize, Malformed> {
    let octets = query.octets;
    let record = |_: WireError| Malformed::from(MalformedReason::Record);
    let (owner, at) = read_name(octets, at, names).map_err(record)?;
    let fixed = read_fixed(octets, at).map_err(record)?;
    let start = at + 10;
    let end = start + fixed.rdlength;
    let Some(rdata) = octets.get(start..end) else {
        let is_opt = fixed.rtype == TYPE_OPT;
        return Err(if is_opt { MalformedReason::Opt } else { MalformedReason::Record }.into());
    };
    if fixed.rtype == TYPE_OPT {
        if query.has_opt || names.cased(owner) != [0] {
            return Err(MalformedReason::Opt.into());
        }
        query.has_opt = true;
        query.edns_version = (fixed.ttl_s >> 16) as u8;
        query.payload_octets = fixed.rclass.max(UDP_PAYLOAD_OCTETS_WITHOUT_OPT);
        query.dnssec_ok = fixed.ttl_s & 0x8000 != 0;
        query.options = &[];
        if query.edns_version == 0 {
            if !are_options(rdata) {
                return Err(MalformedReason::Opt.into());
            }
            query.options = rdata;
        }
    } else if fixed.rtype == AUDIT_RECORD && !query.has_opt {
        query.options = audit_option(rdata);
    }
    Ok(end)
}
