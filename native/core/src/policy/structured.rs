//! Structured DNS errors: what a client that understands them is told of a blocked name, as JSON.
//!
//! Knows: the members of the text, which rule may say which, what gives way first.  Does not know: how a rule's
//! members came to be, how a message is laid out.
//! Source: draft-ietf-dnsop-structured-dns-error (text of June 2026), which updates RFC 8914.  Members come here
//! as JSON, escaped once where the policy and the settings were read: here they are only put together.

use crate::verdict::Rule;
use crate::wire::encode::{EDE_OCTETS, OPT_OCTETS};
use crate::wire::numbers::EDE_BLOCKED;
use crate::wire::query::Query;

/// The settings' part: how clients ask for it, and what holds for every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StructuredErrors {
    /// EDNS option code of SDE.
    pub option_code: u16,
    /// `s` of Blocked answers: 5, the network's policy, or 6, the policy of the DNS service.
    pub sub_error: u8,
    /// The member `o`, as JSON; empty: it is not told.
    pub organization: String,
    /// The member `l`, as JSON, which goes with `j` and `o`.
    pub language: String,
}

impl StructuredErrors {
    /// Whether the client sent SDE.  One that is longer than 0 octets counts as one of 0.
    #[inline]
    pub fn is_asked_by(&self, query: &Query<'_>) -> bool {
        !query.options.is_empty() && query.options_iter().any(|(code, _)| code == self.option_code)
    }

    /// The value of a rule's Extended DNS Error option where the OPT has `room` octets; None: it does not fit.
    ///
    /// `j` and `o` give way first, then the rest of the text, then the error.  "Forged Answer" is never told
    /// beside it.
    pub(super) fn option_value(&self, rule: &Rule, room: usize) -> Option<Vec<u8>> {
        let room = room.checked_sub(OPT_OCTETS + EDE_OCTETS)?;
        let text = self.texts(rule).into_iter().find(|text| text.len() <= room).unwrap_or_default();
        Some([&rule.ede.to_be_bytes(), text.as_bytes()].concat())
    }

    /// The whole text, and the one without `j` and `o`; empty where nothing may be told of the rule.
    fn texts(&self, rule: &Rule) -> [String; 2] {
        if rule.contacts_json.is_empty() && rule.reason_json.is_empty() {
            return Default::default(); // Its orders are confidential.
        }
        // Sub-errors 5 and 6 go with Blocked alone; Censored has none at all.
        let sub_error =
            if rule.ede == EDE_BLOCKED { format!("\"s\":{}", self.sub_error) } else { String::new() };
        let is_worded = !rule.reason_json.is_empty() || !self.organization.is_empty();
        let language = if is_worded { &*self.language } else { "" };
        let (contacts, reason) = (&*rule.contacts_json, &*rule.reason_json);
        [
            object(&[contacts, reason, &sub_error, &self.organization, language]),
            object(&[contacts, &sub_error]),
        ]
    }
}

/// A JSON object of the members that are there; nothing where none is.
fn object(members: &[&str]) -> String {
    let there: Vec<&str> = members.iter().copied().filter(|member| !member.is_empty()).collect();
    if there.is_empty() {
        return String::new();
    }
    format!("{{{}}}", there.join(","))
}
