//! How long a cache on the way may keep an answer.
//!
//! Knows: where records have their TTLs (RFC 8484 §5.1).  Does not know: who caches.  `listeners/http.py` says the
//! same, and `tests/vectors/https.yaml` holds both to it.

use crate::wire::numbers as dns;

/// Octets before the first question.
const HEADER_OCTETS: usize = 12;

/// Octets of a record behind its name: type, class, TTL, length.
const FIXED_OCTETS: usize = 10;

/// Seconds that a cache may keep an answer of ours: its lowest TTL, and of a denial no more than its SOA's MINIMUM
/// (RFC 8484 §5.1); 0 for failures, and for octets that are no message.
pub fn max_age_s(answer: &[u8]) -> u32 {
    lowest_ttl_s(answer).unwrap_or(0)
}

fn lowest_ttl_s(answer: &[u8]) -> Option<u32> {
    let rcode = answer.get(3)? & 0xF;
    if rcode != dns::RCODE_NOERROR as u8 && rcode != dns::RCODE_NXDOMAIN as u8 {
        return None;
    }
    let count = |at: usize| u16_at(answer, at).map(u32::from);
    let mut at = HEADER_OCTETS;
    for _ in 0..count(4)? {
        at = after_name(answer, at)? + 4;
    }
    let mut lowest_s = None;
    for _ in 0..count(6)? + count(8)? + count(10)? {
        at = after_name(answer, at)?;
        let rtype = u16_at(answer, at)?;
        let end = at + FIXED_OCTETS + usize::from(u16_at(answer, at + 8)?);
        // What stands in OPT's place of a TTL is none (RFC 6891 §6.1.3).
        if rtype != dns::TYPE_OPT {
            let mut ttl_s = u32_at(answer, at + 4)?;
            if rtype == dns::TYPE_SOA {
                ttl_s = ttl_s.min(u32_at(answer, end - 4)?);
            }
            lowest_s = Some(lowest_s.map_or(ttl_s, |lowest_s: u32| lowest_s.min(ttl_s)));
        }
        at = end;
    }
    lowest_s
}

/// Where the name at `at` ends; None: outside the message.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            // A pointer ends a name (RFC 1035 §4.1.4); where it leads does not matter here.
            0xC0.. => return Some(at + 2),
            octets => at += 1 + usize::from(octets),
        }
    }
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    let octets = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([octets[0], octets[1]]))
}

fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    let octets = message.get(at..at + 4)?;
    Some(u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]))
}
