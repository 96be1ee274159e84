//! One thread: datagrams in, answers out, and what they need in between.
//!
//! Knows: its listening socket, in which order a turn does its work, whose questions it asks, how it begins anew.
//! Does not know: why an answer is what it is.
//! Theory: with nothing in flight the thread waits in `recvmmsg` itself, so a batch of answers costs two
//! system calls; with questions in flight, or when no query has come for a while, it waits in `epoll_wait` for
//! all its sockets and its wakeup.  Where datagrams come close together the thread lets them gather for a
//! moment between turns, since a turn costs as much for five as for thirty.  A panic costs one query: the turn
//! is finished, then everything the thread holds is handed to Python and built anew.

use std::io::ErrorKind;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use resolver_core::entropy::Entropy;
use resolver_core::flow::{AskOutcome, BatchContext, Flow, Memo, Outcome, Policy, Route, Transport};

use crate::counters::{add, Counters};
use crate::epoll::{Epoll, Events};
use crate::lives::{live_again, Ended, PAUSE_MIN};
use crate::mailbox::{Mailbox, SIGNAL_ASKS, SIGNAL_COMMANDS, SIGNAL_SHED, SIGNAL_STOP, SIGNAL_STOP_READING};
use crate::shared::Shared;
use crate::shared_flow::ThreadCounts;
use crate::sys::{
    monotonic, sleep_precisely, take_turns_of, Batch, ListenSocket, BATCH_MAX, DATAGRAMS_SLICE_NS,
};
use crate::upstream_queries::{LoopContext, UpstreamQueries};

/// Batches per turn: upstreams and timers get their turn after 256 queries.
const BATCHES_PER_TURN_MAX: usize = 4;

/// Sockets looked at per turn.
const EVENTS_PER_TURN_MAX: usize = 256;

/// Pause after a turn of this many datagrams: more are on their way.  Fewer, and nobody comes close behind;
/// as many as the end of the range, and turns are cheap enough per query as they are.
const GATHERING: Range<usize> = if cfg!(feature = "without-gathering") { 0..0 } else { 3..32 };
const GATHERING_TIME: Duration = Duration::from_micros(50);

/// How long the thread waits for a query alone; its wakeup is seen this much later at worst.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same beside threads with streams, whose questions it asks; the kernel knows no shorter time everywhere.
const PATIENCE_WITH_STREAMS: Duration = Duration::from_millis(4);

/// Sockets opened at once while there is nothing else to do, for each upstream: some 0.2 ms of work.
const STOCKED_AT_ONCE: usize = 16;

/// Resting sockets given back at once to threads that have too few, for each upstream: some 3 ms of work.
const SHED_AT_ONCE: usize = 1024;

/// Numbers of descriptors that are no upstream's socket; those are handles, of 48 bits, and one bit for streams.
const LISTEN: u64 = 1 << 60;
const WAKEUP: u64 = 1 << 61;

/// How long the thread waits for a query alone.
fn patience(shared: &Shared) -> Duration {
    if shared.streams.threads.is_empty() {
        PATIENCE
    } else {
        PATIENCE_WITH_STREAMS
    }
}

/// A thread's lives, until it is told to stop.
pub fn run(shared: &Shared, number: u16) {
    let mailbox = &shared.mailboxes[usize::from(number)];
    let mut life = 0u8;
    let live = || {
        // What is not caught query by query is caught here; so are threads that cannot begin, for want of
        // descriptors.
        let ended = live(shared, number, life).unwrap_or(Ended::Broken);
        life = life.wrapping_add(1);
        ended
    };
    live_again(mailbox, live, |is_down| shared.report_down(number, is_down));
}

/// From building the thread's state to its end; None: it could not be built, or panicked outside any query.
fn live(shared: &Shared, number: u16, life: u8) -> Option<Ended> {
    let mut worker = catch_unwind(AssertUnwindSafe(|| ThreadLoop::new(shared, number, life))).ok()?.ok()?;
    let ended = catch_unwind(AssertUnwindSafe(|| worker.serve()));
    if ended.is_err() {
        add(&worker.mailbox.counters.panics, 1);
    }
    // Whatever state it is in: who waits is Python's now, and so is who was about to.
    if catch_unwind(AssertUnwindSafe(|| worker.give_up_asks())).is_err() {
        add(&worker.mailbox.counters.panics, 1);
    }
    if catch_unwind(AssertUnwindSafe(|| worker.upstream_queries.abandon(monotonic()))).is_err() {
        add(&worker.mailbox.counters.panics, 1);
    }
    // Python may read the socket meanwhile, with an event loop of its own.
    let _ = worker.socket.set_nonblocking();
    ended.ok()
}

