//! Messages cut out of a stream (RFC 1035 §4.2.2): each has its length in front, in two octets.
//!
//! Knows: lengths.  Does not know: sockets, TLS, what a message says.

use super::walk::HEADER_OCTETS;

/// What stands at the front of a stream's octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'b> {
    /// A whole message, without its length.
    Message(&'b [u8]),
    /// The rest of it is still to come.
    Part,
    /// A message shorter than a header: its framing cannot be trusted, and nothing behind it.
    TooShort,
}

/// Octets of the length in front of a message.
pub const FRAME_HEAD_OCTETS: usize = 2;

/// The front of what has come.
#[inline]
pub fn first_frame(octets: &[u8]) -> Frame<'_> {
    let &[high, low, ref rest @ ..] = octets else { return Frame::Part };
    let length = usize::from(u16::from_be_bytes([high, low]));
    match rest.get(..length) {
        None => Frame::Part,
        Some(_) if length < HEADER_OCTETS => Frame::TooShort,
        Some(message) => Frame::Message(message),
    }
}

/// A message's length as it goes in front; None: it is too long for a stream.
pub fn length_in_front(message: &[u8]) -> Option<[u8; FRAME_HEAD_OCTETS]> {
    u16::try_from(message.len()).ok().map(u16::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_whole_when_its_last_octet_is_here() {
        let stream = [&[0, 14][..], &[7; 14], &[0, 12], &[9; 5]].concat();
        for end in 0..16 {
            assert_eq!(first_frame(&stream[..end]), Frame::Part, "{end}");
        }
        assert_eq!(first_frame(&stream), Frame::Message(&[7; 14]));
        assert_eq!(first_frame(&stream[16..]), Frame::Part);
    }

    #[test]
    fn the_longest_message_is_taken_and_a_short_one_is_none() {
        let longest = [&[0xFF; 2][..], &vec![1; 65_535]].concat();
        assert!(matches!(first_frame(&longest), Frame::Message(message) if message.len() == 65_535));
        assert_eq!(first_frame(&longest[..65_536]), Frame::Part);
        assert_eq!(first_frame(&[0, 0]), Frame::TooShort);
        assert_eq!(first_frame(&[0, 11, 1]), Frame::Part);
        assert_eq!(first_frame(&[&[0, 11][..], &[0; 11]].concat()), Frame::TooShort);
        assert_eq!(length_in_front(&[0; 258]), Some([1, 2]));
        assert_eq!(length_in_front(&vec![0; 65_536]), None);
    }
}
