//! Looks at the frames that leave on an HTTP/2 connection: what of them is answers, and which requests are refused.
//!
//! Knows: where a frame begins, which kinds are which (RFC 9113 §6), what the library says of its own accord.  Does not
//! know: streams, how the library comes to say so.
//! Theory: octets that leave are no sign that a client takes its answers: each PING of its own is answered, too.  And
//! the library refuses some requests before anybody here has seen them, and tells nobody but the client.

use arrayvec::ArrayVec;

use super::frame_cutter::{
    FrameCutter, FrameHead, Piece, DATA_FRAME, FLAG_END_STREAM, GOAWAY_FRAME, HEADERS_FRAME, RESET_FRAME,
};
use super::resting::Said;

/// The longest that is looked at whole; what refuses a request is shorter.
const SHORT_OCTETS_MAX: usize = 40;

/// REFUSED_STREAM (RFC 9113 §7): as many requests are open as may be.
const REFUSED_STREAM: [u8; 4] = 7u32.to_be_bytes();

/// What the library says, behind the last stream and a code, when headers are over four times their bound.
const FAR_TOO_LARGE: &[u8] = b"header_list_way_too_large";
const GOAWAY_HEAD_OCTETS: usize = 8;

/// One connection's.
#[derive(Default)]
pub struct SentFrames {
    cutter: FrameCutter,
    /// What has left of a frame that is looked at whole.
    short: ArrayVec<u8, SHORT_OCTETS_MAX>,
    said: Said,
    /// Octets of answers that left.
    pub answer_octets: u64,
    /// What was refused.
    pub refused: RefusedByLibrary,
}

/// What the library refused by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedByLibrary {
    /// Requests, because too many are open.
    pub streams: u64,
    /// Requests whose headers are too large: each got status 431.
    pub headers: u64,
    /// Whether the connection ended for headers that are far too large.
    pub is_over_by_headers: bool,
}

