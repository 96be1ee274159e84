//! What has to be known of a quiet HTTP/2 connection so that it can go on with a new instance of the library.
//!
//! Knows: the parts of a connection's state that outlive its requests (RFC 9113): the client's settings, both windows of
//! the connection, which stream was the last; how the library begins.  Does not know: sockets, the library's insides, time.
//! Theory: the library keeps some 20 kB for a connection, most of it buffers, as long as it is open, and most
//! connections are quiet most of the time.  When no request is open, all that counts is a few numbers.  So the
//! library's state is thrown away, and when the client says something, a new one is told what the client said in the
//! beginning (`Rest::opening`), and what it says to that, which the client has heard long ago, is left out (`Retold`).
//! That can only be where the client's compression of headers refers to nothing that was sent before.  So when it is
//! quiet for the first time it is told to use no table any more (SETTINGS_HEADER_TABLE_SIZE 0); when it has agreed
//! (`Hushed`: the library has not asked for that), the connection rests.  Whatever is not plain (a request that was
//! taken back, a window smaller than at the start) keeps the connection as it is.

use super::frame_cutter::{
    put_frame, FrameCutter, FrameHead, Piece, DATA_FRAME, FLAG_ACK, FLAG_END_HEADERS, FLAG_END_STREAM,
    GOAWAY_FRAME, HEADERS_FRAME, PING_FRAME, PUSH_PROMISE_FRAME, RESET_FRAME, SETTINGS_FRAME,
    WINDOW_UPDATE_FRAME,
};

/// With what a client begins (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The window of a connection at its beginning, either way (RFC 9113 §6.9.2).
const WINDOW_AT_FIRST: i64 = 65_535;
const WINDOW_MAX: i64 = 0x7FFF_FFFF;

const SETTING_OCTETS: usize = 6;
const HEADER_TABLE_SIZE: u16 = 1;
const INCREMENT_OCTETS: usize = 4;
/// Settings from 1 to 8 are kept; those that the library does not know it passes over itself (RFC 9113 §6.5.2).
const SETTINGS_KEPT: usize = 9;

/// What a client has said on its connection.
#[derive(Clone, Default)]
pub struct Heard {
    settings: [Option<u32>; SETTINGS_KEPT],
    /// Octets of a setting or an increment that is not whole yet.
    part: u64,
    part_octets: usize,
    window_added: i64,
    data_octets: i64,
    requests: u32,
    ended: u32,
    last_stream: u32,
    /// Our settings that it has agreed to.
    agreed: u32,
    /// Its settings and pings, which have to be answered.
    to_answer: u32,
    is_plain: Plain,
}

/// Whether nothing has happened that this file does not follow.
#[derive(Clone)]
struct Plain(bool);

impl Default for Plain {
    fn default() -> Plain {
        Plain(true)
    }
}

impl Heard {
    /// A frame begins.
    #[inline]
    pub(super) fn begin(&mut self, head: &FrameHead) {
        (self.part, self.part_octets) = (0, 0);
        match head.kind() {
            DATA_FRAME => {
                self.data_octets += i64::from(head.octets());
                self.ended += u32::from(head.has(FLAG_END_STREAM));
            }
            HEADERS_FRAME => {
                if head.stream() > self.last_stream {
                    self.last_stream = head.stream();
                    self.requests += 1;
                }
                self.ended += u32::from(head.has(FLAG_END_STREAM));
            }
            SETTINGS_FRAME if head.has(FLAG_ACK) => self.agreed += 1,
            SETTINGS_FRAME => self.to_answer += 1,
            PING_FRAME if !head.has(FLAG_ACK) => self.to_answer += 1,
            RESET_FRAME | GOAWAY_FRAME | PUSH_PROMISE_FRAME => self.is_plain.0 = false,
            _ => {}
        }
    }

    /// More of that frame.
    #[inline]
    pub(super) fn go_on(&mut self, head: &FrameHead, octets: &[u8]) {
        let (whole_octets, is_setting) = match head.kind() {
            SETTINGS_FRAME => (SETTING_OCTETS, true),
            WINDOW_UPDATE_FRAME if head.stream() == 0 => (INCREMENT_OCTETS, false),
            _ => return,
        };
        for &octet in octets {
            self.part = self.part << 8 | u64::from(octet);
            self.part_octets += 1;
            if self.part_octets == whole_octets {
                if is_setting {
                    self.set((self.part >> 32) as u16, self.part as u32);
                } else {
                    self.window_added += (self.part & 0x7FFF_FFFF) as i64;
                }
                (self.part, self.part_octets) = (0, 0);
            }
        }
    }

