//! Reads settings, and what is added to the connection's window, out of frames that come in pieces.
//!
//! Knows: how both are laid out (RFC 9113 §6.5.1, §6.9).  Does not know: who says them, what becomes of them.

use super::frame_cutter::{FrameHead, SETTINGS_FRAME, WINDOW_UPDATE_FRAME};

/// The setting that bounds the table of whoever compresses headers for the one who sends it.
pub(super) const HEADER_TABLE_SIZE: u16 = 1;

const SETTING_OCTETS: usize = 6;
const INCREMENT_OCTETS: usize = 4;
/// The highest bit says nothing.
const INCREMENT_MASK: u32 = 0x7FFF_FFFF;

/// One that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameValue {
    /// A setting's name and value.
    Setting(u16, u32),
    /// Octets that the connection's window grows by.
    Increment(u32),
}

/// Where one direction of a connection is.
#[derive(Clone, Default)]
pub(super) struct FrameValues {
    part: u64,
    part_octets: usize,
}

impl FrameValues {
    /// A frame begins; what was not whole in the one before is nothing.
    #[inline]
    pub fn begin(&mut self) {
        *self = FrameValues::default();
    }

    /// Cut the next value off the front of `octets`, which are `head`'s; None: nothing is left that makes one.
    #[inline]
    pub fn next(&mut self, head: &FrameHead, octets: &mut &[u8]) -> Option<FrameValue> {
        let whole_octets = match head.kind() {
            SETTINGS_FRAME => SETTING_OCTETS,
            WINDOW_UPDATE_FRAME if head.stream() == 0 => INCREMENT_OCTETS,
            _ => return None,
        };
        while let Some((&octet, rest)) = octets.split_first() {
            *octets = rest;
            self.part = self.part << 8 | u64::from(octet);
            self.part_octets += 1;
            if self.part_octets == whole_octets {
                let whole = std::mem::take(self).part;
                return Some(match head.kind() {
                    SETTINGS_FRAME => FrameValue::Setting((whole >> 32) as u16, whole as u32),
                    _ => FrameValue::Increment(whole as u32 & INCREMENT_MASK),
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::frame_cutter::{put_frame, FrameCutter, Piece, DATA_FRAME};

    #[test]
    fn values_are_read_whole_in_whatever_pieces_they_come() {
        let mut octets = Vec::new();
        let two = [0, 1, 0, 0, 0x10, 0, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF];
        put_frame(&mut octets, SETTINGS_FRAME, 0, 0, &two);
        // What is too short for a value leaves nothing behind.
        put_frame(&mut octets, SETTINGS_FRAME, 0, 0, &[0, 1, 0]);
        put_frame(&mut octets, WINDOW_UPDATE_FRAME, 0, 0, &[0x80, 0, 1, 2]);
        put_frame(&mut octets, WINDOW_UPDATE_FRAME, 0, 3, &[0, 0, 0, 9]);
        put_frame(&mut octets, DATA_FRAME, 0, 3, &[7; 12]);
        let expected =
            [FrameValue::Setting(1, 4096), FrameValue::Setting(4, u32::MAX), FrameValue::Increment(0x102)];
        for size in [1, 2, 5, 7, octets.len()] {
            let (mut cutter, mut values, mut read) =
                (FrameCutter::default(), FrameValues::default(), Vec::new());
            for mut piece in octets.chunks(size) {
                while let Some(cut) = cutter.next(&mut piece) {
                    match cut {
                        Piece::Head(_) => values.begin(),
                        Piece::Payload(mut payload) => {
                            while let Some(value) = values.next(cutter.head(), &mut payload) {
                                read.push(value);
                            }
                        }
                    }
                }
            }
            assert_eq!(read, expected, "{size}");
        }
    }
}
