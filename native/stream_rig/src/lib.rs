//! What the echoes and the load share: a fixed answer, certificates, the few octets of HTTP/2 that a query takes.
//!
//! Knows: DNS messages' first octets, RFC 9113's frames.  Does not know: sockets, policy, caches.
//! Theory: an echo answers every query with the same record and looks nothing up, so it costs what kernel, TLS and
//! HTTP take from any server.  The load is its counterpart: it offers what browsers offer, X25519MLKEM768 first.
#![forbid(unsafe_code)]

pub mod clients;
pub mod http2;
pub mod tls;

/// Octets of a DNS header.
const HEADER_OCTETS: usize = 12;
/// One A record of the name asked for: 192.0.2.1, for an hour.
const ANSWER: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0, 2, 1];

/// Append the answer to `query`, which carries one question and nothing else; false: it is no query.
pub fn answer_into(query: &[u8], out: &mut Vec<u8>) -> bool {
    if query.len() < HEADER_OCTETS {
        return false;
    }
    let start = out.len();
    out.extend_from_slice(query);
    // QR and RA (RFC 1035 §4.1.1); one record in the answer section.
    out[start + 2] |= 0x80;
    out[start + 3] |= 0x80;
    out[start + 7] = 1;
    out.extend_from_slice(&ANSWER);
    true
}

/// Answer all whole messages of `octets` (RFC 1035 §4.2.2), framed, and tell how many octets they took.
pub fn answer_frames(octets: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let mut at = 0;
    while let Some(length) = octets.get(at..at + 2) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        let Some(query) = octets.get(at + 2..at + 2 + length) else { break };
        let start = out.len();
        out.extend_from_slice(&[0, 0]);
        if !answer_into(query, out) {
            return None;
        }
        let answer_octets = (out.len() - start - 2) as u16;
        out[start..start + 2].copy_from_slice(&answer_octets.to_be_bytes());
        at += 2 + length;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::{answer_frames, answer_into};

    const QUERY: [u8; 17] = [9, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];

    #[test]
    fn an_answer_is_the_query_with_one_record() {
        let mut out = Vec::new();
        assert!(answer_into(&QUERY, &mut out));
        assert_eq!(out.len(), QUERY.len() + 16);
        assert_eq!(out[..8], [9, 8, 0x81, 0x80, 0, 1, 0, 1]);
        assert!(!answer_into(&QUERY[..11], &mut out));
    }

    #[test]
    fn whole_messages_are_answered_and_the_rest_waits() {
        let mut stream = Vec::new();
        for _ in 0..2 {
            stream.extend_from_slice(&[0, 17]);
            stream.extend_from_slice(&QUERY);
        }
        stream.extend_from_slice(&[0, 17, 9]);
        let mut out = Vec::new();
        assert_eq!(answer_frames(&stream, &mut out), Some(38));
        assert_eq!(out.len(), 2 * (2 + 33));
        assert_eq!(out[..2], [0, 33]);
        assert_eq!(answer_frames(&[0, 1, 0], &mut out), None);
    }
}
