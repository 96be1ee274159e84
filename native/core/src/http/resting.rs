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
use super::frame_values::{FrameValue, FrameValues, HEADER_TABLE_SIZE};

/// With what a client begins (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The window of a connection at its beginning, either way (RFC 9113 §6.9.2).
const WINDOW_AT_FIRST: i64 = 65_535;
const WINDOW_MAX: i64 = 0x7FFF_FFFF;

/// Settings from 1 to 8 are kept; those that the library does not know it passes over itself (RFC 9113 §6.5.2).
const SETTINGS_KEPT: usize = 9;

/// What a client has said on its connection.
#[derive(Clone, Default)]
pub struct Heard {
    settings: [Option<u32>; SETTINGS_KEPT],
    values: FrameValues,
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
        self.values.begin();
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
    pub(super) fn go_on(&mut self, head: &FrameHead, mut octets: &[u8]) {
        while let Some(value) = self.values.next(head, &mut octets) {
            match value {
                FrameValue::Setting(name, value) => self.set(name, value),
                FrameValue::Increment(octets) => self.window_added += i64::from(octets),
            }
        }
    }

    fn set(&mut self, name: u16, value: u32) {
        if let Some(kept) = self.settings.get_mut(usize::from(name)) {
            // The client was told of its table's size in our headers; a new instance would not tell it of another.
            if name == HEADER_TABLE_SIZE && kept.is_some_and(|before| before != value) {
                self.is_plain.0 = false;
            }
            *kept = Some(value);
        }
    }
}

/// What a client was told on its connection.
#[derive(Clone, Default)]
pub struct Said {
    values: FrameValues,
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
        self.values.begin();
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
    pub(super) fn go_on(&mut self, head: &FrameHead, mut octets: &[u8]) {
        while let Some(value) = self.values.next(head, &mut octets) {
            match value {
                FrameValue::Setting(HEADER_TABLE_SIZE, value) => self.table_octets = Some(value),
                FrameValue::Setting(..) => {}
                FrameValue::Increment(octets) => self.window_added += i64::from(octets),
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
#[path = "resting_tests.rs"]
mod tests;
