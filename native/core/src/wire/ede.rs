//! The errors that an answer tells: their INFO-CODEs (RFC 8914).
//!
//! Knows: where an OPT stands in a message.  Does not know: what a code means.

use arrayvec::ArrayVec;

use super::numbers::TYPE_OPT;
use super::walk::{read_fixed, skip_name, u16_at, WireError, FIXED_OCTETS, HEADER_OCTETS};

/// EDNS option code of Extended DNS Errors.
const EDE: u16 = 15;

/// Codes read of one answer; ours have two.
pub const ERROR_CODES_MAX: usize = 8;

/// The codes in a message, in their order, the first of them; none also where it cannot be read.
pub fn error_codes(message: &[u8]) -> ArrayVec<u16, ERROR_CODES_MAX> {
    read(message).unwrap_or_default()
}

fn read(message: &[u8]) -> Result<ArrayVec<u16, ERROR_CODES_MAX>, WireError> {
    let mut at = HEADER_OCTETS;
    for _ in 0..u16_at(message, 4)? {
        at = skip_name(message, at)? + 4;
    }
    let others = usize::from(u16_at(message, 6)?) + usize::from(u16_at(message, 8)?);
    for number in 0..others + usize::from(u16_at(message, 10)?) {
        at = skip_name(message, at)?;
        let fixed = read_fixed(message, at)?;
        at += FIXED_OCTETS;
        if number >= others && fixed.rtype == TYPE_OPT {
            return Ok(codes_in(message.get(at..at + fixed.rdlength).ok_or(WireError)?));
        }
        at += fixed.rdlength;
    }
    Ok(ArrayVec::new())
}

fn codes_in(mut options: &[u8]) -> ArrayVec<u16, ERROR_CODES_MAX> {
    let mut codes = ArrayVec::new();
    while let (Ok(option), Ok(length)) = (u16_at(options, 0), u16_at(options, 2)) {
        let Some(content) = options.get(4..4 + usize::from(length)) else { break };
        if let (EDE, Ok(code)) = (option, u16_at(content, 0)) {
            if codes.try_push(code).is_err() {
                break;
            }
        }
        options = &options[4 + usize::from(length)..];
    }
    codes
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
    fn a_message_that_ends_early_or_lies_has_none_and_nothing_breaks() {
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