    fn set(&mut self, name: u16, value: u32) {
        if let Some(kept) = self.settings.get_mut(usize::from(name)) {
            *kept = Some(value);
        }
    }
}

/// What a client was told on its connection.
#[derive(Clone, Default)]
pub struct Said {
    /// Octets of a setting or an increment that is not whole yet.
    part: u64,
    part_octets: usize,
    window_added: i64,
    data_octets: i64,
    ended: u32,
    settings: u32,
    /// What it was told last of the table for its headers.
    table_octets: Option<u32>,
    answered: u32,
    is_plain: Plain,
}

impl Said {
    /// A frame begins.
    #[inline]
    pub(super) fn begin(&mut self, head: &FrameHead) {
        (self.part, self.part_octets) = (0, 0);
        match head.kind() {
            DATA_FRAME => {
                self.data_octets += i64::from(head.octets());
                self.ended += u32::from(head.has(FLAG_END_STREAM));
            }
            HEADERS_FRAME => self.ended += u32::from(head.has(FLAG_END_STREAM)),
            SETTINGS_FRAME | PING_FRAME if head.has(FLAG_ACK) => self.answered += 1,
            SETTINGS_FRAME => self.settings += 1,
            RESET_FRAME | GOAWAY_FRAME => self.is_plain.0 = false,
            _ => {}
        }
    }

    /// More of that frame.
    #[inline]
    pub(super) fn go_on(&mut self, head: &FrameHead, octets: &[u8]) {
        let (whole_octets, is_setting) = match head.kind() {
            SETTINGS_FRAME => (SETTING_OCTETS, true),
            WINDOW_UPDATE_FRAME if head.stream() == 0 => (INCREMENT_OCTETS, false),
            _ => return,
        };
        for &octet in octets {
            self.part = self.part << 8 | u64::from(octet);
            self.part_octets += 1;
            if self.part_octets == whole_octets {
                if !is_setting {
                    self.window_added += (self.part & 0x7FFF_FFFF) as i64;
                } else if (self.part >> 32) as u16 == HEADER_TABLE_SIZE {
                    self.table_octets = Some(self.part as u32);
                }
                (self.part, self.part_octets) = (0, 0);
            }
        }
    }
}

/// Tells a client to use no table for its headers any more.
pub const NO_TABLE: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x01\0\0\0\0";

/// Leaves out of what a client says its agreement to what the library has not asked for.
#[derive(Clone, Default)]
pub struct Hushed {
    cutter: FrameCutter,
    is_over: bool,
}

impl Hushed {
    /// Whether it has come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over && !self.cutter.is_within_frame()
    }

    /// The client says `octets`: what the library is to hear is put behind `kept`.  Begin where a frame does.
    pub fn take(&mut self, mut octets: &[u8], kept: &mut Vec<u8>) {
        while let Some(piece) = self.cutter.next(&mut octets) {
            match piece {
                Piece::Head(head) => {
                    let is_agreement = head.kind() == SETTINGS_FRAME && head.has(FLAG_ACK);
                    // It has no payload (RFC 9113 §6.5).
                    if is_agreement && head.octets() == 0 && !self.is_over {
                        self.is_over = true;
                    } else {
                        kept.extend_from_slice(&head.raw);
                    }
                }
                Piece::Payload(octets) => kept.extend_from_slice(octets),
            }
        }
    }
}

/// What is kept of a connection that rests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    settings: [Option<u32>; SETTINGS_KEPT],
    /// What we may send.
    send_window: i64,
    /// What the client may.
    receive_window: i64,
    last_stream: u32,
    has_no_table: bool,
}

impl Rest {
    /// Of a connection that was told `said`; None: something is open, or was not plain.
    #[must_use]
    pub fn of(heard: &Heard, said: &Said) -> Option<Rest> {
        let send_window = WINDOW_AT_FIRST + heard.window_added - said.data_octets;
        let receive_window = WINDOW_AT_FIRST + said.window_added - heard.data_octets;
        let is_quiet = heard.requests == heard.ended
            && heard.requests == said.ended
            && heard.to_answer == said.answered
            && said.settings > 0
            && heard.agreed == said.settings;
        let is_plain = heard.is_plain.0
            && said.is_plain.0
            // A new instance cannot be told of a smaller window.
            && (WINDOW_AT_FIRST..=WINDOW_MAX).contains(&send_window)
            && (0..=WINDOW_MAX).contains(&receive_window);
        (is_quiet && is_plain).then(|| Rest {
            settings: heard.settings,
            send_window,
            receive_window,
            last_stream: heard.last_stream,
            has_no_table: said.table_octets == Some(0),
        })
    }