impl SentFrames {
    /// These octets leave.
    pub fn take(&mut self, mut octets: &[u8]) {
        while let Some(piece) = self.cutter.next(&mut octets) {
            match piece {
                Piece::Head(head) => {
                    self.short.clear();
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
        let head = *self.cutter.head();
        match head.kind() {
            DATA_FRAME => self.answer_octets += octets.len() as u64,
            RESET_FRAME | GOAWAY_FRAME => self.take_short(&head, octets),
            // An answer's octets come behind its headers, so these end nothing.
            HEADERS_FRAME if head.has(FLAG_END_STREAM) => self.take_short(&head, octets),
            _ => self.said.go_on(&head, octets),
        }
    }

    fn take_short(&mut self, head: &FrameHead, octets: &[u8]) {
        if head.octets() as usize > SHORT_OCTETS_MAX {
            return;
        }
        let _ = self.short.try_extend_from_slice(octets);
        if self.cutter.left() > 0 {
            return;
        }
        let refused = &mut self.refused;
        match head.kind() {
            RESET_FRAME => refused.streams += u64::from(self.short[..] == REFUSED_STREAM),
            GOAWAY_FRAME => {
                refused.is_over_by_headers |= self.short.get(GOAWAY_HEAD_OCTETS..) == Some(FAR_TOO_LARGE);
            }
            // What is answered here has a date; 431 the library says with a status alone.
            _ => refused.headers += u64::from(is_one_field(&self.short)),
        }
    }
}

/// Whether a block of headers is a single field (RFC 7541 §6), behind changes of the table's size.
fn is_one_field(mut block: &[u8]) -> bool {
    const INDEXED: u8 = 0x80;
    const INCREMENTAL: u8 = 0x40;
    const TABLE_SIZE: u8 = 0x20;
    while let Some(&first) = block.first() {
        let is_whole = match first {
            INDEXED.. => skip_number(&mut block, 7).is_some(),
            INCREMENTAL.. => skip_field(&mut block, 6),
            TABLE_SIZE.. => match skip_number(&mut block, 5) {
                Some(_) => continue,
                None => false,
            },
            _ => skip_field(&mut block, 4),
        };
        return is_whole && block.is_empty();
    }
    false
}

/// Skip a field that stands there as text; false: it is not whole.
fn skip_field(block: &mut &[u8], prefix_bits: u8) -> bool {
    let Some(name) = skip_number(block, prefix_bits) else { return false };
    (name > 0 || skip_text(block)) && skip_text(block)
}

fn skip_text(block: &mut &[u8]) -> bool {
    let rest = skip_number(block, 7).and_then(|octets| block.get(octets..));
    rest.map(|rest| *block = rest).is_some()
}

/// A number whose first octet has so many bits of it (RFC 7541 §5.1); None: it is not whole, or larger than any here.
fn skip_number(block: &mut &[u8], prefix_bits: u8) -> Option<usize> {
    let (&first, mut rest) = block.split_first()?;
    let mask = (1u8 << prefix_bits) - 1;
    let mut number = usize::from(first & mask);
    if first & mask == mask {
        for shift in [0, 7, 14] {
            let (&octet, behind) = rest.split_first()?;
            rest = behind;
            number += usize::from(octet & 0x7F) << shift;
            if octet & 0x80 == 0 {
                *block = rest;
                return Some(number);
            }
        }
        return None;
    }
    *block = rest;
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::frame_cutter::{put_frame, FLAG_END_HEADERS};

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        framed(kind, 0, payload)
    }

    fn framed(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut octets = Vec::new();
        put_frame(&mut octets, kind, flags, 1, payload);
        octets
    }

    #[test]
    fn answers_and_refusals_are_counted_however_they_leave() {
        let frames = [
            frame(4, &[0; 18]),
            frame(1, &[0x88; 40]),
            frame(DATA_FRAME, &[7; 60]),
            frame(6, &[7; 8]),
            frame(RESET_FRAME, &REFUSED_STREAM),
            frame(RESET_FRAME, &8u32.to_be_bytes()),
            frame(DATA_FRAME, &[]),
            frame(RESET_FRAME, &REFUSED_STREAM),
            frame(DATA_FRAME, &[0; 40]),
        ]
        .concat();
        for size in [1, 2, 5, 13, frames.len()] {
            let mut sent = SentFrames::default();
            frames.chunks(size).for_each(|part| sent.take(part));
            assert_eq!((sent.answer_octets, sent.refused.streams), (100, 2));
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
        assert_eq!((sent.answer_octets, sent.refused), (0, RefusedByLibrary::default()));
    }

    #[test]
    fn a_status_alone_is_the_librarys_and_one_with_more_is_ours() {
        let status =
            [&b"\x48\x82\x68\x1f"[..], b"\xbf", b"\x08\x03431", b"\x3f\xe1\x1f\x48\x03431", b"\x20\xbe"];
        let ours = [
            &b"\x8c\xbe"[..],
            b"\x48\x82\x68\x1f\xbe",
            b"\x8d\x61\x96\xdf\x3d\xbf\x4a\x01\xa5\x35\x11\x2a\x08\x01\x65\x40",
            // Not whole, or nothing at all.
            b"\x48\x83\x68\x1f",
            b"\x48\xff\xff\xff\xff\x7f",
            b"\x3f\xe1",
            b"\x20",
            b"",
        ];
        for (blocks, count) in [(&status[..], status.len() as u64), (&ours[..], 0)] {
            for size in [1, 4, 100] {
                let mut sent = SentFrames::default();
                for block in blocks {
                    let refused = framed(HEADERS_FRAME, FLAG_END_STREAM | FLAG_END_HEADERS, block);
                    refused.chunks(size).for_each(|part| sent.take(part));
                    // Where a body follows, whatever stands there is an answer.
                    sent.take(&framed(HEADERS_FRAME, FLAG_END_HEADERS, block));
                }
                assert_eq!(sent.refused.headers, count);
            }
        }
    }

    #[test]
    fn an_end_for_headers_is_known_by_its_text() {
        let mut sent = SentFrames::default();
        sent.take(&frame(GOAWAY_FRAME, &[0; GOAWAY_HEAD_OCTETS]));
        sent.take(&frame(GOAWAY_FRAME, b"\0\0\0\x01\0\0\0\x0btoo_many_resets"));
        sent.take(&frame(GOAWAY_FRAME, &[7; 100]));
        assert!(!sent.refused.is_over_by_headers);
        sent.take(&frame(GOAWAY_FRAME, &[&[0; GOAWAY_HEAD_OCTETS], FAR_TOO_LARGE].concat()));
        assert!(sent.refused.is_over_by_headers);
    }
}
