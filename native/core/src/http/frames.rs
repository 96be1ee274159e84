//! Counts the frames of one HTTP/2 connection that cost work and bring no question.
//!
//! Knows: where a frame begins, which kinds are which (RFC 9113 §6).  Does not know: streams, headers, what the
//! library that reads them does about them.
//! Theory: the library answers SETTINGS and PING, looks at every WINDOW_UPDATE and undoes every stream that is
//! reset, and never says that it is enough.  So a client has a credit of such frames; answers add to it, up to
//! where it began.  Honest clients send some in the beginning, and a few for each answer.

/// The credit of frames that carry no question: what clients send before the first, some times over.
pub const CONTROL_FRAMES_MAX: u32 = 256;

/// What each answer adds to that credit.
pub const CONTROL_FRAMES_PER_ANSWER: u32 = 8;

/// The credit of streams that the client takes back: all that one connection may have open.  An answer adds one.
/// Libraries reset a stream again for each frame that comes on it meanwhile; that costs what any control frame costs.
pub const RESETS_MAX: u32 = 100;

/// Octets with which a client begins (RFC 9113 §3.4).
const PREFACE_OCTETS: u32 = 24;

const FRAME_HEADER_OCTETS: usize = 9;

const DATA_FRAME: u8 = 0;
const HEADERS_FRAME: u8 = 1;
const RESET_FRAME: u8 = 3;
const FLAG_END_STREAM: u8 = 0x1;

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
    header: [u8; FRAME_HEADER_OCTETS],
    header_octets: usize,
    /// Octets to pass over before the next header.
    passing: u32,
    control_credit: u32,
    reset_credit: u32,
    last_reset: u32,
}

impl Default for FrameGuard {
    fn default() -> FrameGuard {
        FrameGuard {
            header: [0; FRAME_HEADER_OCTETS],
            header_octets: 0,
            passing: PREFACE_OCTETS,
            control_credit: CONTROL_FRAMES_MAX,
            reset_credit: RESETS_MAX,
            last_reset: 0,
        }
    }
}

impl FrameGuard {
    /// See what comes next.  An error: the connection has to end.
    pub fn take(&mut self, mut octets: &[u8]) -> Result<(), FrameFault> {
        while !octets.is_empty() {
            if self.passing > 0 {
                let passed = octets.len().min(self.passing as usize);
                self.passing -= passed as u32;
                octets = &octets[passed..];
                continue;
            }
            let part = octets.len().min(FRAME_HEADER_OCTETS - self.header_octets);
            self.header[self.header_octets..self.header_octets + part].copy_from_slice(&octets[..part]);
            self.header_octets += part;
            octets = &octets[part..];
            if self.header_octets == FRAME_HEADER_OCTETS {
                self.header_octets = 0;
                self.count()?;
            }
        }
        Ok(())
    }

    /// Whether a frame has begun that is not whole yet.
    pub fn is_within_frame(&self) -> bool {
        self.passing > 0 || self.header_octets > 0
    }

    /// An answer leaves, whatever it says.
    pub fn answered(&mut self) {
        self.control_credit = CONTROL_FRAMES_MAX.min(self.control_credit + CONTROL_FRAMES_PER_ANSWER);
        self.reset_credit = RESETS_MAX.min(self.reset_credit + 1);
    }

    fn count(&mut self) -> Result<(), FrameFault> {
        let [high, middle, low, kind, flags, ref stream @ ..] = self.header;
        let stream = u32::from_be_bytes(*stream) & 0x7FFF_FFFF;
        self.passing = u32::from_be_bytes([0, high, middle, low]);
        match kind {
            HEADERS_FRAME => Ok(()),
            // The library itself bounds small ones; an empty one that ends nothing is not small but idle.
            DATA_FRAME if self.passing > 0 || flags & FLAG_END_STREAM != 0 => Ok(()),
            RESET_FRAME if stream != self.last_reset => {
                self.last_reset = stream;
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

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;
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
            (SETTINGS, 6),
            (PING, 8),
            (WINDOW_UPDATE, 4),
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
        let octets = [PREFACE, &frame(PING, 0, &[6; 8]).repeat(300)].concat();
        for piece in [1, 2, 7, 100] {
            let mut guard = FrameGuard::default();
            let mut pieces = octets.chunks(piece);
            let taken = pieces.position(|piece| guard.take(piece).is_err()).unwrap();
            let until = PREFACE.len() + 17 * CONTROL_FRAMES_MAX as usize + FRAME_HEADER_OCTETS;
            assert_eq!(taken, (until - 1) / piece);
        }
    }
}
