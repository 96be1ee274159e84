//! One thread: datagrams in, answers out, and what they need in between.
//!
//! Knows: its listening socket, in which order a turn does its work, how it begins anew.  Does not know: why
//! an answer is what it is.
//! Theory: with nothing in flight the thread waits in `recvmmsg` itself, so a batch of answers costs two
//! system calls; with questions in flight, or when no query has come for a while, it waits in `epoll_wait` for
//! all its sockets and its bell.  Where datagrams come close together the thread lets them gather for a
//! moment between turns, since a turn costs as much for five as for thirty.  A panic costs one query: the turn
//! is finished, then everything the thread holds is handed to Python and built anew.

use std::io::ErrorKind;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use resolver_core::entropy::Entropy;
use resolver_core::flow::{Asked, Desk, Flow, Memo, Outcome, Policy, Route, Transport};

use crate::counters::{add, Counters};
use crate::epoll::{Epoll, Events};
use crate::misses::{punt, Misses, Turn};
use crate::shared::{Ledger, Post, Shared, SIGNAL_ORDERS, SIGNAL_STOP, SIGNAL_STOP_READING};
use crate::slab::Handle;
use crate::sys::{monotonic, run_promptly, sleep_precisely, Batch, ListenSocket, BATCH_MAX};

/// Batches per turn: upstreams and timers get their turn after 256 queries.
const BATCHES_PER_TURN_MAX: usize = 4;

/// Sockets looked at per turn.
const EVENTS_PER_TURN_MAX: usize = 256;

/// Pause after a turn of this many datagrams: more are on their way.  Fewer, and nobody comes close behind;
/// as many as the end of the range, and turns are cheap enough per query as they are.
const GATHERING: Range<usize> = if cfg!(feature = "without-gathering") { 0..0 } else { 3..32 };
const GATHERING_TIME: Duration = Duration::from_micros(50);

/// How long the thread waits for a query alone; its bell is heard this much later at worst.
const PATIENCE: Duration = Duration::from_millis(100);

/// Pause before a thread begins anew, doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A thread that lasted this long begins anew after the shortest pause.
const CALM: Duration = Duration::from_secs(10);

/// Numbers of descriptors that are no upstream's socket; those are handles, of 48 bits.
const LISTEN: u64 = 1 << 60;
const BELL: u64 = 1 << 61;

enum Ended {
    Stopped,
    Panicked,
}

/// A thread's life, until it is told to stop.
pub fn run(shared: &Shared, number: u16) {
    let post = &shared.posts[usize::from(number)];
    let mut pause = PAUSE_MIN;
    let mut life = 0u8;
    loop {
        let began = Instant::now();
        // What is not caught query by query is caught here; so are threads that cannot begin, for want of
        // descriptors.
        if let Some(Ended::Stopped) = live(shared, number, life) {
            return;
        }
        life = life.wrapping_add(1);
        add(&post.counters.restarts, 1);
        shared.tell_down(number, true);
        if began.elapsed() >= CALM {
            pause = PAUSE_MIN;
        }
        let until = Instant::now() + pause;
        pause = (pause * 2).min(PAUSE_MAX);
        while let Some(rest) = until.checked_duration_since(Instant::now()) {
            if post.signals.load(Ordering::Acquire) & SIGNAL_STOP != 0 {
                return;
            }
            thread::park_timeout(rest);
        }
        shared.tell_down(number, false);
    }
}

/// From building the thread's state to its end; None: it could not be built, or panicked outside any query.
fn live(shared: &Shared, number: u16, life: u8) -> Option<Ended> {
    let mut worker = catch_unwind(AssertUnwindSafe(|| Worker::new(shared, number, life))).ok()?.ok()?;
    let ended = catch_unwind(AssertUnwindSafe(|| worker.serve()));
    if ended.is_err() {
        add(&worker.post.counters.panics, 1);
    }
    // Whatever state it is in: who waits is Python's now.
    if catch_unwind(AssertUnwindSafe(|| worker.misses.abandon(monotonic()))).is_err() {
        add(&worker.post.counters.panics, 1);
    }
    // Python may read the socket meanwhile, with an event loop of its own.
    let _ = worker.socket.set_nonblocking();
    ended.ok()
}

