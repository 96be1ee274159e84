//! Messages in a stream: two octets of length, then so many (RFC 1035 §4.2.2).
//!
//! Knows: where one begins and ends.  Does not know: what it says.

use std::ops::Range;

use resolver_core::wire::query_options::put_with_options;

/// A header: less is no message.
const MESSAGE_OCTETS_MIN: usize = 12;

/// What stands next in octets that came.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message, at these octets.
    Whole(Range<usize>),
    /// A part of one, or nothing.
    Part,
    /// A length that no message has: what follows is read askew.
    Broken,
}

/// What stands at `start`; a message has at most 65,535 octets.
pub fn next_frame(octets: &[u8], start: usize) -> Frame {
    let Some(&[high, low]) = octets.get(start..start + 2) else { return Frame::Part };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < MESSAGE_OCTETS_MIN {
        return Frame::Broken;
    }
    let message = start + 2..start + 2 + length;
    if message.end > octets.len() {
        return Frame::Part;
    }
    Frame::Whole(message)
}

/// Append a query with its length in front; with `options`, also what it gets over an encrypted transport, whether it
/// asks for the time of idle connections among it.
pub fn put_query(query: &[u8], options: Option<bool>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0]);
    match options {
        Some(asks_keepalive) => put_with_options(query, asks_keepalive, out),
        None => out.extend_from_slice(query),
    }
    let length = out.len() - start - 2;
    if let Some(room) = out.get_mut(start..start + 2) {
        // A query of ours is far shorter than what 16 bits can say.
        room.copy_from_slice(&(length as u16).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let (one, other) = ([7; 12], [9; 300]);
        let mut octets = Vec::new();
        put_query(&one, None, &mut octets);
        put_query(&other, None, &mut octets);
        assert_eq!(next_frame(&octets, 0), Frame::Whole(2..14));
        assert_eq!(next_frame(&octets, 14), Frame::Whole(16..316));
        assert_eq!(next_frame(&octets, 316), Frame::Part);
        for end in 14..316 {
            assert_eq!(next_frame(&octets[..end], 14), Frame::Part);
        }
        for end in 0..14 {
            assert_eq!(next_frame(&octets[..end], 0), Frame::Part);
        }
    }

    #[test]
    fn a_length_under_a_header_breaks_the_stream() {
        for length in 0..12 {
            assert_eq!(next_frame(&[0, length, 1, 2, 3], 0), Frame::Broken);
        }
        assert_eq!(next_frame(&[0, 12, 1, 2, 3], 0), Frame::Part);
        assert_eq!(next_frame(&[0xFF; 65_537], 0), Frame::Whole(2..65_537));
    }
}
