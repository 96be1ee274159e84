//! How others reach one thread: signals, commands, questions to ask for streams; and what it counts.
//!
//! Knows: who wakes whom.  Does not know: what a thread does with any of it.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::counters::Counters;
use crate::epoll::EventFd;
use crate::shared_flow::{SharedFlow, ThreadCounts};
use crate::signals::Signals;
use crate::stream_asks::StreamAsks;

/// What the plane asks of a thread.
pub enum Command {
    /// Python is done with this ticket's attempt and its question.
    Close(u64),
    /// Hand over every attempt in flight.
    HandOverAll,
}

/// There are commands.
pub const SIGNAL_COMMANDS: u32 = 1;
/// Read no more queries.
pub const SIGNAL_STOP_READING: u32 = 2;
/// End.
pub const SIGNAL_STOP: u32 = 4;
/// Panic at the next query (tests).
pub const SIGNAL_PANIC: u32 = 8;
/// Give back sockets that rest.
pub const SIGNAL_SHED: u32 = 16;
/// There are questions of streams to ask.
pub const SIGNAL_ASKS: u32 = 32;
/// There are news for a thread with streams.
pub const SIGNAL_NEWS: u32 = 64;
/// Whoever looks takes it away: a thread that leaves it lying does not look.
pub const SIGNAL_PULSE: u32 = 128;

/// The plane's side of one thread; what that looks at in every turn is on cache lines of its own.
#[repr(align(128))]
pub struct Mailbox {
    /// Set bits are looked at once per turn.
    pub signals: Signals,
    /// Written after a signal, for a thread that waits.
    pub wakeup: EventFd,
    commands: Mutex<Vec<Command>>,
    /// Questions of streams that it is to ask, if it has a datagram socket.
    pub asks: StreamAsks,
    /// Its totals.
    pub counters: Arc<Counters>,
    /// Its counts.
    pub counts: Arc<Mutex<ThreadCounts>>,
}

impl Mailbox {
    /// Fails when the process has no descriptors left.
    ///
    /// `record_octets`: room for its records.
    pub fn new(shared_flow: &SharedFlow, record_octets: usize) -> std::io::Result<Mailbox> {
        Mailbox::of(shared_flow.new_counts(record_octets))
    }

    /// That of a thread with these counts.  Fails when the process has no descriptors left.
    pub fn of(counts: Arc<Mutex<ThreadCounts>>) -> std::io::Result<Mailbox> {
        Ok(Mailbox {
            signals: Signals::new(),
            wakeup: EventFd::new()?,
            commands: Mutex::default(),
            asks: StreamAsks::default(),
            counters: Arc::default(),
            counts,
        })
    }

    /// Set a signal and wake the thread.
    pub fn signal(&self, bits: u32) {
        if self.signals.set(bits) {
            self.wakeup.notify();
        }
    }

    /// The thread was woken: clear the wake-up, and only then look at the signals; which are set.
    pub fn hear(&self) -> u32 {
        self.wakeup.clear();
        self.signals.look_again()
    }

    /// The thread looks at its signals: it lives.
    pub fn beat(&self, signals: u32) {
        if signals & SIGNAL_PULSE != 0 {
            self.signals.take(SIGNAL_PULSE);
        }
    }

    /// Ask for another sign of life; whether there was one since the last call.
    pub fn has_beaten(&self) -> bool {
        let has_beaten = self.signals.set(SIGNAL_PULSE);
        self.wakeup.notify();
        has_beaten
    }

    /// Whether the query now at hand is to panic; asked once per batch.
    pub fn panics_next(&self) -> bool {
        self.signals.have(SIGNAL_PANIC) && self.signals.take(SIGNAL_PANIC)
    }

    /// Give a command.
    pub fn command(&self, command: Command) {
        self.commands.lock().push(command);
        self.signal(SIGNAL_COMMANDS);
    }

    /// The commands given since the last call.
    pub fn take_commands(&self) -> Vec<Command> {
        self.signals.take(SIGNAL_COMMANDS);
        std::mem::take(&mut self.commands.lock())
    }
}
