//! Patches the TTLs of an accepted response's body; everything else in it stays as it came.
//!
//! Knows: where the TTLs stand.  Does not know: what time it is, when a response was stored.
//! The body has been copied into a message, so nothing is written twice.

use super::outcomes::Ttl;

/// Lower every TTL of the body at `body_start` by `age_s` seconds, never below 0, and to at most `ttl_max`.
///
/// `ttls` are those of the response whose body it is; an offset outside the message is passed over.
#[inline]
pub fn age_body(message: &mut [u8], body_start: usize, ttls: &[Ttl], age_s: u32, ttl_max: Option<u32>) {
    let ttl_max_s = ttl_max.unwrap_or(u32::MAX);
    for ttl in ttls {
        put(message, body_start, ttl.offset, ttl.ttl_s.saturating_sub(age_s).min(ttl_max_s));
    }
}

/// Set every TTL of the body at `body_start` to `ttl_s` seconds (RFC 8767 §4: 30 for stale answers).
#[inline]
pub fn with_ttl(message: &mut [u8], body_start: usize, ttls: &[Ttl], ttl_s: u32) {
    for ttl in ttls {
        put(message, body_start, ttl.offset, ttl_s);
    }
}

#[inline]
fn put(message: &mut [u8], body_start: usize, offset: u16, ttl_s: u32) {
    let at = body_start + usize::from(offset);
    if let Some(octets) = message.get_mut(at..at + 4) {
        octets.copy_from_slice(&ttl_s.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTLS: [Ttl; 2] = [Ttl { offset: 0, ttl_s: 300 }, Ttl { offset: 5, ttl_s: 3 }];

    #[test]
    fn ttls_run_down_and_stop_at_zero() {
        let mut message = *b"hh____x____";
        age_body(&mut message, 2, &TTLS, 5, None);
        assert_eq!(&message, b"hh\0\0\x01\x27x\0\0\0\0");
    }

    #[test]
    fn ttls_may_be_capped_or_set() {
        let mut message = *b"hh____x____";
        age_body(&mut message, 2, &TTLS, 0, Some(30));
        assert_eq!(&message, b"hh\0\0\0\x1ex\0\0\0\x03");
        with_ttl(&mut message, 2, &TTLS, 7);
        assert_eq!(&message, b"hh\0\0\0\x07x\0\0\0\x07");
    }

    #[test]
    fn an_offset_outside_the_message_is_passed_over() {
        let mut message = [0xFF; 5];
        age_body(&mut message, 2, &TTLS, 0, None);
        assert_eq!(message, [0xFF; 5]);
    }
}