    /// Whether the client has agreed to use no table; if not, it is to be told `NO_TABLE`.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        self.has_no_table
    }

    /// What a new instance is to read before what the client says next.
    #[must_use]
    pub fn opening(&self) -> Vec<u8> {
        let mut settings = Vec::new();
        for (name, value) in self.settings.iter().enumerate() {
            if let Some(value) = value {
                settings.extend_from_slice(&(name as u16).to_be_bytes());
                settings.extend_from_slice(&value.to_be_bytes());
            }
        }
        let mut octets = PREFACE.to_vec();
        put_frame(&mut octets, SETTINGS_FRAME, 0, 0, &settings);
        if self.send_window > WINDOW_AT_FIRST {
            let increment = (self.send_window - WINDOW_AT_FIRST) as u32;
            put_frame(&mut octets, WINDOW_UPDATE_FRAME, 0, 0, &increment.to_be_bytes());
        }
        put_frame(&mut octets, SETTINGS_FRAME, FLAG_ACK, 0, &[]);
        if self.last_stream > 0 {
            // A request without a head, which it resets by itself.  From it the instance knows which streams there
            // were: a client may still say something about those (RFC 9113 §5.1, closed).
            put_frame(&mut octets, HEADERS_FRAME, FLAG_END_STREAM | FLAG_END_HEADERS, self.last_stream, &[]);
        }
        octets
    }

    /// What of a new instance's first words the client has heard.  `window`: what the instance lets the client send,
    /// once it has said all.
    #[must_use]
    pub fn retold(&self, window: u32) -> Retold {
        Retold {
            cutter: FrameCutter::default(),
            awaits_settings: true,
            awaits_answer: true,
            awaits_window: true,
            awaited_reset: self.last_stream,
            window_to_add: (i64::from(window) - self.receive_window).max(0) as u32,
            is_leaving_out: false,
        }
    }
}

/// Leaves out of what a new instance says what the client has heard.
#[derive(Clone)]
pub struct Retold {
    cutter: FrameCutter,
    awaits_settings: bool,
    awaits_answer: bool,
    awaits_window: bool,
    awaited_reset: u32,
    window_to_add: u32,
    is_leaving_out: bool,
}

impl Retold {
    /// Whether everything has come, so that whatever is said from now on is new.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let awaits_any = self.awaits_settings || self.awaits_answer || self.awaits_window;
        !awaits_any && self.awaited_reset == 0 && !self.cutter.is_within_frame()
    }

    /// The instance says `octets`: what of it is new is put behind `kept`.
    pub fn take(&mut self, mut octets: &[u8], kept: &mut Vec<u8>) {
        while let Some(piece) = self.cutter.next(&mut octets) {
            match piece {
                Piece::Head(head) => {
                    self.is_leaving_out = self.was_heard(&head, kept);
                    if !self.is_leaving_out {
                        kept.extend_from_slice(&head.raw);
                    }
                }
                Piece::Payload(octets) if !self.is_leaving_out => kept.extend_from_slice(octets),
                Piece::Payload(_) => {}
            }
        }
    }

    fn was_heard(&mut self, head: &FrameHead, kept: &mut Vec<u8>) -> bool {
        match head.kind() {
            SETTINGS_FRAME if head.has(FLAG_ACK) => std::mem::take(&mut self.awaits_answer),
            SETTINGS_FRAME => std::mem::take(&mut self.awaits_settings),
            RESET_FRAME if self.awaited_reset > 0 && head.stream() == self.awaited_reset => {
                self.awaited_reset = 0;
                true
            }
            WINDOW_UPDATE_FRAME if head.stream() == 0 && self.awaits_window => {
                self.awaits_window = false;
                if self.window_to_add > 0 {
                    put_frame(kept, WINDOW_UPDATE_FRAME, 0, 0, &self.window_to_add.to_be_bytes());
                }
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FrameGuard, SentFrames};
    use super::*;

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
        let mut wanted: Vec<Vec<u8>> =
            [2, 4, 5, 6, 7, 8, 9].map(|number: usize| said[number].clone()).to_vec();
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
}
