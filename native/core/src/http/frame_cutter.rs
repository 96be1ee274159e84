//! Finds the frames of HTTP/2 in octets that come in pieces.
//!
//! Knows: a frame's header (RFC 9113 §4.1).  Does not know: what a frame means.

/// Octets of a frame's header.
pub const FRAME_HEADER_OCTETS: usize = 9;

// Kinds of frames (RFC 9113 §6).
pub(super) const DATA_FRAME: u8 = 0;
pub(super) const HEADERS_FRAME: u8 = 1;
pub(super) const RESET_FRAME: u8 = 3;
pub(super) const SETTINGS_FRAME: u8 = 4;
pub(super) const PUSH_PROMISE_FRAME: u8 = 5;
pub(super) const PING_FRAME: u8 = 6;
pub(super) const GOAWAY_FRAME: u8 = 7;
pub(super) const WINDOW_UPDATE_FRAME: u8 = 8;

pub(super) const FLAG_END_STREAM: u8 = 0x1;
/// Of SETTINGS and PING.
pub(super) const FLAG_ACK: u8 = 0x1;
pub(super) const FLAG_END_HEADERS: u8 = 0x4;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'o> {
    /// A header is whole.
    Head(FrameHead),
    /// Octets of the frame whose header came last.
    Payload(&'o [u8]),
}

/// A frame's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub raw: [u8; FRAME_HEADER_OCTETS],
}

impl FrameHead {
    /// Octets of payload.
    pub fn octets(&self) -> u32 {
        u32::from_be_bytes([0, self.raw[0], self.raw[1], self.raw[2]])
    }

    pub fn kind(&self) -> u8 {
        self.raw[3]
    }

    pub fn has(&self, flag: u8) -> bool {
        self.raw[4] & flag != 0
    }

    pub fn stream(&self) -> u32 {
        u32::from_be_bytes([self.raw[5], self.raw[6], self.raw[7], self.raw[8]]) & 0x7FFF_FFFF
    }
}

/// Where one direction of a connection is.
#[derive(Clone, Default)]
pub(super) struct FrameCutter {
    head: FrameHead,
    head_octets: usize,
    /// Octets to come before the next header.
    left: u32,
}

impl FrameCutter {
    /// One that passes so many octets over first.
    pub fn behind(octets: u32) -> FrameCutter {
        FrameCutter { left: octets, ..FrameCutter::default() }
    }

    /// Whether a frame has begun that is not whole yet.
    pub fn is_within_frame(&self) -> bool {
        self.left > 0 || self.head_octets > 0
    }

    /// The header that came last.
    pub fn head(&self) -> &FrameHead {
        &self.head
    }

    /// Octets of its frame that are still to come.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Cut off what is at the front of `octets`; None: nothing is left.
    #[inline]
    pub fn next<'o>(&mut self, octets: &mut &'o [u8]) -> Option<Piece<'o>> {
        if octets.is_empty() {
            return None;
        }
        if self.left > 0 {
            let (now, rest) = octets.split_at(octets.len().min(self.left as usize));
            self.left -= now.len() as u32;
            *octets = rest;
            return Some(Piece::Payload(now));
        }
        let part = octets.len().min(FRAME_HEADER_OCTETS - self.head_octets);
        self.head.raw[self.head_octets..self.head_octets + part].copy_from_slice(&octets[..part]);
        self.head_octets += part;
        *octets = &octets[part..];
        if self.head_octets < FRAME_HEADER_OCTETS {
            return None;
        }
        self.head_octets = 0;
        self.left = self.head.octets();
        Some(Piece::Head(self.head))
    }
}

/// Put a frame behind `octets`.
pub(super) fn put_frame(octets: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    octets.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    octets.extend_from_slice(&[kind, flags]);
    octets.extend_from_slice(&stream.to_be_bytes());
    octets.extend_from_slice(payload);
}
