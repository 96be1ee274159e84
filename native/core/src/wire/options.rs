//! The errors that an answer tells among its EDNS options (RFC 8914): their INFO-CODEs.
//!
//! Knows: where an OPT stands in a message.  Does not know: what a code means.

use std::ops::Range;

use arrayvec::ArrayVec;

use super::encode::OPTION_HEAD_OCTETS;
use super::numbers::TYPE_OPT;
use super::walk::{read_fixed, skip_name, u16_at, WireError, FIXED_OCTETS, HEADER_OCTETS};

/// Option code of Extended DNS Errors.
const EDE_OPTION: u16 = 15;

/// Codes read of one answer; ours have two.
pub const ERROR_CODES_MAX: usize = 8;

/// The codes in a message, in their order, the first of them; none also where it cannot be read.
pub fn error_codes(message: &[u8]) -> ArrayVec<u16, ERROR_CODES_MAX> {
    let mut codes = ArrayVec::new();
    for (option, content) in contents(message) {
        if let (EDE_OPTION, Ok(code)) = (option, u16_at(&message[content], 0)) {
            if codes.try_push(code).is_err() {
                break;
            }
        }
    }
    codes
}

/// The code of each option, and where its content stands.
fn contents(message: &[u8]) -> impl Iterator<Item = (u16, Range<usize>)> + '_ {
    let options = options_of(message).unwrap_or_default();
    let mut at = options.start;
    std::iter::from_fn(move || {
        let (code, length) = (u16_at(message, at).ok()?, u16_at(message, at + 2).ok()?);
        let content = at + OPTION_HEAD_OCTETS..at + OPTION_HEAD_OCTETS + usize::from(length);
        at = content.end;
        (content.end <= options.end).then_some((code, content))
    })
}

/// Where the options of the first OPT stand; empty: there is none.
fn options_of(message: &[u8]) -> Result<Range<usize>, WireError> {
    let mut at = HEADER_OCTETS;
    for _ in 0..u16_at(message, 4)? {
        at = skip_name(message, at)? + 4;
    }
    let others = usize::from(u16_at(message, 6)?) + usize::from(u16_at(message, 8)?);
    for number in 0..others + usize::from(u16_at(message, 10)?) {
        at = skip_name(message, at)?;
        let fixed = read_fixed(message, at)?;
        at += FIXED_OCTETS;
        let end = at + fixed.rdlength;
        if end > message.len() {
            return Err(WireError);
        }
        if number >= others && fixed.rtype == TYPE_OPT {
            return Ok(at..end);
        }
        at = end;
    }
    Ok(0..0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"\xbe\xef\x81\x83\0\x01\0\0\0\x01\0\x01\x03www\x04acme\0\0\x01\0\x01\
        \xc0\x10\0\x06\0\x01\0\0\0\x05\0\x02ab\
        \0\0\x29\x04\xd0\0\0\0\0\0\x17\0\x0f\0\x05\0\x10why\0\x0a\0\0\0\x0f\0\x02\0\x04\0\x0f\0\0";

    #[test]
    fn codes_are_read_in_their_order_among_other_options() {
        assert_eq!(&error_codes(ANSWER)[..], [16, 4]);
    }

    #[test]
    fn a_message_that_ends_early_or_lies_breaks_nothing() {
        for length in 0..ANSWER.len() {
            let _ = error_codes(&ANSWER[..length]);
        }
        let mut lying = ANSWER.to_vec();
        for at in 0..lying.len() {
            for octet in [0, 1, 63, 64, 0xC0, 0xFF] {
                let kept = std::mem::replace(&mut lying[at], octet);
                let _ = error_codes(&lying);
                lying[at] = kept;
            }
        }
        assert!(error_codes(b"").is_empty());
        assert!(error_codes(&ANSWER[..40]).is_empty());
    }

    #[test]
    fn no_more_codes_are_read_than_there_is_room_for() {
        let mut message = b"\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\x29\0\0\0\0\0\0\0\x78".to_vec();
        (0..20).for_each(|code| message.extend_from_slice(&[0, 15, 0, 2, 0, code]));
        assert_eq!(error_codes(&message).len(), ERROR_CODES_MAX);
    }
}
