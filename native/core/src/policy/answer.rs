//! Encodes a blocked answer: what a client gets for a name that a rule denies.
//!
//! Knows: verdicts, the records and errors that each action means.  Does not know: which rule wins.

use super::structured::StructuredErrors;
use super::table::PolicyTable;
use super::template::{errors_of, Template};
use crate::verdict::{LocalData, PolicyAction, Rule, Verdict};
use crate::wire::encode::{encode_response, AskedOptions, Reply};
use crate::wire::names::NAME_OCTETS_MAX;
use crate::wire::numbers::{
    FLAG_CD, FLAG_QR, FLAG_RA, FLAG_RD, OPTION_EXTENDED_ERROR, RCODE_NOERROR, RCODE_NXDOMAIN, RCODE_REFUSED,
    TYPE_A, TYPE_AAAA, TYPE_CNAME,
};
use crate::wire::query::Query;
use crate::wire::records::{record, Owner, QNAME_POINTER};

/// Type and class stand before the TTL of a record, behind its owner.
const TTL_OFFSET: usize = 4;
/// The octet of an OPT whose highest bit is DO: behind owner, type, class, extended rcode and version
/// (RFC 6891 §6.1.3).
const OPT_FLAGS_OFFSET: usize = 7;
/// What stands before the domain in the target of a CNAME that leads below it.
const STAR: &[u8] = b"\x01*";

/// What became of a blocked question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyAnswer {
    /// The whole message is in the buffer; `rcode` is that of its header.
    Written {
        /// Response code.
        rcode: u8,
    },
    /// Send nothing.
    Drop,
    /// The answer leads to another name, whose addresses are to be looked for: somebody else's work.
    Redirect,
}

/// What an answer must fit, and in which form it is told.
#[derive(Clone)]
pub struct AnswerForm<'a> {
    /// Octets the message may have.
    pub limit: usize,
    /// The chain that leads from the question to a denied later name: its records, with their TTLs as they now
    /// are, and their count.
    pub kept: Option<(&'a [u8], u16)>,
    /// The client asked for its errors in this form.
    pub structured: Option<&'a StructuredErrors>,
    /// The options it asked for.
    pub asked: AskedOptions<'a>,
}

impl AnswerForm<'_> {
    /// An answer without a chain, whose errors are plain.
    pub fn plain(limit: usize) -> AnswerForm<'static> {
        AnswerForm { limit, kept: None, structured: None, asked: AskedOptions::default() }
    }
}

/// One blocked question and what is said of it.
struct Denial<'a> {
    query: &'a Query<'a>,
    rule: &'a Rule,
    template: &'a Template,
    /// The name that is denied.
    denied: &'a [u8],
    /// It is the question's own, so owners can be pointers into the question.
    is_qname: bool,
    /// TTL of every record, seconds: the rule's, or the whole seconds until the verdict may change.
    ttl_s: u32,
    /// Octets the message may have.
    limit: usize,
    /// The chain that leads from the question to a denied later name, and its count of records.
    kept: (&'a [u8], u16),
    /// The client asked for its errors in this form.
    structured: Option<&'a StructuredErrors>,
    /// The options it asked for.
    asked: AskedOptions<'a>,
}

/// Write the whole message that says `verdict` blocks the name it denies; `out` is emptied first.
///
/// `now` is in monotonic seconds.
pub fn policy_answer(
    table: &PolicyTable,
    query: &Query<'_>,
    verdict: &Verdict,
    form: AnswerForm<'_>,
    now: f64,
    out: &mut Vec<u8>,
) -> PolicyAnswer {
    out.clear();
    let Some(matched) = verdict.matched else {
        return PolicyAnswer::Redirect; // No blocked verdict is without a match.
    };
    let (Some(rule), Some(template)) = (table.get_rule(matched.rule), table.template(matched.rule)) else {
        return PolicyAnswer::Redirect; // Another table's verdict.
    };
    let remaining_s = verdict.valid_until - now;
    let denial = Denial {
        query,
        rule,
        template,
        denied: verdict.denied.as_deref().unwrap_or(&query.qname),
        is_qname: verdict.denied.as_deref().map_or(true, |denied| *denied == *query.qname),
        // Past the boundary only until the tables are swapped: then answer, but let nobody keep it.
        ttl_s: if remaining_s < f64::from(rule.ttl_s) { remaining_s as u32 } else { rule.ttl_s },
        limit: form.limit,
        kept: form.kept.unwrap_or((&[], 0)),
        structured: form.structured,
        asked: form.asked,
    };
    match verdict.action {
        PolicyAction::Drop => PolicyAnswer::Drop,
        PolicyAction::Refused => denial.refuse(out),
        PolicyAction::TcpOnly => {
            // Not blocked, so no error is told: the client is to come back over a stream.
            let (options, pads) = (&denial.asked.values[..], denial.asked.pads);
            let reply = Reply { limit: form.limit, truncated: true, options, pads, ..Reply::default() };
            encode_response(query, &reply, out);
            PolicyAnswer::Written { rcode: RCODE_NOERROR as u8 }
        }
        PolicyAction::Sinkhole => denial.give(out).unwrap_or_else(|| denial.deny(verdict, out)),
        PolicyAction::LocalData => match &rule.local_data {
            Some(local_data) if !local_data.redirect.is_empty() => {
                denial.lead(local_data, out).unwrap_or_else(|| denial.deny(verdict, out))
            }
            _ => denial.give(out).unwrap_or_else(|| denial.deny(verdict, out)),
        },
        _ => denial.deny(verdict, out),
    }
}

