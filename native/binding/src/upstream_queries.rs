//! One thread's questions to upstreams: sent, answered, handed over.
//!
//! Knows: sockets, timers, tickets, who gets an answer.  Does not know: what a reply means (the flow does), what
//! Python does with a handover.
//! Theory: each question here has one attempt.  A usable reply ends it.  Whatever else happens, Python gets
//! all there is to know and a ticket; the attempt's ID stays open for late replies until Python closes it.
//! A socket is reported when something comes on it, and not again for what is left there: the second look at each
//! cost as much as the first.  So it is read until it is empty, or nobody waits on it any more.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use resolver_core::entropy::Entropy;
use resolver_core::flow::{
    AskOutcome, Attempt, FlightKey, Flow, Policy, ResponseContext, ResponseResult, Waiter, WaiterReply,
};

use crate::counters::{add, Counters};
use crate::epoll::Epoll;
use crate::late_answers::LateAnswers;
use crate::mailbox::Command;
use crate::ring::{attempt_of, ticket_of, Event, Handover, HandoverReason};
use crate::shared::Shared;
use crate::shared_flow::ThreadCounts;
use crate::slab::{Handle, Slab};
use crate::timers::Timers;
use crate::udp_pool::{Read, Recipient, SendError, UdpPools, RECEIVE_OCTETS};

/// Datagrams read from one socket before the next socket's turn.
const DATAGRAMS_PER_TURN_MAX: usize = 8;

/// A timer may fire this much early, by rounding.
const TIMER_SLACK_S: f64 = 1e-6;

/// How long an ID is kept open for Python, which is done with any question long before.
const TICKET_S_MAX: f64 = 60.0;

enum Owner {
    /// Its outcome is judged here.
    Us(Box<Attempt>),
    /// Python goes on with it.
    Python { key: FlightKey, expires_at: f64 },
}

struct InFlight {
    holder: Owner,
    id: u16,
    /// Where its ID is waited for; None: no more.
    socket: Option<Handle>,
    is_answered: bool,
}

/// What one turn of the loop works with.
pub struct LoopContext<'t> {
    /// The policy in force; None: there is none, every query is Python's.
    pub policy: Option<&'t Policy>,
    /// The thread's counts.
    pub counts: &'t mut ThreadCounts,
    /// Monotonic seconds.
    pub now: f64,
}

/// See the module's text.
pub struct UpstreamQueries<'s> {
    shared: &'s Shared,
    counters: &'s Counters,
    thread: u16,
    life: u8,
    pools: UdpPools,
    in_flight: Slab<InFlight>,
    timers: Timers<Handle>,
    entropy: Entropy,
    late_answers: LateAnswers<'s>,
    out: Vec<u8>,
    due: Vec<Handle>,
    datagram: Box<[u8; RECEIVE_OCTETS]>,
    /// Sockets that had more than one turn's share.
    unread: Vec<Handle>,
    /// Panics caught since this was made.
    pub panics: u32,
    /// The next query to be sent panics.
    #[cfg(test)]
    pub panics_next: bool,
}