/// See the module's text.
pub struct ThreadLoop<'s> {
    pub(super) shared: &'s Shared,
    pub(super) mailbox: &'s Mailbox,
    pub(super) counters: &'s Counters,
    socket: &'s ListenSocket,
    number: u16,
    epoll: Arc<Epoll>,
    events: Events,
    batch: Batch,
    pub(super) upstream_queries: UpstreamQueries<'s>,
    asks: Vec<usize>,
    punts: Vec<usize>,
    /// Monotonic seconds, as of the end of the last batch or wait.
    pub(super) now: f64,
    memo: Memo,
    is_reading: bool,
    /// No query came for a while.
    is_idle: bool,
    /// Until then streams may ask more.
    pub(super) streams_ask_until: f64,
    panics: u32,
}

impl<'s> ThreadLoop<'s> {
    pub(super) fn new(shared: &'s Shared, number: u16, life: u8) -> std::io::Result<ThreadLoop<'s>> {
        let mailbox = &shared.mailboxes[usize::from(number)];
        let socket = &shared.sockets[usize::from(number)];
        let epoll = Arc::new(Epoll::new()?);
        epoll.add(mailbox.wakeup.as_raw_fd(), WAKEUP)?;
        epoll.add(socket.as_raw_fd(), LISTEN)?;
        socket.set_waiting(patience(shared))?;
        sleep_precisely();
        take_turns_of(DATAGRAMS_SLICE_NS);
        let now = monotonic();
        let made = ThreadLoop {
            shared,
            mailbox,
            counters: &mailbox.counters,
            socket,
            number,
            upstream_queries: UpstreamQueries::new(shared, number, life, Arc::clone(&epoll), now),
            epoll,
            events: Events::with_room_for(EVENTS_PER_TURN_MAX),
            batch: Batch::new(),
            asks: Vec::with_capacity(BATCH_MAX),
            punts: Vec::with_capacity(BATCH_MAX),
            now,
            memo: Memo::new(shared.memo_octets, &mut Entropy::new()),
            is_reading: true,
            is_idle: true,
            streams_ask_until: 0.0,
            panics: 0,
        };
        // Last: from now on somebody takes what is put down.
        mailbox.asks.open();
        Ok(made)
    }

    pub(super) fn flow(&self) -> &'s Flow {
        &self.shared.shared_flow.flow
    }

    fn serve(&mut self) -> Ended {
        loop {
            let signals = self.mailbox.signals.all();
            if signals != 0 && self.obey(signals) {
                return Ended::Stopped;
            }
            let wants_stock = self.upstream_queries.wants_stock();
            let may_sleep_at_socket = self.is_reading && !self.is_idle && self.now >= self.streams_ask_until;
            let seen = if may_sleep_at_socket && !wants_stock && self.upstream_queries.is_quiet(self.now) {
                self.wait_for_queries()
            } else {
                self.wait_for_anything(!wants_stock)
            };
            if wants_stock && seen == 0 {
                // There is nothing else to do.
                self.upstream_queries.stock_up(STOCKED_AT_ONCE, self.now);
            }
            if self.panics + self.upstream_queries.panics > 0 {
                return Ended::Broken;
            }
            if self.shared.source_ports.take_need() {
                self.shared.mailboxes.iter().for_each(|mailbox| mailbox.signal(SIGNAL_SHED));
            }
            if GATHERING.contains(&seen) {
                sleep(GATHERING_TIME);
            }
        }
    }

    /// Do what the plane's signals say; true: end.
    fn obey(&mut self, signals: u32) -> bool {
        self.mailbox.beat(signals);
        if signals & SIGNAL_COMMANDS != 0 {
            for command in self.mailbox.take_commands() {
                self.upstream_queries.obey(command, self.now);
            }
        }
        if signals & SIGNAL_ASKS != 0 {
            self.mailbox.signals.take(SIGNAL_ASKS);
            self.ask_for_streams();
        }
        if signals & SIGNAL_SHED != 0 {
            self.mailbox.signals.take(SIGNAL_SHED);
            self.upstream_queries.shed(SHED_AT_ONCE);
        }
        if signals & SIGNAL_STOP_READING != 0 && self.is_reading {
            self.is_reading = false;
            self.epoll.remove(self.socket.as_raw_fd());
        }
        signals & SIGNAL_STOP != 0
    }

