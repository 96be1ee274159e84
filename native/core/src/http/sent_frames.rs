//! Looks at the frames that leave on an HTTP/2 connection: what of them is answers, and which requests are refused.
//!
//! Knows: where a frame begins, which kinds are which (RFC 9113 §6).  Does not know: streams, the library that writes
//! them.
//! Theory: octets that leave are no sign that a client takes its answers: each PING of its own is answered, too.

use super::frame_cutter::{FrameCutter, Piece, DATA_FRAME, RESET_FRAME};
use super::resting::Said;

const CODE_OCTETS: usize = 4;

/// REFUSED_STREAM (RFC 9113 §7): as many requests are open as may be.
const REFUSED_STREAM: u32 = 7;

/// One connection's.
#[derive(Default)]
pub struct SentFrames {
    cutter: FrameCutter,
    /// The code of a reset.
    code: u32,
    said: Said,
    /// Octets of answers that left.
    pub answer_octets: u64,
    /// Requests that were refused because too many are open.
    pub refused: u64,
}

impl SentFrames {
    /// These octets leave.
    pub fn take(&mut self, mut octets: &[u8]) {
        while let Some(piece) = self.cutter.next(&mut octets) {
            match piece {
                Piece::Head(head) => {
                    self.code = 0;
                    self.said.begin(&head);
                }
                Piece::Payload(octets) => self.take_payload(octets),
            }
        }
    }

    /// Whether a frame has begun to leave that is not whole yet.
    pub fn is_within_frame(&self) -> bool {
        self.cutter.is_within_frame()
    }

    /// What the client was told so far.
    pub fn said(&self) -> &Said {
        &self.said
    }

    fn take_payload(&mut self, octets: &[u8]) {
        let head = self.cutter.head();
        match head.kind() {
            DATA_FRAME => self.answer_octets += octets.len() as u64,
            RESET_FRAME => {
                for &octet in octets.iter().take(CODE_OCTETS) {
                    self.code = self.code << 8 | u32::from(octet);
                }
                self.refused += u64::from(self.cutter.left() == 0 && self.code == REFUSED_STREAM);
            }
            _ => self.said.go_on(head, octets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
        [&[high, middle, low, kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn answers_and_refusals_are_counted_however_they_leave() {
        let frames = [
            frame(4, &[0; 18]),
            frame(1, &[0x88; 40]),
            frame(DATA_FRAME, &[7; 60]),
            frame(6, &[7; 8]),
            frame(RESET_FRAME, &REFUSED_STREAM.to_be_bytes()),
            frame(RESET_FRAME, &8u32.to_be_bytes()),
            frame(DATA_FRAME, &[]),
            frame(RESET_FRAME, &REFUSED_STREAM.to_be_bytes()),
            frame(DATA_FRAME, &[0; 40]),
        ]
        .concat();
        for size in [1, 2, 5, 13, frames.len()] {
            let mut sent = SentFrames::default();
            frames.chunks(size).for_each(|part| sent.take(part));
            assert_eq!((sent.answer_octets, sent.refused), (100, 2));
        }
    }

    #[test]
    fn what_answers_a_clients_pings_is_no_answer() {
        let mut sent = SentFrames::default();
        for _ in 0..100 {
            sent.take(&frame(6, &[0; 8]));
            sent.take(&frame(4, &[]));
            sent.take(&frame(8, &[0; 4]));
        }
        assert_eq!((sent.answer_octets, sent.refused), (0, 0));
    }
}
