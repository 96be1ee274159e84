//! The parts of a rule's answers that every question shares: its SOA and its Extended DNS Errors, encoded once.
//!
//! Knows: a rule's TTL and error.  Does not know: the question, the verdict, which records an action gives.

use crate::verdict::Rule;
use crate::wire::encode::encode_opt;
use crate::wire::numbers::EDE_FORGED_ANSWER;
use crate::wire::records::{soa_record, Owner, Soa};

/// Nobody's server: `invalid` never exists (RFC 6761 §6.4), so nobody is sent an update or a mail.
const SOA_MNAME: &[u8] = b"\x06policy\x07invalid\0";
const SOA_RNAME: &[u8] = b"\x06nobody\x07invalid\0";
/// Nobody transfers this zone; the numbers are merely plausible.
const SOA_SERIAL: u32 = 1;
const SOA_REFRESH_S: u32 = 3600;
const SOA_RETRY_S: u32 = 600;
const SOA_EXPIRE_S: u32 = 86400;

/// The parts of a rule's answers that every question shares, at the rule's own TTL.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// A SOA but for its owner, then an OPT without DO that tells the rule's error.
    pub denial: Box<[u8]>,
    /// How much of `denial` is the SOA.
    pub soa_octets: usize,
    /// The OPT of answers that give addresses.
    pub address_opt: Box<[u8]>,
}

impl Template {
    pub fn new(rule: &Rule) -> Template {
        let mut denial = Vec::new();
        soa_after_owner(rule.ttl_s, &mut denial);
        let soa_octets = denial.len();
        let errors = errors_of(rule);
        encode_opt(false, 0, &errors[..1], &[], &mut denial);
        let mut address_opt = Vec::new();
        encode_opt(false, 0, &errors, &[], &mut address_opt);
        Template { denial: denial.into(), soa_octets, address_opt: address_opt.into() }
    }

    pub fn soa(&self) -> &[u8] {
        self.denial.get(..self.soa_octets).unwrap_or(&[])
    }

    pub fn opt(&self) -> &[u8] {
        self.denial.get(self.soa_octets..).unwrap_or(&[])
    }
}

/// The Extended DNS Errors of a rule: the first one alone for denials.
///
/// RFC 8914 §4.5: Forged Answer is for answers that are still provided, not for denials.
pub(super) fn errors_of(rule: &Rule) -> [(u16, &str); 2] {
    [(rule.ede, &rule.ede_text), (EDE_FORGED_ANSWER, "")]
}

/// A SOA record but for its owner; MINIMUM is the TTL, which so becomes the negative TTL (RFC 2308 §5).
fn soa_after_owner(ttl_s: u32, out: &mut Vec<u8>) {
    let soa = Soa {
        mname: SOA_MNAME,
        rname: SOA_RNAME,
        serial: SOA_SERIAL,
        refresh_s: SOA_REFRESH_S,
        retry_s: SOA_RETRY_S,
        expire_s: SOA_EXPIRE_S,
        minimum_s: ttl_s,
    };
    soa_record(Owner::Name(b""), &soa, ttl_s, out);
}
