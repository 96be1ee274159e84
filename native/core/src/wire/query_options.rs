//! What a query gets on its way over an encrypted transport: padding, and a word about keeping the connection.
//!
//! Knows: how `encode_question` ends, the two EDNS options.  Does not know: which transport it is, sockets.

use super::encode::OPT_OCTETS;
use super::numbers::{OPTION_PADDING, OPTION_TCP_KEEPALIVE};
use super::options::contents;
use super::walk::{u16_at, HEADER_OCTETS};

/// Queries are padded to a multiple of this (RFC 8467 §4.1).
pub const QUERY_BLOCK_OCTETS: usize = 128;

/// The timeout of edns-tcp-keepalive counts in tenths of a second (RFC 7828 §3.1).
const KEEPALIVE_UNITS_PER_S: f64 = 10.0;

const ARCOUNT_AT: usize = 11;
const RDLENGTH_OCTETS: usize = 2;
const OPTION_HEAD_OCTETS: usize = 4;

/// Append a query as `encode_question` writes it to `out`, padded; one without OPT stays as it is.
///
/// `asks_keepalive`: the empty option with which a client asks how long it may leave the connection open (RFC 7828
/// §3.2.1).
pub fn put_with_options(query: &[u8], asks_keepalive: bool, out: &mut Vec<u8>) {
    let has_opt = query.get(ARCOUNT_AT).is_some_and(|&arcount| arcount != 0);
    let Some(head) = query.len().checked_sub(RDLENGTH_OCTETS).filter(|_| has_opt) else {
        return out.extend_from_slice(query);
    };
    let keepalive_octets = if asks_keepalive { OPTION_HEAD_OCTETS } else { 0 };
    let unpadded = query.len() + keepalive_octets + OPTION_HEAD_OCTETS;
    let zeros = unpadded.next_multiple_of(QUERY_BLOCK_OCTETS) - unpadded;
    out.reserve(unpadded + zeros);
    out.extend_from_slice(query.get(..head).unwrap_or_default());
    let mut put = |number: u16| out.extend_from_slice(&number.to_be_bytes());
    put((keepalive_octets + OPTION_HEAD_OCTETS + zeros) as u16);
    if asks_keepalive {
        put(OPTION_TCP_KEEPALIVE);
        put(0);
    }
    put(OPTION_PADDING);
    put(zeros as u16);
    out.resize(out.len() + zeros, 0);
}

/// Name, type and class of a query as `encode_question` writes it.
pub fn question_of(query: &[u8]) -> &[u8] {
    let opt_octets = if query.get(ARCOUNT_AT).is_some_and(|&arcount| arcount != 0) { OPT_OCTETS } else { 0 };
    query.get(HEADER_OCTETS..query.len().saturating_sub(opt_octets)).unwrap_or_default()
}

/// For how many seconds the sender of a reply keeps an idle connection open; `None`: it does not say.
pub fn keepalive_s(message: &[u8]) -> Option<f64> {
    let (_, content) =
        contents(message).find(|(code, content)| *code == OPTION_TCP_KEEPALIVE && content.len() == 2)?;
    let units = u16_at(message, content.start).ok()?;
    Some(f64::from(units) / KEEPALIVE_UNITS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::super::encode::{encode_opt, encode_question};
    use super::super::query::parse_query;
    use super::*;

    const QUESTION: &[u8] = b"\x03www\x07example\0\0\x01\0\x01";

    fn query(edns: bool) -> Vec<u8> {
        let mut out = Vec::new();
        encode_question(7, QUESTION, true, false, edns, &mut out);
        out
    }

    #[test]
    fn a_query_is_padded_to_whole_blocks_and_is_the_same_query() {
        for label in 1..63u8 {
            let question =
                [&[label][..], &vec![b'x'; usize::from(label)], b"\x07example\0\0\x01\0\x01"].concat();
            for asks_keepalive in [false, true] {
                let (mut query, mut out) = (Vec::new(), b"before".to_vec());
                encode_question(7, &question, true, false, true, &mut query);
                put_with_options(&query, asks_keepalive, &mut out);
                let padded = &out[6..];
                assert_eq!(padded.len() % QUERY_BLOCK_OCTETS, 0);
                let read = parse_query(padded).unwrap();
                assert!(read.has_opt && read.dnssec_ok);
                assert_eq!((read.question_octets(), question_of(&query)), (&question[..], &question[..]));
                assert_eq!(contents(padded).count(), 1 + usize::from(asks_keepalive));
            }
        }
    }

    #[test]
    fn a_query_without_opt_stays_as_it_is() {
        let (plain, mut out) = (query(false), Vec::new());
        put_with_options(&plain, true, &mut out);
        assert_eq!((&out, question_of(&plain)), (&plain, QUESTION));
        put_with_options(b"", true, &mut out);
        assert_eq!((out, question_of(b"")), (plain, &b""[..]));
    }

    #[test]
    fn the_time_of_an_idle_connection_is_read_and_anything_else_says_nothing() {
        let with = |options: &[(u16, &[u8])]| {
            let mut message = query(false);
            message[ARCOUNT_AT] = 1;
            encode_opt(false, 0, &[], options, &mut message);
            message
        };
        assert_eq!(keepalive_s(&with(&[(12, &[0; 9]), (11, &[0, 25])])), Some(2.5));
        assert_eq!(keepalive_s(&with(&[(11, &[0, 0])])), Some(0.0));
        assert_eq!(keepalive_s(&with(&[(11, &[])])), None);
        assert_eq!(keepalive_s(&with(&[])), None);
        assert_eq!(keepalive_s(&query(true)), None);
        let whole = with(&[(11, &[0, 25])]);
        for end in 0..whole.len() {
            assert_eq!(keepalive_s(&whole[..end]), None);
        }
    }
}
