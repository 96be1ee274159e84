//! One thread with streams: who has a turn, what a turn does.
//!
//! Knows: its listening sockets, its connections, in which order a turn does its work.  Does not know: why an answer is
//! what it is, what stands in a record of TLS.
//! Theory: first what others have put down for it, then what has come on sessions that are there, then a few steps of
//! handshakes, then new connections: so no handshake stands before an answer.  A turn has 2 ms; who is left then
//! stands in line, which goes round by clients.  A panic costs one query, and then the thread begins anew without
//! its connections.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread::sleep;

use resolver_core::flow::{client_key, Policy, Transport, STRANGER_IDLE_S};

use super::connection::{Swept, Unsealed};
use super::state::{ThreadLoop, LISTEN, STREAM_READ_OCTETS, SWEEP_EVERY_S, WAKEUP};
use crate::counters::add;
use crate::epoll::Ready;
use crate::lives::{live_again, Ended, PAUSE_MIN};
use crate::mailbox::{SIGNAL_STOP, SIGNAL_STOP_READING};
use crate::ring::WorkerEvent;
use crate::shared::Shared;
use crate::shared_flow::ThreadCounts;
use crate::slab::Handle;
use crate::stream_state::StreamDrop;
use crate::sys::monotonic;
use crate::tls_counts::TlsFailure;

/// Time of a turn, after which those who are left stand in line.
const ROUND_S_MAX: f64 = 0.002;
/// Steps of handshakes in a turn; each is some 0.2 ms of work.
const HANDSHAKES_PER_TURN_MAX: usize = 4;

/// A thread's lives, until it is told to stop.
pub fn run(shared: &Shared, number: u16) {
    let mailbox = &shared.streams.threads[usize::from(number)].letters.mailbox;
    live_again(
        mailbox,
        || live(shared, number).unwrap_or(Ended::Broken),
        |is_down| {
            let event = if is_down { WorkerEvent::StreamDown(number) } else { WorkerEvent::StreamUp(number) };
            shared.ring.notify(event);
        },
    );
}

/// From building the thread's state to its end; None: it could not be built, or panicked outside any query.
fn live(shared: &Shared, number: u16) -> Option<Ended> {
    let mut worker = catch_unwind(AssertUnwindSafe(|| ThreadLoop::new(shared, number))).ok()?.ok()?;
    let ended = catch_unwind(AssertUnwindSafe(|| worker.serve()));
    if ended.is_err() {
        add(&worker.letters.mailbox.counters.panics, 1);
    }
    let is_stopped = matches!(ended, Ok(Ended::Stopped));
    // Whatever state it is in: its clients' places are free, and what waits for answers is known to be nobody's.
    if catch_unwind(AssertUnwindSafe(|| worker.give_up(is_stopped))).is_err() {
        add(&worker.letters.mailbox.counters.panics, 1);
    }
    ended.ok()
}