struct Worker<'s> {
    shared: &'s Shared,
    post: &'s Post,
    counters: &'s Counters,
    socket: &'s ListenSocket,
    number: u16,
    epoll: Arc<Epoll>,
    events: Events,
    batch: Batch,
    misses: Misses<'s>,
    asks: Vec<usize>,
    punts: Vec<usize>,
    /// Monotonic seconds, as of the end of the last batch or wait.
    now: f64,
    memo: Memo,
    is_reading: bool,
    /// No query came for a while.
    is_idle: bool,
    panics: u32,
}

impl<'s> Worker<'s> {
    fn new(shared: &'s Shared, number: u16, life: u8) -> std::io::Result<Worker<'s>> {
        let post = &shared.posts[usize::from(number)];
        let socket = &shared.sockets[usize::from(number)];
        let epoll = Arc::new(Epoll::new()?);
        epoll.add(post.bell.as_raw_fd(), BELL)?;
        epoll.add(socket.as_raw_fd(), LISTEN)?;
        socket.set_waiting(PATIENCE)?;
        sleep_precisely();
        run_promptly();
        let now = monotonic();
        Ok(Worker {
            shared,
            post,
            counters: &post.counters,
            socket,
            number,
            misses: Misses::new(shared, number, life, Arc::clone(&epoll), now),
            epoll,
            events: Events::with_room_for(EVENTS_PER_TURN_MAX),
            batch: Batch::new(),
            asks: Vec::with_capacity(BATCH_MAX),
            punts: Vec::with_capacity(BATCH_MAX),
            now,
            memo: Memo::new(shared.memo_octets, &mut Entropy::new()),
            is_reading: true,
            is_idle: true,
            panics: 0,
        })
    }

    fn flow(&self) -> &'s Flow {
        &self.shared.heart.flow
    }

    fn serve(&mut self) -> Ended {
        loop {
            let signals = self.post.signals.load(Ordering::Acquire);
            if signals != 0 && self.obey(signals) {
                return Ended::Stopped;
            }
            let seen = if self.is_reading && !self.is_idle && self.misses.is_quiet() {
                self.wait_for_queries()
            } else {
                self.wait_for_anything()
            };
            if self.panics + self.misses.panics > 0 {
                return Ended::Panicked;
            }
            if GATHERING.contains(&seen) {
                thread::sleep(GATHERING_TIME);
            }
        }
    }

    /// Look at what the plane wants; true: end.
    fn obey(&mut self, signals: u32) -> bool {
        if signals & SIGNAL_ORDERS != 0 {
            for order in self.post.take_orders() {
                self.misses.obey(order, self.now);
            }
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
            let _ = self.socket.set_waiting(PATIENCE);
            return 0;
        }
        let post = self.post;
        let mut ledger = post.ledger.lock();
        self.answer_batches(count, &mut ledger);
        count
    }

