//! What upstreams send: datagrams and messages of streams, each to whom it is for.
//!
//! Knows: who waits, what is Python's.  Does not know: sockets, what a reply means (the flow does).
//! Theory: a socket is reported when something comes on it, and not again for what is left there: the second look at
//! each cost as much as the first.  So it is read until it is empty, or nobody waits on it any more.  The first
//! datagrams of many sockets are read one after the other and judged then, so that the code of either part stays in
//! the nearest cache, and the waits for memory of attempts that left long ago overlap.

use std::hint::black_box;
use std::panic::{catch_unwind, AssertUnwindSafe};

use arrayvec::ArrayVec;
use resolver_core::flow::{ResponseContext, ResponseResult, Waiter, WaiterReply};

use super::heard::HEARD_MAX;
use super::sending::reason_of;
use super::state::{InFlight, LoopContext, Owner, Place, UpstreamQueries};
use crate::counters::add;
use crate::ring::{Event, HandoverReason};
use crate::slab::Handle;
use crate::udp_pool::{Read, Recipient, RECEIVE_OCTETS};
use crate::upstream_streams::{connection_of, Failure, StreamRead};

/// Datagrams read from one socket before the next socket's turn.
const DATAGRAMS_PER_TURN_MAX: usize = 8;

impl UpstreamQueries<'_> {
    /// Read what is left of the last turn.
    pub fn read_on(&mut self, turn: &mut LoopContext) {
        self.end_broken(turn);
        for place in std::mem::take(&mut self.unread) {
            match place {
                Place::Datagrams(socket) => self.read(socket, turn),
                Place::Stream(connection) => _ = self.read_stream(connection, false, turn),
            }
        }
    }

    /// Read what the descriptor under this number in the epoll set has; how many messages that were, about.
    ///
    /// Datagrams are judged by `judge_heard`.  `is_over`: see `Events::is_over`.
    pub fn read_from(&mut self, number: u64, is_over: bool, turn: &mut LoopContext) -> usize {
        match connection_of(number) {
            Some(connection) => self.read_stream(connection, is_over, turn),
            None => {
                self.hear(Handle::from_bits(number), turn);
                1
            }
        }
    }

    /// Read the first datagram of a socket on which somebody waits, to judge it later; elsewhere all there is.
    fn hear(&mut self, socket: Handle, turn: &mut LoopContext) {
        if self.heard.from.is_full() {
            self.judge_heard(turn);
        }
        let row = self.heard.rows.get_mut(self.heard.from.len());
        let Some(row) = row.filter(|_| self.pools.is_waited_on(socket)) else {
            return self.read(socket, turn);
        };
        match self.pools.read(socket, row) {
            Read::Empty => {}
            Read::Broken => {
                self.lose_all(socket, turn);
                self.read(socket, turn);
            }
            Read::Datagram(length) => self.heard.from.push((socket, length)),
        }
    }

    /// Judge the datagrams that were read, and read on where somebody still waits.
    pub fn judge_heard(&mut self, turn: &mut LoopContext) {
        if self.heard.from.is_empty() {
            return;
        }
        let mut heard = std::mem::take(&mut self.heard);
        let recipients: ArrayVec<Recipient, HEARD_MAX> =
            heard.each().map(|(socket, octets)| self.pools.recipient(socket, octets)).collect();
        // Short on purpose, as in `policy::Probes`: what the judging reads is sent for.
        for recipient in &recipients {
            if let Recipient::One(owner) = recipient {
                if let Some(Owner::Us(attempt)) = self.in_flight.get(*owner).map(|flight| &flight.holder) {
                    black_box((attempt.sent.id, attempt.key.set, attempt.upstream, attempt.sent_at));
                }
            }
        }
        for ((socket, octets), recipient) in heard.each().zip(recipients) {
            self.deliver(recipient, octets, turn);
            if self.pools.is_waited_on(socket) {
                self.read(socket, turn);
            }
        }
        heard.from.clear();
        self.heard = heard;
    }

    /// Read what a socket has: all of it, or up to the reply that nobody waits behind.
    pub fn read(&mut self, socket: Handle, turn: &mut LoopContext) {
        // It is there but where a panic ended a turn, and then everything is built anew.
        let mut datagram = self.datagram.take().unwrap_or_else(|| Box::new([0; RECEIVE_OCTETS]));
        if !self.read_into(&mut datagram, socket, turn) {
            self.unread.push(Place::Datagrams(socket));
        }
        self.datagram = Some(datagram);
    }

    /// The same; whether all was read.
    fn read_into(
        &mut self,
        datagram: &mut [u8; RECEIVE_OCTETS],
        socket: Handle,
        turn: &mut LoopContext,
    ) -> bool {
        let was_waited_on = self.pools.is_waited_on(socket);
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            match self.pools.read(socket, datagram) {
                Read::Empty => return true,
                Read::Broken => {
                    self.lose_all(socket, turn);
                    // The error came first; datagrams may stand behind it.
                    continue;
                }
                Read::Datagram(length) => {
                    let octets = datagram.get(..length).unwrap_or_default();
                    let recipient = self.pools.recipient(socket, octets);
                    self.deliver(recipient, octets, turn);
                }
            }
            if was_waited_on && !self.pools.is_waited_on(socket) {
                // Most likely there is no more.  If there is, it is nobody's, and goes with what comes next.
                return true;
            }
        }
        false
    }

    /// Nothing will come for those who wait on a socket.
    fn lose_all(&mut self, socket: Handle, turn: &mut LoopContext) {
        for owner in self.pools.break_all(socket) {
            self.lose(owner, HandoverReason::Network, turn);
        }
    }

    /// A datagram goes to whom it is for.
    fn deliver(&mut self, recipient: Recipient, octets: &[u8], turn: &mut LoopContext) {
        match recipient {
            Recipient::Orphan => {}
            Recipient::One(owner) => {
                if let Some(flight) = self.in_flight.get_mut(owner) {
                    flight.is_answered = true;
                }
                self.on_octets(owner, octets, turn);
            }
            Recipient::All(owners) => {
                for owner in owners {
                    self.on_octets(owner, octets, turn);
                }
            }
        }
    }

    /// Go on with a connection: its handshake, what it has to read, its end; how many messages came.
    fn read_stream(&mut self, connection: Handle, is_over: bool, turn: &mut LoopContext) -> usize {
        let mut inbox = self.inbox.take().unwrap_or_default();
        let read = self.streams.read(connection, is_over, turn.now, &mut inbox);
        let mut count = 0;
        for (owner, octets) in inbox.messages() {
            count += 1;
            if let Some(flight) = self.in_flight.get_mut(owner) {
                // A connection has one answer to each question, whatever it is.
                flight.place = None;
            }
            self.on_octets(owner, octets, turn);
        }
        self.inbox = Some(inbox);
        for (owner, connection) in self.streams.take_moved() {
            if let Some(flight) = self.in_flight.get_mut(owner) {
                flight.place = Some(Place::Stream(connection));
            }
        }
        match read {
            StreamRead::All => {}
            StreamRead::Part => self.unread.push(Place::Stream(connection)),
            StreamRead::Ended(failure) => self.end_stream(connection, failure, turn),
        }
        if let Some((upstream, is_resumed)) = self.streams.take_handshake() {
            turn.counts.upstream(upstream).on_handshake(is_resumed);
        }
        count
    }

    /// End the connections that broke where they were written to, or have had their time.
    pub(super) fn end_broken(&mut self, turn: &mut LoopContext) {
        for (connection, failure) in self.streams.take_broken() {
            self.end_stream(connection, failure, turn);
        }
    }

    /// A connection has ended: its questions are asked once more on another, or are Python's.
    fn end_stream(&mut self, connection: Handle, failure: Failure, turn: &mut LoopContext) {
        let Some(left) = self.streams.break_all(connection, failure, turn.now) else { return };
        for query in left.queries {
            let owner = query.owner;
            if let Some(flight) = self.in_flight.get_mut(owner) {
                flight.place = None;
                flight.left = Some(query.left);
                let is_ours = matches!(flight.holder, Owner::Us(_));
                if is_ours
                    && left.may_ask_again
                    && self.send_again(left.upstream, query, left.alone, turn.now)
                {
                    continue;
                }
            }
            self.lose(owner, reason_of(left.failure), turn);
        }
    }

    /// These octets are for `owner`, or may be.
    fn on_octets(&mut self, owner: Handle, octets: &[u8], turn: &mut LoopContext) {
        let ticket = self.ticket(owner);
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
                if let Some(InFlight { holder: Owner::Us(attempt), .. }) = self.in_flight.take(owner) {
                    self.maker.end(attempt);
                }
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
}
