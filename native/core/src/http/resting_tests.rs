//! What a resting connection is taken up with, frame by frame.
//!
//! Knows: both sides of a connection, in pieces of any size.  Does not know: the library.

use super::*;
use crate::http::{FrameGuard, SentFrames};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    put_frame(&mut octets, kind, flags, stream, payload);
    octets
}

fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let octets = |&(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS_FRAME, 0, 0, &all.iter().map(octets).collect::<Vec<_>>().concat())
}

/// A connection of which both sides say what they say in pieces of so many octets.
struct Play {
    guard: FrameGuard,
    sent: SentFrames,
    piece: usize,
}

impl Play {
    fn new(piece: usize) -> Play {
        let mut play = Play { guard: FrameGuard::default(), sent: SentFrames::default(), piece };
        play.client(PREFACE);
        play.client(&settings(&[(1, 4096), (4, 65_536), (15, 1)]));
        play.client(&frame(WINDOW_UPDATE_FRAME, 0, 0, &1_000_000u32.to_be_bytes()));
        play.server(&settings(&[(3, 100)]));
        play.server(&frame(SETTINGS_FRAME, FLAG_ACK, 0, b""));
        play.server(&frame(WINDOW_UPDATE_FRAME, 0, 0, &65_535u32.to_be_bytes()));
        play.client(&frame(SETTINGS_FRAME, FLAG_ACK, 0, b""));
        play
    }

    fn client(&mut self, octets: &[u8]) {
        octets.chunks(self.piece).for_each(|piece| self.guard.take(piece).unwrap());
    }

    fn server(&mut self, octets: &[u8]) {
        octets.chunks(self.piece).for_each(|piece| self.sent.take(piece));
    }

    fn ask(&mut self, stream: u32) {
        self.client(&frame(HEADERS_FRAME, FLAG_END_HEADERS, stream, b"head"));
        self.client(&frame(DATA_FRAME, FLAG_END_STREAM, stream, &[7; 40]));
    }

    fn answer(&mut self, stream: u32) {
        self.server(&frame(HEADERS_FRAME, FLAG_END_HEADERS, stream, b"head"));
        self.server(&frame(DATA_FRAME, FLAG_END_STREAM, stream, &[7; 100]));
    }

    fn rest(&self) -> Option<Rest> {
        Rest::of(self.guard.heard(), self.sent.said())
    }
}

#[test]
fn a_connection_rests_when_every_request_has_its_answer_and_is_told_what_was_said() {
    for piece in [1, 2, 5, 9, 4096] {
        let mut play = Play::new(piece);
        assert!(play.rest().is_some());
        play.ask(1);
        assert!(play.rest().is_none());
        play.answer(1);
        play.ask(3);
        play.answer(3);
        let rest = play.rest().unwrap();
        let opening = [
            PREFACE,
            &settings(&[(1, 4096), (4, 65_536)]),
            &frame(WINDOW_UPDATE_FRAME, 0, 0, &(1_000_000u32 - 200).to_be_bytes()),
            &frame(SETTINGS_FRAME, FLAG_ACK, 0, b""),
            &frame(HEADERS_FRAME, FLAG_END_STREAM | FLAG_END_HEADERS, 3, b""),
        ]
        .concat();
        assert_eq!(rest.opening(), opening);
    }
}

#[test]
fn a_client_agrees_to_use_no_table_before_its_connection_rests() {
    let mut play = Play::new(4096);
    assert!(!play.rest().unwrap().is_agreed());
    play.server(NO_TABLE);
    assert!(play.rest().is_none(), "it has not agreed yet");
    play.client(&frame(SETTINGS_FRAME, FLAG_ACK, 0, b""));
    assert!(play.rest().unwrap().is_agreed());
}

#[test]
fn the_library_hears_all_but_the_agreement_that_it_has_not_asked_for() {
    let said = [
        frame(PING_FRAME, 0, 0, &[4; 8]),
        frame(HEADERS_FRAME, FLAG_END_HEADERS | FLAG_END_STREAM, 5, &[4, 1, 0, 0, 0, 0]),
        frame(SETTINGS_FRAME, FLAG_ACK, 0, b""),
        settings(&[(4, 7)]),
        frame(SETTINGS_FRAME, FLAG_ACK, 0, b""),
    ];
    let wanted = [&said[..2], &said[3..]].concat().concat();
    for piece in [1, 4, 9, 4096] {
        let (mut hushed, mut kept) = (Hushed::default(), Vec::new());
        for piece in said.concat().chunks(piece) {
            hushed.take(piece, &mut kept);
        }
        assert_eq!(kept, wanted);
        assert!(hushed.is_over());
    }
    assert!(!Hushed::default().is_over());
}