    /// One turn of everything; how many queries came, and how many upstream sockets had something.
    fn wait_for_anything(&mut self) -> usize {
        let patience_ms = self.misses.patience_ms(self.now);
        if self.epoll.wait(&mut self.events, patience_ms).is_err() {
            // No reason for this is known; a pause keeps it from becoming a storm.
            thread::sleep(PAUSE_MIN);
        }
        self.now = monotonic();
        let post = self.post;
        let mut ledger = post.ledger.lock();
        let policy = self.flow().policy();
        let mut turn = Turn { policy: policy.as_deref(), ledger: &mut ledger, now: self.now };
        let mut may_read = false;
        let mut index = 0;
        let (mut heard, mut count) = (0, 0);
        // Upstreams first: what they say may answer the queries that wait.
        while let Some(number) = self.events.number(index) {
            index += 1;
            match number {
                LISTEN => may_read = true,
                BELL => self.post.bell.hush(),
                _ => {
                    heard += 1;
                    self.misses.read(Handle::from_bits(number), &mut turn);
                }
            }
        }
        self.misses.send_answers();
        if may_read && self.is_reading {
            count = self.receive(false);
            self.is_idle = false;
            self.answer_batches(count, &mut ledger);
        }
        self.misses.look_at_timers(self.now);
        heard + count
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
    fn answer_batches(&mut self, mut count: usize, ledger: &mut Ledger) {
        for _ in 1..BATCHES_PER_TURN_MAX {
            self.answer_batch(count, ledger);
            if count < BATCH_MAX {
                return;
            }
            count = self.receive(false);
        }
        self.answer_batch(count, ledger);
    }

    fn answer_batch(&mut self, count: usize, ledger: &mut Ledger) {
        if count == 0 {
            return;
        }
        let policy = self.flow().policy();
        let Some(policy) = policy.as_deref() else {
            self.punts.extend(0..count);
            return self.punt_all();
        };
        let began = monotonic();
        self.answer_all(policy, began, ledger);
        self.send_batch();
        self.now = monotonic();
        ledger.tallies.settle(self.now - began);
        // After the answers that are ready: nobody waits for somebody else's miss.
        if !self.asks.is_empty() {
            self.ask_all(policy, ledger);
        }
        if !self.punts.is_empty() {
            self.punt_all();
        }
    }

    /// Answer what was received; what is left over is in `asks` and `punts`.
    fn answer_all(&mut self, policy: &Policy, now: f64, ledger: &mut Ledger) {
        let mut concluded = 0;
        loop {
            let (flow, post) = (&self.shared.heart.flow, self.post);
            let (queries, mut rows) = self.batch.halves();
            let (asks, punts, memo) = (&mut self.asks, &mut self.punts, &mut self.memo);
            let tallies = &mut ledger.tallies;
            let desk = Desk { now, memo, tallies, concluded: &mut concluded };
            let answer = || {
                assert!(!post.is_doomed(), "a test wanted this panic");
                flow.answer_batch(policy, &queries, desk, &mut rows, |slot, outcome| match outcome {
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
    fn count_panic(&mut self) {
        self.panics += 1;
        add(&self.counters.panics, 1);
    }

    fn ask_all(&mut self, policy: &Policy, ledger: &mut Ledger) {
        let mut asks = std::mem::take(&mut self.asks);
        for slot in asks.drain(..) {
            let route = Route::Datagram(self.batch.route(slot, self.number));
            let (octets, address, out) = self.batch.slot(slot);
            let (flow, now, entropy) = (&self.shared.heart.flow, self.now, self.misses.entropy());
            let tallies = &mut ledger.tallies;
            let peer = flow.peer(address, Transport::Udp);
            let ask = || flow.ask(policy, octets, &peer, &route, now, entropy, out, tallies);
            match catch_unwind(AssertUnwindSafe(ask)) {
                Ok(Asked::Send(attempt)) => {
                    self.misses.send(attempt, &mut Turn { policy: Some(policy), ledger, now });
                }
                Ok(Asked::Joined) => {}
                Ok(Asked::Reply) => self.batch.put(slot),
                Ok(Asked::Punt) => self.punts.push(slot),
                Err(_) => self.count_panic(),
            }
        }
        self.asks = asks;
        if self.batch.has_answers() {
            self.send_batch();
            ledger.tallies.settle(0.0);
        }
    }

    fn punt_all(&mut self) {
        let mut punts = std::mem::take(&mut self.punts);
        for slot in punts.drain(..) {
            let route = Route::Datagram(self.batch.route(slot, self.number));
            let (octets, address, _) = self.batch.slot(slot);
            punt(self.shared, self.counters, octets, address, route);
        }
        self.punts = punts;
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