    /// One batch, waited for in the kernel; how many datagrams that were.
    fn wait_for_queries(&mut self) -> usize {
        let count = self.receive(true);
        if count == 0 {
            self.is_idle = true;
            // Somebody else with this socket may have made it non-blocking.
            let _ = self.socket.set_waiting(patience(self.shared));
            return 0;
        }
        let mailbox = self.mailbox;
        let mut counts = mailbox.counts.lock();
        self.answer_batches(count, &mut counts);
        count
    }

    /// One turn of everything; how many queries came, and how many upstream sockets had something.
    fn wait_for_anything(&mut self, may_wait: bool) -> usize {
        let patience_ms = if may_wait { self.upstream_queries.patience_ms(self.now) } else { 0 };
        if self.epoll.wait(&mut self.events, patience_ms).is_err() {
            // No reason for this is known; a pause keeps it from becoming a storm.
            sleep(PAUSE_MIN);
        }
        self.now = monotonic();
        let mailbox = self.mailbox;
        let mut counts = mailbox.counts.lock();
        let policy = self.flow().policy();
        let mut turn = LoopContext { policy: policy.as_deref(), counts: &mut counts, now: self.now };
        let mut may_read = false;
        let mut index = 0;
        let (mut upstreams, mut count) = (0, 0);
        // Upstreams first: what they say may answer the queries that wait.
        self.upstream_queries.read_on(&mut turn);
        while let Some(number) = self.events.number(index) {
            let is_over = self.events.is_over(index);
            index += 1;
            match number {
                LISTEN => may_read = true,
                WAKEUP => drop(self.mailbox.hear()),
                _ => {
                    upstreams += self.upstream_queries.read_from(number, is_over, &mut turn);
                }
            }
        }
        self.upstream_queries.judge_heard(&mut turn);
        self.upstream_queries.send_answers();
        if may_read && self.is_reading {
            count = self.receive(false);
            self.is_idle = false;
            self.answer_batches(count, &mut counts);
        }
        let mut turn = LoopContext { policy: policy.as_deref(), counts: &mut counts, now: self.now };
        self.upstream_queries.look_at_timers(&mut turn);
        upstreams + count
    }

    /// How many queries came; an error is counted, and the next turn tries again.
    fn receive(&mut self, may_wait: bool) -> usize {
        match self.batch.receive(self.socket, may_wait) {
            Ok(count) => count,
            Err(error) => {
                match error.raw_os_error() {
                    _ if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                    Some(libc::ENOBUFS) => add(&self.counters.receive_nobufs, 1),
                    Some(libc::ENOMEM) => add(&self.counters.receive_nomem, 1),
                    Some(libc::ECONNREFUSED) => add(&self.counters.receive_refused, 1),
                    _ => add(&self.counters.receive_error, 1),
                }
                0
            }
        }
    }

    /// Answer the batch just received, and those behind it if it was full.
    fn answer_batches(&mut self, mut count: usize, counts: &mut ThreadCounts) {
        for _ in 1..BATCHES_PER_TURN_MAX {
            self.answer_batch(count, counts);
            if count < BATCH_MAX {
                return;
            }
            count = self.receive(false);
        }
        self.answer_batch(count, counts);
    }

    fn answer_batch(&mut self, count: usize, counts: &mut ThreadCounts) {
        if count == 0 {
            return;
        }
        let proxies = self.flow().proxies();
        if !proxies.is_empty() {
            add(&self.counters.proxy_head, u64::from(self.batch.take_heads(proxies)));
        }
        let policy = self.flow().policy();
        let Some(policy) = policy.as_deref() else {
            self.punts.extend((0..count).filter(|&slot| !self.batch.is_refused(slot)));
            return self.punt_all(None, counts);
        };
        let began = monotonic();
        self.answer_all(policy, began, counts);
        self.send_batch();
        self.now = monotonic();
        counts.tallies.settle(self.now - began);
        // After the answers that are ready: nobody waits for somebody else's miss.
        if !self.asks.is_empty() {
            self.ask_all(policy, counts);
        }
        if !self.punts.is_empty() {
            self.punt_all(Some(policy), counts);
        }
    }