impl<'s> UpstreamQueries<'s> {
    /// Nothing in flight.  `life`: how often the thread began before, so that no ticket is given out twice.
    pub fn new(
        shared: &'s Shared,
        thread: u16,
        life: u8,
        epoll: Arc<Epoll>,
        now: f64,
    ) -> UpstreamQueries<'s> {
        let counters = &shared.mailboxes[usize::from(thread)].counters;
        UpstreamQueries {
            shared,
            counters,
            thread,
            life,
            pools: UdpPools::new(
                epoll,
                Arc::clone(counters),
                shared.sockets_per_upstream,
                Arc::clone(&shared.source_ports),
            ),
            in_flight: Slab::new(),
            timers: Timers::new(now),
            entropy: Entropy::new(),
            late_answers: LateAnswers::new(shared, counters),
            out: Vec::new(),
            due: Vec::new(),
            datagram: Box::new([0; RECEIVE_OCTETS]),
            unread: Vec::new(),
            panics: 0,
            #[cfg(test)]
            panics_next: false,
        }
    }

    fn flow(&self) -> &'s Flow {
        &self.shared.shared_flow.flow
    }

    /// Numbers for a question.
    pub fn entropy(&mut self) -> &mut Entropy {
        &mut self.entropy
    }

    /// Whether nothing is waited for.
    pub fn is_quiet(&self) -> bool {
        self.pools.waiting() == 0
            && self.in_flight.len() == 0
            && self.unread.is_empty()
            && self.late_answers.is_quiet()
    }

    /// Milliseconds until an attempt may be due; 0: there is more to read; -1: nothing is in flight.
    pub fn patience_ms(&self, now: f64) -> i32 {
        if !self.unread.is_empty() {
            return 0;
        }
        let held_ms = self.late_answers.patience_ms(now);
        if self.in_flight.len() == 0 {
            return held_ms;
        }
        let due_ms = self.timers.patience_ms(now);
        if held_ms < 0 {
            due_ms
        } else {
            due_ms.min(held_ms)
        }
    }

    /// Send an attempt, or hand it over at once.
    pub fn send(&mut self, mut attempt: Box<Attempt>, turn: &mut LoopContext) {
        let octets = std::mem::take(&mut attempt.octets);
        let (id, due_at, upstream) = (attempt.sent.id, attempt.due_at, attempt.upstream);
        // First of all: whatever happens from here on, it is handed over in the end.
        let holder = Owner::Us(attempt);
        let owner = self.in_flight.put(InFlight { holder, id, socket: None, is_answered: false });
        let send = || self.send_from(owner, upstream, &octets, due_at, turn);
        // A panic costs one question, and not even that.
        if catch_unwind(AssertUnwindSafe(send)).is_err() {
            self.count_panic();
            self.lose(owner, HandoverReason::Abandoned, turn);
        }
    }

    fn send_from(
        &mut self,
        owner: Handle,
        upstream: u16,
        octets: &[u8],
        due_at: f64,
        turn: &mut LoopContext,
    ) {
        #[cfg(test)]
        assert!(!self.panics_next, "a test wanted this panic");
        turn.counts.upstream(upstream).queries += 1;
        if usize::from(upstream) >= self.pools.servers() {
            self.pools.learn(&self.shared.shared_flow.servers());
        }
        match self.pools.send(upstream, octets, owner, turn.now, &mut self.entropy) {
            Ok(socket) => {
                if let Some(flight) = self.in_flight.get_mut(owner) {
                    flight.socket = Some(socket);
                }
                self.timers.set(owner, due_at, turn.now);
            }
            Err(SendError::Network) => self.hand_over(owner, HandoverReason::Network, None, turn),
            Err(SendError::NoSocket) => self.hand_over(owner, HandoverReason::NoSocket, None, turn),
        }
    }

    /// Read what is left of the last turn.
    pub fn read_on(&mut self, turn: &mut LoopContext) {
        for socket in std::mem::take(&mut self.unread) {
            self.read(socket, turn);
        }
    }

    /// Read what a socket has: all of it, or up to the reply that nobody waits behind.
    pub fn read(&mut self, socket: Handle, turn: &mut LoopContext) {
        let was_waited_on = self.pools.is_waited_on(socket);
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            match self.pools.read(socket, &mut self.datagram) {
                Read::Empty => return,
                Read::Broken => {
                    for owner in self.pools.break_all(socket) {
                        self.lose(owner, HandoverReason::Network, turn);
                    }
                    // The error came first; datagrams may stand behind it.
                    continue;
                }
                Read::Datagram(length) => {
                    let octets = self.datagram.get(..length).unwrap_or_default();
                    match self.pools.recipient(socket, octets) {
                        Recipient::Orphan => {}
                        Recipient::One(owner) => {
                            if let Some(flight) = self.in_flight.get_mut(owner) {
                                flight.is_answered = true;
                            }
                            self.on_datagram(owner, length, turn);
                        }
                        Recipient::All(owners) => {
                            for owner in owners {
                                self.on_datagram(owner, length, turn);
                            }
                        }
                    }
                }
            }
            if was_waited_on && !self.pools.is_waited_on(socket) {
                // Most likely there is no more.  If there is, it is nobody's, and goes with what comes next.
                return;
            }
        }
        self.unread.push(socket);
    }

    /// The datagram just read is for `owner`, or may be.
    fn on_datagram(&mut self, owner: Handle, length: usize, turn: &mut LoopContext) {
        let ticket = self.ticket(owner);
        let octets = self.datagram.get(..length).unwrap_or_default();
        let Some(flight) = self.in_flight.get(owner) else { return };
        let attempt = match &flight.holder {
            Owner::Us(attempt) => attempt,
            Owner::Python { .. } => {
                if self.shared.ring.push(Event::Late { ticket, octets: octets.into() }).is_err() {
                    add(&self.counters.late_full, 1);
                }
                return;
            }
        };
        let Some(policy) = turn.policy else {
            // It was withdrawn: Python alone judges.
            let octets = octets.into();
            return self.hand_over(owner, HandoverReason::Reply, Some(octets), turn);
        };
        let (late_answers, now) = (&mut self.late_answers, turn.now);
        let each = |waiter: &Waiter, reply: WaiterReply| late_answers.finish(waiter, reply, now);
        let context =
            ResponseContext { policy, now: turn.now, out: &mut self.out, tallies: &mut turn.counts.tallies };
        // A panic costs one question.
        match catch_unwind(AssertUnwindSafe(|| {
            self.shared.shared_flow.flow.on_response(attempt, octets, context, each)
        })) {
            Ok(ResponseResult::Done) => {
                let (upstream, sent_at) = (attempt.upstream, attempt.sent_at);
                turn.counts.upstream(upstream).on_answer(turn.now - sent_at, turn.now);
                self.forget(owner);
                self.in_flight.take(owner);
            }
            Ok(ResponseResult::HandOver) => {
                let octets = octets.into();
                self.hand_over(owner, HandoverReason::Reply, Some(octets), turn);
            }
            Err(_) => {
                self.count_panic();
                self.lose(owner, HandoverReason::Abandoned, turn);
            }
        }
    }

    #[cold]
    fn count_panic(&mut self) {
        self.panics += 1;
        add(&self.counters.panics, 1);
    }

    /// Nothing will come for `owner`.
    fn lose(&mut self, owner: Handle, reason: HandoverReason, turn: &mut LoopContext) {
        let left = self.try_to_lose(owner, reason, turn.now);
        self.refuse_all(left, turn);
    }

    /// The same; who found no room on the way to Python.
    fn try_to_lose(&mut self, owner: Handle, reason: HandoverReason, now: f64) -> Vec<Waiter> {
        self.forget(owner);
        let ticket = self.ticket(owner);
        let Some(flight) = self.in_flight.get(owner) else { return Vec::new() };
        if matches!(flight.holder, Owner::Us(_)) {
            return self.try_to_hand_over(owner, reason, None, now);
        }
        if self.shared.ring.push(Event::Broken { ticket, reason }).is_err() {
            add(&self.counters.late_full, 1);
        }
        Vec::new()
    }

    /// Python goes on with an attempt.
    fn hand_over(
        &mut self,
        owner: Handle,
        reason: HandoverReason,
        octets: Option<Box<[u8]>>,
        turn: &mut LoopContext,
    ) {
        let left = self.try_to_hand_over(owner, reason, octets, turn.now);
        self.refuse_all(left, turn);
    }

    /// The same; who found no room on the way to Python.
    fn try_to_hand_over(
        &mut self,
        owner: Handle,
        reason: HandoverReason,
        octets: Option<Box<[u8]>>,
        now: f64,
    ) -> Vec<Waiter> {
        let (flow, ticket) = (self.flow(), self.ticket(owner));
        let Some(flight) = self.in_flight.get_mut(owner) else { return Vec::new() };
        let Owner::Us(attempt) = &flight.holder else { return Vec::new() };
        let key = attempt.key.clone();
        let expires_at = now + TICKET_S_MAX;
        let waiters: Vec<Waiter> = flow.hand_over(&key).into_iter().collect();
        let holder = Owner::Python { key, expires_at };
        let Owner::Us(attempt) = std::mem::replace(&mut flight.holder, holder) else { return Vec::new() };
        let handover = Handover { attempt, ticket, octets, reason, waiters };
        match self.shared.ring.push(Event::Handover(Box::new(handover))) {
            Ok(()) => {
                add(&self.counters.handovers, 1);
                self.timers.set(owner, expires_at, now);
                Vec::new()
            }
            Err(event) => {
                self.release(owner);
                let Event::Handover(handover) = event else { return Vec::new() };
                handover.waiters
            }
        }
    }

    /// Let slow questions yield where no more may be in flight.
    pub fn make_room(&mut self, turn: &mut LoopContext) {
        let yielding = self.flow().make_room(turn.now);
        self.refuse_all(yielding, turn);
    }

    /// Answer here who found no room on the way to Python, as well as can be.
    fn refuse_all(&mut self, waiters: Vec<Waiter>, turn: &mut LoopContext) {
        for waiter in &waiters {
            let (flow, out, tallies) = (self.flow(), &mut self.out, &mut turn.counts.tallies);
            let refuse = || {
                turn.policy
                    .map(|policy| flow.refuse(policy, &waiter.octets, &waiter.peer, turn.now, out, tallies))
            };
            let refused = catch_unwind(AssertUnwindSafe(refuse));
            if refused.is_err() {
                self.count_panic();
            }
            if let Ok(Some(AskOutcome::Reply)) = refused {
                turn.counts.tallies.settle(turn.now - waiter.asked_at);
                self.late_answers.finish(waiter, WaiterReply::Reply(&self.out), turn.now);
            } else {
                self.late_answers.lose(&waiter.route);
            }
        }
    }

    /// The ID of `owner` is waited for no more.
    fn forget(&mut self, owner: Handle) {
        let Some(flight) = self.in_flight.get_mut(owner) else { return };
        if let Some(socket) = flight.socket.take() {
            self.pools.forget(socket, flight.id, owner, flight.is_answered);
        }
    }

    /// Python is done with an attempt.
    fn release(&mut self, owner: Handle) {
        self.forget(owner);
        if let Some(InFlight { holder: Owner::Python { key, .. }, .. }) = self.in_flight.take(owner) {
            self.flow().release_key(&key);
        }
    }

    /// Hand over what is due.
    pub fn look_at_timers(&mut self, turn: &mut LoopContext) {
        let now = turn.now;
        self.late_answers.send_due(now);
        let mut due = std::mem::take(&mut self.due);
        self.timers.take_due(now, &mut due);
        for owner in due.drain(..) {
            let Some(flight) = self.in_flight.get(owner) else { continue };
            let due_at = match &flight.holder {
                Owner::Us(attempt) => attempt.due_at,
                Owner::Python { expires_at, .. } => *expires_at,
            };
            if due_at > now + TIMER_SLACK_S {
                self.timers.set(owner, due_at, now);
            } else if matches!(flight.holder, Owner::Us(_)) {
                self.hand_over(owner, HandoverReason::Timeout, None, turn);
            } else {
                add(&self.counters.tickets_expired, 1);
                self.release(owner);
            }
        }
        self.due = due;
        self.send_answers();
    }

    /// Carry out a command of the plane.
    pub fn obey(&mut self, command: Command, now: f64) {
        match command {
            Command::Close(ticket) => {
                let owner = Handle::from_bits(attempt_of(ticket));
                let is_of_python = |flight: &InFlight| matches!(flight.holder, Owner::Python { .. });
                if self.ticket(owner) == ticket && self.in_flight.get(owner).is_some_and(is_of_python) {
                    self.release(owner);
                }
            }
            Command::HandOverAll => {
                for owner in self.in_flight.handles() {
                    let left = self.try_to_hand_over(owner, HandoverReason::Recalled, None, now);
                    left.iter().for_each(|waiter| self.late_answers.lose(&waiter.route));
                }
                self.send_answers();
            }
        }
    }

    /// See `UdpPools::wants_stock`.
    pub fn wants_stock(&self) -> bool {
        self.pools.wants_stock()
    }

    /// See `UdpPools::stock_up`.
    pub fn stock_up(&mut self, count: usize, now: f64) {
        self.pools.stock_up(count, now, &mut self.entropy);
    }

    /// See `UdpPools::shed`.
    pub fn shed(&mut self, count: usize) -> bool {
        self.pools.shed(count)
    }

    /// Send the answers that have gathered.
    pub fn send_answers(&mut self) {
        self.late_answers.send();
    }

    /// The thread begins anew, or ends: Python goes on with everything, and nothing here learns what becomes of it.
    pub fn abandon(&mut self, now: f64) {
        self.late_answers.send_due(f64::INFINITY);
        for owner in self.in_flight.handles() {
            // The sockets end with the thread; they may be what broke it, so nothing is asked of them here.
            if let Some(flight) = self.in_flight.get_mut(owner) {
                flight.socket = None;
            }
            let part = || {
                let left = self.try_to_lose(owner, HandoverReason::Abandoned, now);
                left.iter().for_each(|waiter| self.late_answers.lose(&waiter.route));
                self.release(owner);
            };
            if catch_unwind(AssertUnwindSafe(part)).is_err() {
                self.count_panic(); // The others are handed over all the same.
            }
        }
        self.send_answers();
    }

    /// The way of answers to clients that waited.
    pub fn late_answers(&mut self) -> &mut LateAnswers<'s> {
        &mut self.late_answers
    }

    fn ticket(&self, owner: Handle) -> u64 {
        ticket_of(self.thread, self.life, owner.to_bits())
    }
}
