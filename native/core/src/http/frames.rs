//! Counts the frames of one HTTP/2 connection that cost work and bring no question.
//!
//! Knows: where a frame begins, which kinds are which (RFC 9113 §6).  Does not know: streams, headers, what the
//! library that reads them does about them.
//! Theory: the library answers SETTINGS and PING, looks at every WINDOW_UPDATE and undoes every stream that is
//! reset, and never says that it is enough.  So a client has a credit of such frames; answers add to it, up to
//! where it began.  Honest clients send some in the beginning, and a few for each answer.

use super::frame_cutter::{
    FrameCutter, FrameHead, Piece, DATA_FRAME, FLAG_END_STREAM, HEADERS_FRAME, RESET_FRAME,
};
use super::resting::{Heard, PREFACE};

/// The credit of frames that carry no question: what clients send before the first, some times over.
pub const CONTROL_FRAMES_MAX: u32 = 256;

/// What each answer adds to that credit.
pub const CONTROL_FRAMES_PER_ANSWER: u32 = 8;

/// The credit of streams that the client takes back: all that one connection may have open.  An answer adds one.
/// Libraries reset a stream again for each frame that comes on it meanwhile; that costs what any control frame costs.
pub const RESETS_MAX: u32 = 100;

/// What a client has too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// Frames that carry no question.
    Control,
    /// Streams that it took back.
    Resets,
}

/// One connection's.
pub struct FrameGuard {
    cutter: FrameCutter,
    control_credit: u32,
    reset_credit: u32,
    last_reset: u32,
    heard: Heard,
}

impl Default for FrameGuard {
    fn default() -> FrameGuard {
        FrameGuard {
            cutter: FrameCutter::behind(PREFACE.len() as u32),
            control_credit: CONTROL_FRAMES_MAX,
            reset_credit: RESETS_MAX,
            last_reset: 0,
            heard: Heard::default(),
        }
    }
}

impl FrameGuard {
    /// See what comes next.  An error: the connection has to end.
    pub fn take(&mut self, mut octets: &[u8]) -> Result<(), FrameFault> {
        while let Some(piece) = self.cutter.next(&mut octets) {
            match piece {
                Piece::Head(head) => {
                    self.heard.begin(&head);
                    self.count(&head)?;
                }
                Piece::Payload(octets) => self.heard.go_on(self.cutter.head(), octets),
            }
        }
        Ok(())
    }

    /// Whether a frame has begun that is not whole yet.
    pub fn is_within_frame(&self) -> bool {
        self.cutter.is_within_frame()
    }

    /// What the client has said so far.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// An answer leaves, whatever it says.
    pub fn answered(&mut self) {
        self.control_credit = CONTROL_FRAMES_MAX.min(self.control_credit + CONTROL_FRAMES_PER_ANSWER);
        self.reset_credit = RESETS_MAX.min(self.reset_credit + 1);
    }

    fn count(&mut self, head: &FrameHead) -> Result<(), FrameFault> {
        match head.kind() {
            HEADERS_FRAME => Ok(()),
            // The library itself bounds small ones; an empty one that ends nothing is not small but idle.
            DATA_FRAME if head.octets() > 0 || head.has(FLAG_END_STREAM) => Ok(()),
            RESET_FRAME if head.stream() != self.last_reset => {
                self.last_reset = head.stream();
                take_one(&mut self.reset_credit).ok_or(FrameFault::Resets)
            }
            _ => take_one(&mut self.control_credit).ok_or(FrameFault::Control),
        }
    }
}

fn take_one(credit: &mut u32) -> Option<()> {
    *credit = credit.checked_sub(1)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::frame_cutter::{FRAME_HEADER_OCTETS, PING_FRAME, SETTINGS_FRAME, WINDOW_UPDATE_FRAME};

    const CONTINUATION: u8 = 9;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
        [&[high, middle, low, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn begun() -> FrameGuard {
        let mut guard = FrameGuard::default();
        guard.take(PREFACE).unwrap();
        guard
    }

    #[test]
    fn requests_and_their_bodies_cost_nothing() {
        let mut guard = begun();
        for _ in 0..10 * CONTROL_FRAMES_MAX {
            guard.take(&frame(HEADERS_FRAME, 4, &[0; 50])).unwrap();
            guard.take(&frame(DATA_FRAME, 0, &[0; 33])).unwrap();
            guard.take(&frame(DATA_FRAME, FLAG_END_STREAM, &[])).unwrap();
        }
    }

    #[test]
    fn each_kind_of_idle_frame_runs_into_its_end_and_answers_move_it() {
        for (kind, payload) in [
            (SETTINGS_FRAME, 6),
            (PING_FRAME, 8),
            (WINDOW_UPDATE_FRAME, 4),
            (CONTINUATION, 9),
            (2, 5),
            (DATA_FRAME, 0),
            (0xEE, 0),
        ] {
            let mut guard = begun();
            let idle = frame(kind, 0, &vec![0; payload]);
            for _ in 0..CONTROL_FRAMES_MAX {
                guard.take(&idle).unwrap();
            }
            guard.answered();
            for _ in 0..CONTROL_FRAMES_PER_ANSWER {
                guard.take(&idle).unwrap();
            }
            assert_eq!(guard.take(&idle), Err(FrameFault::Control), "{kind}");
        }
    }

    #[test]
    fn streams_taken_back_have_a_credit_of_their_own() {
        let mut guard = begun();
        let mut streams = (1u32..).step_by(2);
        let mut reset = || {
            let mut reset = frame(RESET_FRAME, 0, &[0; 4]);
            reset[5..9].copy_from_slice(&streams.next().unwrap().to_be_bytes());
            reset
        };
        for _ in 0..5 * RESETS_MAX {
            guard.answered();
            // Again for each frame of the answer that was on its way.
            guard.take(&reset().repeat(3)).unwrap();
        }
        guard.answered();
        for _ in 0..RESETS_MAX {
            guard.take(&reset()).unwrap();
        }
        assert_eq!(guard.take(&reset()), Err(FrameFault::Resets));
    }

    #[test]
    fn pieces_count_as_the_whole_does() {
        let octets = [PREFACE, &frame(PING_FRAME, 0, &[6; 8]).repeat(300)].concat();
        for piece in [1, 2, 7, 100] {
            let mut guard = FrameGuard::default();
            let mut pieces = octets.chunks(piece);
            let taken = pieces.position(|piece| guard.take(piece).is_err()).unwrap();
            let until = PREFACE.len() + 17 * CONTROL_FRAMES_MAX as usize + FRAME_HEADER_OCTETS;
            assert_eq!(taken, (until - 1) / piece);
        }
    }
}