impl ThreadLoop<'_> {
    fn serve(&mut self) -> Ended {
        loop {
            let signals = self.letters.mailbox.signals.all();
            self.letters.mailbox.beat(signals);
            if signals & SIGNAL_STOP != 0 {
                return Ended::Stopped;
            }
            if signals & SIGNAL_STOP_READING != 0 && self.is_reading {
                self.stop_reading();
            }
            self.turn();
            if self.panics > 0 {
                return Ended::Broken;
            }
            if let Some(pause) = self.gathering.pause(self.line.is_empty() && self.handshakes.is_empty()) {
                sleep(pause);
            }
        }
    }

    /// How long to wait for something, in milliseconds.
    fn patience_ms(&self) -> i32 {
        if !self.line.is_empty() || !self.handshakes.is_empty() {
            return 0;
        }
        ((self.doors.opens_at().min(self.sweep_at) - self.now) * 1000.0).ceil().clamp(0.0, 1000.0) as i32
    }

    fn turn(&mut self) {
        let patience_ms = self.patience_ms();
        if self.epoll.wait(&mut self.events, patience_ms).is_err() {
            // No reason for this is known; a pause keeps it from becoming a storm.
            sleep(PAUSE_MIN);
        }
        self.now = monotonic();
        self.began = self.now;
        self.gathering.begin();
        let letters = self.letters;
        let mut counts = letters.mailbox.counts.lock();
        let policy = self.flow().policy();
        let policy = policy.as_deref();
        self.take_news();
        let mut may_accept = false;
        let mut index = 0;
        while let Some((number, ready)) = self.events.ready(index) {
            index += 1;
            match number {
                WAKEUP => {
                    if letters.hear() {
                        self.take_news();
                    }
                }
                _ if number >= LISTEN => may_accept = true,
                _ => self.look_at(Handle::from_bits(number), ready, policy, &mut counts),
            }
        }
        self.judge(policy, &mut counts);
        self.serve_line(policy, &mut counts);
        self.go_on_with_handshakes(policy, &mut counts);
        if may_accept {
            self.accept_all();
        }
        if self.now >= self.doors.opens_at() {
            let _ = self.doors.open(&self.epoll, self.now);
        }
        if self.now >= self.sweep_at {
            self.sweep();
        }
    }

    fn has_time(&self) -> bool {
        self.now - self.began < ROUND_S_MAX
    }

    /// Something happened to a connection.
    fn look_at(&mut self, handle: Handle, ready: Ready, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        let (now, is_free) = (self.now, self.line.is_empty() && self.has_time());
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if ready.write && !connection.flush(now) {
            return self.close(handle);
        }
        if ready.read || (ready.is_broken && connection.is_read()) {
            if connection.is_in_line {
                return;
            }
            if connection.is_handshaking() {
                connection.is_in_line = true;
                self.handshakes.push_back(handle);
            } else if is_free {
                self.serve_one(handle, policy, counts);
                return;
            } else {
                connection.is_in_line = true;
                let client = client_key(connection.address);
                self.line.stand(client, handle);
            }
        } else if ready.is_broken {
            return self.close(handle);
        }
        self.settle(handle);
    }

    /// Turns for those who stand in line, as long as there is time.
    fn serve_line(&mut self, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        // Who stands again behind the others has its next turn when all had one, and not in this turn.
        let mut left = self.line.len();
        while left > 0 && self.has_time() {
            left -= 1;
            let Some(handle) = self.line.take_next() else { break };
            if let Some(connection) = self.connections.get_mut(handle) {
                connection.is_in_line = false;
                self.serve_one(handle, policy, counts);
            }
        }
        self.judge(policy, counts);
    }

    /// Established sessions came first; each step here may take as long as a hundred answers.
    fn go_on_with_handshakes(&mut self, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        for _ in 0..HANDSHAKES_PER_TURN_MAX.min(self.handshakes.len()) {
            let Some(handle) = self.handshakes.pop_front() else { break };
            if let Some(connection) = self.connections.get_mut(handle) {
                connection.is_in_line = false;
                self.serve_one(handle, policy, counts);
            }
        }
        self.judge(policy, counts);
    }

    /// Read a connection, and judge what has come of all when that is enough.
    fn serve_one(&mut self, handle: Handle, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        self.take_from(handle);
        if self.batch.is_full() {
            self.judge(policy, counts);
        }
    }

    /// Put what a connection has said into the batch.
    fn take_from(&mut self, handle: Handle) {
        let ThreadLoop { connections, batch, read, .. } = self;
        let Some(connection) = connections.get_mut(handle) else { return };
        if connection.is_ending && !connection.has_message {
            // It says nothing more that counts; its end does.
            let is_broken = connection.read(read).is_err();
            return if is_broken { self.close(handle) } else { self.settle(handle) };
        }
        if connection.awaited.is_some() {
            if self.take_head(handle) {
                self.take_from(handle);
            }
            return;
        }
        batch.begin(handle, (connection.address, connection.name), connection.transport, &connection.unread);
        if !connection.has_message {
            let is_well = match connection.session {
                Some(_) => self.read_session(handle),
                None => {
                    let read = connection.read(batch.room(STREAM_READ_OCTETS));
                    batch.added(*read.as_ref().unwrap_or(&0));
                    read.is_ok()
                }
            };
            if !is_well {
                return self.close(handle);
            }
        }
        let Some(connection) = self.connections.get_mut(handle) else { return };
        let (open_max, lent_max) = connection.room_for_questions();
        if self.batch.cut(open_max, lent_max) {
            // Its framing cannot be trusted; what came before, and open questions, are still answered.
            connection.is_ending = true;
            self.streams.count(StreamDrop::ShortMessage);
        }
    }

    /// Read a session into the batch.  False: the connection broke.
    fn read_session(&mut self, handle: Handle) -> bool {
        let ThreadLoop { connections, batch, read, plain, sealed, shared, .. } = self;
        let flow = &shared.shared_flow.flow;
        let trusted = flow.trusted_proxies();
        let Some(connection) = connections.get_mut(handle) else { return true };
        plain.clear();
        match connection.read_session(read, plain, sealed, self.now) {
            Unsealed::Goes => batch.add(plain),
            Unsealed::Begins => {
                if let Some(session) = &mut connection.session {
                    shared.tls_counts.succeeded(Transport::Tls, session.agreed());
                    let server_name = session.server_name.take();
                    let name = server_name.and_then(|name| flow.client_names().in_server_name(&name));
                    connection.name =
                        name.and_then(|name| flow.named_peer(connection.address, Transport::Tls, &name).name);
                }
                batch.call(connection.name);
                batch.add(plain);
            }
            Unsealed::Failed(error) => {
                connection.charge(&self.streams.handshakes, trusted, self.now);
                self.streams.count(StreamDrop::TlsFailed);
                // What breaks behind a handshake that is done is none that failed.
                if connection.is_handshaking() {
                    shared.tls_counts.failed(TlsFailure::of(&error));
                }
            }
            Unsealed::Left => {
                connection.charge(&self.streams.handshakes, trusted, self.now);
                shared.tls_counts.failed(TlsFailure::Closed);
                return false;
            }
            Unsealed::Broke => return false,
        }
        true
    }

    /// Take no more queries; what is here is still answered.
    fn stop_reading(&mut self) {
        self.is_reading = false;
        self.doors.close(&self.epoll);
        for handle in self.connections.handles() {
            if let Some(connection) = self.connections.get_mut(handle) {
                connection.is_ending = true;
            }
            self.settle(handle);
        }
    }

    /// End what was quiet, or does not read, for too long.
    fn sweep(&mut self) {
        let (limits, trusted) = (&self.streams.limits, self.flow().trusted_proxies());
        if self.number == 0 {
            limits.note_all();
        }
        let (now, idle_s) = (self.now, limits.idle_s(self.streams.bounds.idle_s));
        for handle in self.connections.handles() {
            let Some(connection) = self.connections.get_mut(handle) else { continue };
            let is_strangers = connection.place.is_strangers();
            match connection.sweep(now, if is_strangers { idle_s.min(STRANGER_IDLE_S) } else { idle_s }) {
                Swept::Stays => {}
                Swept::DoesNotRead => {
                    self.streams.count(StreamDrop::DoesNotRead);
                    self.cut(handle);
                }
                Swept::NoHandshake => {
                    connection.charge(&self.streams.handshakes, trusted, now);
                    self.streams.count(StreamDrop::HandshakeTimeout);
                    self.shared.tls_counts.failed(TlsFailure::Timeout);
                    self.cut(handle);
                }
                Swept::Cut => self.cut(handle),
                Swept::End => {
                    connection.end();
                    self.settle(handle);
                }
            }
        }
        self.sweep_at = now + SWEEP_EVERY_S;
    }

    /// The thread ends: nobody is connected any more.
    fn give_up(&mut self, is_stopped: bool) {
        let handles = self.connections.handles();
        if !is_stopped {
            self.streams.count_many(StreamDrop::Defect, handles.len() as u64);
        }
        for handle in handles {
            self.close(handle);
        }
        for (_, open) in self.open.drain() {
            self.streams.limits.give_back(&open.place, open.octets);
        }
    }
}