#[test]
fn a_setting_that_comes_later_counts() {
    let mut play = Play::new(4096);
    play.client(&settings(&[(4, 7)]));
    assert!(play.rest().is_none(), "it has no answer yet");
    play.server(&frame(SETTINGS_FRAME, FLAG_ACK, 0, b""));
    let expected = settings(&[(1, 4096), (4, 7)]);
    let opening = play.rest().unwrap().opening();
    assert_eq!(opening[PREFACE.len()..][..expected.len()], expected);
}

#[test]
fn what_is_not_plain_keeps_a_connection_as_it_is() {
    let unsettled = |play: &mut Play| play.server(&frame(SETTINGS_FRAME, 0, 0, b""));
    let with_ping = |play: &mut Play| play.client(&frame(PING_FRAME, 0, 0, &[0; 8]));
    let taken_back = |play: &mut Play| {
        play.ask(1);
        play.client(&frame(RESET_FRAME, 0, 1, &[0; 4]));
        play.answer(1);
    };
    let refused = |play: &mut Play| {
        play.ask(1);
        play.server(&frame(RESET_FRAME, 0, 1, &[0; 4]));
    };
    let leaving = |play: &mut Play| play.client(&frame(GOAWAY_FRAME, 0, 0, &[0; 8]));
    let told_to_leave = |play: &mut Play| play.server(&frame(GOAWAY_FRAME, 0, 0, &[0; 8]));
    let narrow = |play: &mut Play| {
        play.ask(1);
        for _ in 0..100 {
            play.server(&frame(DATA_FRAME, 0, 1, &[0; 16_384]));
        }
        play.answer(1);
    };
    let without_end = |play: &mut Play| {
        play.client(&frame(HEADERS_FRAME, FLAG_END_HEADERS, 1, b"head"));
        play.answer(1);
    };
    let cases: [&dyn Fn(&mut Play); 8] =
        [&unsettled, &with_ping, &taken_back, &refused, &leaving, &told_to_leave, &narrow, &without_end];
    for (number, case) in cases.iter().enumerate() {
        let mut play = Play::new(4096);
        case(&mut play);
        assert!(play.rest().is_none(), "{number}");
    }
    let mut play = Play::new(4096);
    with_ping(&mut play);
    play.server(&frame(PING_FRAME, FLAG_ACK, 0, &[0; 8]));
    assert!(play.rest().is_some());
}

#[test]
fn of_what_a_new_instance_says_only_what_is_new_is_sent() {
    let mut play = Play::new(4096);
    play.ask(1);
    play.answer(1);
    let rest = play.rest().unwrap();
    let said = [
        frame(SETTINGS_FRAME, 0, 0, &[0; 30]),
        frame(SETTINGS_FRAME, FLAG_ACK, 0, b""),
        frame(PING_FRAME, FLAG_ACK, 0, &[3; 8]),
        frame(RESET_FRAME, 0, 1, &[0, 0, 0, 1]),
        frame(HEADERS_FRAME, FLAG_END_HEADERS, 3, b"head"),
        frame(WINDOW_UPDATE_FRAME, 0, 0, &65_535u32.to_be_bytes()),
        frame(DATA_FRAME, FLAG_END_STREAM, 3, &[5; 20]),
        frame(WINDOW_UPDATE_FRAME, 0, 0, &40u32.to_be_bytes()),
        frame(RESET_FRAME, 0, 1, &[0, 0, 0, 1]),
        frame(SETTINGS_FRAME, FLAG_ACK, 0, b""),
    ];
    let mut wanted: Vec<Vec<u8>> = [2, 4, 5, 6, 7, 8, 9].map(|number: usize| said[number].clone()).to_vec();
    // What the client has sent since is made good.
    wanted[2] = frame(WINDOW_UPDATE_FRAME, 0, 0, &40u32.to_be_bytes());
    for piece in [1, 3, 10, 4096] {
        let (mut retold, mut kept) = (rest.retold(131_070), Vec::new());
        for piece in said.concat().chunks(piece) {
            retold.take(piece, &mut kept);
        }
        assert_eq!(kept, wanted.concat());
        assert!(retold.is_over());
    }
    let (mut retold, mut kept) = (rest.retold(131_070), Vec::new());
    retold.take(&said[..3].concat(), &mut kept);
    assert!(!retold.is_over());
}

#[test]
fn a_client_that_changes_the_table_of_its_headers_keeps_the_library() {
    let mut play = Play::new(4096);
    let mut agree = |size: u32| {
        play.client(&settings(&[(HEADER_TABLE_SIZE, size)]));
        play.server(&frame(SETTINGS_FRAME, FLAG_ACK, 0, b""));
        play.rest().is_some()
    };
    assert!(agree(4096), "it says the same again");
    assert!(!agree(0), "our headers told it of that size, and a new instance would not tell it of another");
    assert!(!agree(4096));
}