impl Denial<'_> {
    fn refuse(&self, out: &mut Vec<u8>) -> PolicyAnswer {
        self.begin(RCODE_REFUSED, 0, 0, out);
        self.put_opt(self.template.opt(), out);
        self.shorten(RCODE_REFUSED, 0, 0, 1, self.query.question_end, out)
    }

    /// No such name, or no such record, with the SOA that says for how long.
    fn deny(&self, verdict: &Verdict, out: &mut Vec<u8>) -> PolicyAnswer {
        // RFC 6604 §2.1: with a chain, the rcode speaks of the last name.
        let is_nxdomain = verdict.nxdomain_ok && verdict.action == PolicyAction::Nxdomain;
        let rcode = if is_nxdomain { RCODE_NXDOMAIN } else { RCODE_NOERROR };
        let (chain, ancount) = self.kept;
        self.begin(rcode, ancount, 1, out);
        out.extend_from_slice(chain);
        self.put_owner(verdict.matched.map_or(0, |matched| matched.owner_offset), out);
        let body_end = out.len() + self.template.soa_octets;
        if self.ttl_s == self.rule.ttl_s && self.query.has_opt {
            self.put_opt_behind(&self.template.denial, self.template.soa_octets, out);
        } else {
            let soa = out.len();
            out.extend_from_slice(self.template.soa());
            let ttl = self.ttl_s.to_be_bytes();
            for place in [soa + TTL_OFFSET, body_end - ttl.len()] {
                if let Some(octets) = out.get_mut(place..place + ttl.len()) {
                    octets.copy_from_slice(&ttl);
                }
            }
            self.put_opt(self.template.opt(), out);
        }
        self.shorten(rcode, ancount, 1, 1, body_end, out)
    }

    /// The rule's own addresses; None: it has none of the asked type.
    fn give(&self, out: &mut Vec<u8>) -> Option<PolicyAnswer> {
        let rule = self.rule;
        match (self.query.qtype, &rule.local_data) {
            (TYPE_A, Some(data)) if rule.action == PolicyAction::LocalData => {
                self.put(TYPE_A, &data.ipv4, out)
            }
            (TYPE_AAAA, Some(data)) if rule.action == PolicyAction::LocalData => {
                self.put(TYPE_AAAA, &data.ipv6, out)
            }
            (TYPE_A, _) => self.put(TYPE_A, &[rule.sinkhole_ipv4], out),
            (TYPE_AAAA, _) => self.put(TYPE_AAAA, &[rule.sinkhole_ipv6], out),
            _ => None,
        }
    }

    /// The CNAME of a rule that leads elsewhere; None: the name it makes is too long.
    fn lead(&self, local_data: &LocalData, out: &mut Vec<u8>) -> Option<PolicyAnswer> {
        let target = target_of(local_data, self.denied)?;
        if matches!(self.query.qtype, TYPE_A | TYPE_AAAA) {
            return Some(PolicyAnswer::Redirect);
        }
        self.put(TYPE_CNAME, &[target], out)
    }

    /// An answer of records of the denied name; None: there are none.
    fn put<R: AsRef<[u8]>>(&self, rtype: u16, rdatas: &[R], out: &mut Vec<u8>) -> Option<PolicyAnswer> {
        if rdatas.is_empty() {
            return None;
        }
        let (chain, kept_count) = self.kept;
        let ancount = kept_count.saturating_add(u16::try_from(rdatas.len()).unwrap_or(u16::MAX));
        self.begin(RCODE_NOERROR, ancount, 0, out);
        out.extend_from_slice(chain);
        for rdata in rdatas {
            self.put_owner(0, out);
            record(Owner::Name(b""), rtype, self.ttl_s, rdata.as_ref(), out);
        }
        let body_end = out.len();
        self.put_opt(&self.template.address_opt, out);
        Some(self.shorten(RCODE_NOERROR, ancount, 0, 2, body_end, out))
    }

    /// Header and question: RA, and of the query's flags RD and CD (RFC 1035 §4.1.1, RFC 4035 §3.2.2).
    fn begin(&self, rcode: u16, ancount: u16, nscount: u16, out: &mut Vec<u8>) {
        let query = self.query;
        out.extend_from_slice(query.octets.get(..query.question_end).unwrap_or(&[]));
        let flags = FLAG_QR | FLAG_RA | query.flags & (FLAG_RD | FLAG_CD) | rcode;
        let [high, low] = flags.to_be_bytes();
        let [answers_high, answers_low] = ancount.to_be_bytes();
        let [nscount_high, nscount_low] = nscount.to_be_bytes();
        if let Some(header) = out.get_mut(2..12) {
            header.copy_from_slice(&[
                high,
                low,
                0,
                1,
                answers_high,
                answers_low,
                nscount_high,
                nscount_low,
                0,
                u8::from(query.has_opt),
            ]);
        }
    }

    /// An owner at or above the denied name: a pointer where the question has it.
    fn put_owner(&self, offset: u8, out: &mut Vec<u8>) {
        let owner = self.denied.get(usize::from(offset)..).unwrap_or(self.denied);
        if self.is_qname && owner.len() > 1 {
            out.extend_from_slice(&(QNAME_POINTER + u16::from(offset)).to_be_bytes());
        } else {
            out.extend_from_slice(owner);
        }
    }

    /// The OPT, if the client sent one (RFC 6891 §6.1.1).
    fn put_opt(&self, opt: &[u8], out: &mut Vec<u8>) {
        if self.query.has_opt {
            self.put_opt_behind(opt, 0, out);
        }
    }

    /// Octets that end with an OPT, which starts at `opt`.
    fn put_opt_behind(&self, octets: &[u8], opt: usize, out: &mut Vec<u8>) {
        let flags = out.len() + opt + OPT_FLAGS_OFFSET;
        out.extend_from_slice(octets);
        if let Some(flags) = out.get_mut(flags) {
            *flags |= u8::from(self.query.dnssec_ok) << 7;
        }
    }

    /// The finished message, made anew where it is too long: first the errors give way, then the records.
    fn shorten(
        &self,
        rcode: u16,
        ancount: u16,
        nscount: u16,
        error_count: usize,
        body_end: usize,
        out: &mut Vec<u8>,
    ) -> PolicyAnswer {
        if self.structured.is_some() || !self.asked.is_empty() || out.len() > self.limit {
            self.restate((rcode, ancount, nscount), error_count, body_end, out);
        }
        PolicyAnswer::Written { rcode: rcode as u8 }
    }

    /// The same message by the encoder: within its limit, with the options that the client asked for, its error as
    /// JSON if it asked for that.
    #[cold]
    fn restate(
        &self,
        (rcode, ancount, nscount): (u16, u16, u16),
        error_count: usize,
        body_end: usize,
        out: &mut Vec<u8>,
    ) {
        let body = out.get(self.query.question_end..body_end).unwrap_or(&[]).to_vec();
        let room = self.limit.checked_sub(self.query.question_end + body.len() + self.asked.octets());
        let value = match (self.structured, room) {
            (Some(structured), Some(room)) => structured.option_value(self.rule, room),
            _ => None,
        };
        let mut options = self.asked.values.clone();
        // There is room: two options are asked for at most.
        options.extend(value.as_deref().map(|value| (OPTION_EXTENDED_ERROR, value)));
        let errors = errors_of(self.rule);
        let told = if self.structured.is_some() { 0 } else { error_count };
        let reply = Reply {
            rcode,
            body: &body,
            ancount,
            nscount,
            limit: self.limit,
            ede: errors.get(..told).unwrap_or(&[]),
            options: &options,
            pads: self.asked.pads,
            ..Reply::default()
        };
        encode_response(self.query, &reply, out);
    }
}

/// Where a rule's CNAME leads from the denied name; None: the name is too long.
fn target_of(local_data: &LocalData, denied: &[u8]) -> Option<Vec<u8>> {
    let target = match local_data.redirect.strip_prefix(STAR) {
        Some(domain) => [denied.get(..denied.len().saturating_sub(1)).unwrap_or(&[]), domain].concat(),
        None => local_data.redirect.to_vec(),
    };
    (target.len() <= NAME_OCTETS_MAX).then_some(target)
}