    /// Answer what was received; what is left over is in `asks` and `punts`.
    fn answer_all(&mut self, policy: &Policy, now: f64, counts: &mut ThreadCounts) {
        let mut concluded = 0;
        loop {
            let (flow, mailbox) = (&self.shared.shared_flow.flow, self.mailbox);
            let (queries, mut rows) = self.batch.halves();
            let (asks, punts, memo) = (&mut self.asks, &mut self.punts, &mut self.memo);
            let tallies = &mut counts.tallies;
            let context = BatchContext { now, memo, tallies, concluded: &mut concluded };
            let answer = || {
                assert!(!mailbox.panics_next(), "a test wanted this panic");
                flow.answer_batch(policy, &queries, context, &mut rows, |slot, outcome| match outcome {
                    Outcome::Ask => asks.push(slot),
                    Outcome::Punt => punts.push(slot),
                    Outcome::Respond | Outcome::Drop { .. } => {}
                });
            };
            let answered = catch_unwind(AssertUnwindSafe(answer));
            drop(queries);
            if answered.is_ok() {
                return;
            }
            // It costs the query whose turn it was; those behind it go on.
            concluded += 1;
            self.count_panic();
        }
    }

    #[cold]
    pub(super) fn count_panic(&mut self) {
        self.panics += 1;
        add(&self.counters.panics, 1);
    }

    fn ask_all(&mut self, policy: &Policy, counts: &mut ThreadCounts) {
        let mut asks = std::mem::take(&mut self.asks);
        let now = self.now;
        self.upstream_queries.make_room(&mut LoopContext { policy: Some(policy), counts, now });
        for slot in asks.drain(..) {
            let route = Route::Datagram(self.batch.route(slot, self.number));
            let (octets, address, out) = self.batch.slot(slot);
            let (flow, now, maker) = (&self.shared.shared_flow.flow, self.now, self.upstream_queries.maker());
            let tallies = &mut counts.tallies;
            let peer = flow.peer(address, Transport::Udp);
            let ask = || flow.ask(policy, octets, &peer, &route, now, maker, out, tallies);
            match catch_unwind(AssertUnwindSafe(ask)) {
                Ok(AskOutcome::Send(attempt)) => self.upstream_queries.take_on(attempt),
                Ok(AskOutcome::Joined) => {}
                Ok(AskOutcome::Drop) => counts.tallies.settle(0.0),
                Ok(AskOutcome::Reply) => self.batch.put(slot),
                Ok(AskOutcome::Punt) => self.punts.push(slot),
                Err(_) => self.count_panic(),
            }
        }
        self.asks = asks;
        self.upstream_queries.send_taken(&mut LoopContext { policy: Some(policy), counts, now });
        self.upstream_queries.send_answers();
        if self.batch.has_answers() {
            self.send_batch();
            counts.tallies.settle(0.0);
        }
    }

    fn punt_all(&mut self, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        let mut punts = std::mem::take(&mut self.punts);
        for slot in punts.drain(..) {
            let route = Route::Datagram(self.batch.route(slot, self.number));
            let (octets, address, out) = self.batch.slot(slot);
            let (flow, now, tallies) = (&self.shared.shared_flow.flow, self.now, &mut counts.tallies);
            let peer = flow.peer(address, Transport::Udp);
            if self.shared.ring.punt(self.counters, octets, peer, route) {
                continue;
            }
            let refuse = || policy.map(|policy| flow.refuse(policy, octets, &peer, now, out, tallies));
            match catch_unwind(AssertUnwindSafe(refuse)) {
                Ok(Some(AskOutcome::Reply)) => self.batch.put(slot),
                Ok(_) => add(&self.counters.ring_full, 1),
                Err(_) => self.count_panic(),
            }
        }
        self.punts = punts;
        if self.batch.has_answers() {
            self.send_batch();
            counts.tallies.settle(0.0);
        }
    }

    fn send_batch(&mut self) {
        if self.batch.has_answers() {
            let lost = self.batch.send(self.socket);
            if lost > 0 {
                add(&self.counters.send_failed, lost as u64);
            }
        }
    }
}
