//! Octets from an upstream -> a trimmed, trusted response, or why they are refused.
//!
//! Knows: what was asked, RFC 5452's rules of acceptance, RFC 2181 and 2308's rules of TTL.
//! Does not know: sockets, caches, policy.
//! Only the chain that starts at qname survives; NS and glue never do.

use super::encode::STREAM_OCTETS_MAX;
use super::numbers::{is_edns_stumble, FLAG_QR, FLAG_TC, RCODE_NOERROR, RCODE_NXDOMAIN};
use super::outcomes::{Accepted, RefusedReason, Response, SentQuery};
use super::plain::{accept_addresses, accept_plain, Head};
use super::sections::accept_sections;
use super::walk::{WireError, HEADER_OCTETS, RECORDS_MAX, RECORD_OCTETS_MIN};

/// The header's four opcode bits.
const OPCODE_BITS: u16 = 0x7800;

/// Judge octets that came from the upstream asked, and trim them to what was asked.
///
/// Refused: drop them and keep waiting.  At most RECORDS_MAX records are looked at.
pub fn accept_response(octets: &[u8], sent: &SentQuery) -> Accepted {
    let Some(header) = octets.get(..HEADER_OCTETS) else {
        return RefusedReason::Short.into();
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = word(2);
    // RFC 5452 §9.1: ID and question must be the ones sent, or the message is as good as forged.
    let question_end = HEADER_OCTETS + sent.qname.len() + 4;
    let problem = question_problem(octets, question_end, sent);
    let is_plain = flags & OPCODE_BITS == 0 && word(4) == 1;
    match problem {
        _ if flags & FLAG_QR == 0 => return RefusedReason::NotResponse.into(),
        None if word(0) == sent.id && is_plain => {}
        None if word(0) == sent.id => return RefusedReason::Malformed.into(),
        _ if word(0) != sent.id => return RefusedReason::Id.into(),
        _ if flags & OPCODE_BITS != 0 => return RefusedReason::Opcode.into(),
        Some(reason) if word(4) == 1 => return reason.into(),
        _ => return without_question(flags, word(4), octets.len(), sent),
    }
    if flags & FLAG_TC != 0 {
        return Accepted::Truncated;
    }
    let (ancount, nscount, arcount) = (usize::from(word(6)), usize::from(word(8)), usize::from(word(10)));
    let records = ancount + nscount + arcount;
    if records > RECORDS_MAX || records * RECORD_OCTETS_MIN > octets.len() - question_end {
        return RefusedReason::Counts.into();
    }
    // No transport carries more; offsets below count on it.
    if octets.len() > STREAM_OCTETS_MAX {
        return RefusedReason::Malformed.into();
    }
    let head = Head { question_end, flags, ancount, nscount, arcount };
    if let Ok(Some(response)) = accept_quickly(octets, sent, &head) {
        return Accepted::Response(response);
    }
    accept_sections(octets, sent, &head).unwrap_or_else(|WireError| RefusedReason::Malformed.into())
}

/// The answer where it has a shape of the quick paths; all else is the general path's.
///
/// Why three paths: most answers are addresses of qname itself; nearly every other is a short chain in order,
/// or one SOA; those are sliced without a list of records.
fn accept_quickly(octets: &[u8], sent: &SentQuery, head: &Head) -> Result<Option<Response>, WireError> {
    let rcode = head.rcode();
    if (head.nscount != 0 && sent.dnssec_ok) || (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN) {
        return Ok(None);
    }
    if head.ancount != 0 && rcode == RCODE_NOERROR {
        if let Some(response) = accept_addresses(octets, sent, head)? {
            return Ok(Some(response));
        }
    }
    accept_plain(octets, sent, head)
}

/// What is wrong with the question that came back.
#[inline]
fn question_problem(octets: &[u8], question_end: usize, sent: &SentQuery) -> Option<RefusedReason> {
    let Some(question) = octets.get(HEADER_OCTETS..question_end) else {
        return Some(RefusedReason::Question);
    };
    let (name, rest) = question.split_at(sent.qname.len());
    let (qtype, qclass) = (sent.qtype.to_be_bytes(), sent.qclass.to_be_bytes());
    let type_and_class = [qtype[0], qtype[1], qclass[0], qclass[1]];
    if name == &sent.qname[..] && rest == type_and_class {
        return None;
    }
    let is_same = name.eq_ignore_ascii_case(&sent.qname) && rest.eq_ignore_ascii_case(&type_and_class);
    Some(if is_same { RefusedReason::Case } else { RefusedReason::Question })
}

/// A message without exactly one question: believed only as a bare error over a stream, or as a stumble over EDNS,
/// which costs one query more (servers before EDNS: RFC 6891 §7).
fn without_question(flags: u16, qdcount: u16, octets: usize, sent: &SentQuery) -> Accepted {
    let rcode = flags & 0xF;
    let edns_refused = sent.edns && is_edns_stumble(rcode);
    let is_error = rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN;
    if qdcount == 0 && octets == HEADER_OCTETS && (edns_refused || (sent.is_stream && is_error)) {
        return Accepted::UpstreamFailure { rcode, edns_refused };
    }
    RefusedReason::Qdcount.into()
}
