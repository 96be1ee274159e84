//! What a thread does with a batch of messages: judge them, send the answers, ask the rest.
//!
//! Knows: who asks questions for it, who answers what Python must.  Does not know: sockets, TLS, who has a turn.

use std::panic::{catch_unwind, AssertUnwindSafe};

use resolver_core::flow::{AskOutcome, BatchContext, Outcome, Policy, Route, StreamRoute};
use resolver_core::wire::frames::{first_frame, Frame};

use super::state::{Open, ThreadLoop};
use crate::counters::add;
use crate::shared_flow::ThreadCounts;
use crate::slab::Handle;
use crate::stream_asks::StreamAsk;
use crate::stream_state::{give_to_ask, StreamAnswer};
use crate::sys::monotonic;

impl ThreadLoop<'_> {
    /// Judge what has come, send the answers, ask what they leave open, and keep what is no whole message.
    pub(super) fn judge(&mut self, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        if self.batch.is_empty() {
            return;
        }
        if self.batch.has_messages() {
            let began = monotonic();
            match policy {
                Some(policy) => self.answer_all(policy, began, counts),
                None => self.batch.punt_all(&mut self.rest),
            }
            self.now = monotonic();
            self.send_answers();
            self.now = monotonic();
            counts.tallies.settle(self.now - began);
            // After the answers that are ready: nobody waits for somebody else's miss.
            self.ask_rest(policy, counts);
        }
        self.gathering.count(&self.batch);
        for number in 0..self.batch.groups().len() {
            self.keep_left(number);
        }
        self.batch.clear();
    }

    fn answer_all(&mut self, policy: &Policy, now: f64, counts: &mut ThreadCounts) {
        let mut concluded = 0;
        loop {
            let (flow, mailbox) = (&self.shared.shared_flow.flow, &self.letters.mailbox);
            let (queries, mut answers) = self.batch.halves();
            let outcomes = answers.outcomes();
            let (rest, memo, tallies) = (&mut self.rest, &mut self.memo, &mut counts.tallies);
            let context = BatchContext { now, memo, tallies, concluded: &mut concluded };
            let answer = || {
                assert!(!mailbox.panics_next(), "a test wanted this panic");
                flow.answer_batch(policy, &queries, context, &mut answers, |number, outcome| {
                    if outcomes.note(number, outcome) {
                        rest.push((number, outcome == Outcome::Punt));
                    }
                });
            };
            let answered = catch_unwind(AssertUnwindSafe(answer));
            drop(queries);
            if answered.is_ok() {
                return;
            }
            // It costs the query whose turn it was; those behind it go on, and then the thread begins anew.
            concluded += 1;
            self.count_panic();
        }
    }

    #[cold]
    fn count_panic(&mut self) {
        self.panics += 1;
        add(&self.letters.mailbox.counters.panics, 1);
    }

    fn send_answers(&mut self) {
        let ThreadLoop { batch, connections, sealed, now, .. } = self;
        for group in batch.groups() {
            let Some(connection) = connections.get_mut(group.handle) else { continue };
            if group.has_messages() {
                connection.note_message(*now);
            }
            let answers = batch.answers(group);
            // Those before the one that ends the connection, too.
            if !answers.is_empty() && !connection.send(answers, sealed, *now) {
                group.must_close.set(true);
            }
        }
    }

    /// What is left of a connection's octets waits; or it goes.
    fn keep_left(&mut self, number: usize) {
        let group = &self.batch.groups()[number];
        let handle = group.handle;
        if group.must_close.get() {
            return self.close(handle);
        }
        let left = self.batch.left(group);
        let Some(connection) = self.connections.get_mut(handle) else { return };
        connection.has_message = !matches!(first_frame(left), Frame::Part);
        // A quiet connection holds nothing.
        connection.unread = Vec::from(left);
        self.settle(handle);
    }

    // Questions.

    fn ask_rest(&mut self, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        let mut rest = std::mem::take(&mut self.rest);
        for (number, is_for_python) in rest.drain(..) {
            let Some(ask) = self.open_question(number) else { continue };
            if is_for_python {
                self.punt(ask, policy, counts);
            } else {
                self.asks.push(ask);
            }
        }
        self.rest = rest;
        if self.asks.is_empty() {
            return;
        }
        let mut asks = std::mem::take(&mut self.asks);
        let is_any_there = give_to_ask(&self.shared.mailboxes, usize::from(self.number), &mut asks);
        for ask in asks.drain(..) {
            if is_any_there {
                self.refuse(&ask, policy, counts);
            } else {
                self.punt(ask, policy, counts);
            }
        }
        self.asks = asks;
    }

    /// Note that a message waits for its answer.
    fn open_question(&mut self, number: usize) -> Option<StreamAsk> {
        let (octets, group) = self.batch.message(number);
        if group.must_close.get() {
            return None;
        }
        let handle = group.handle;
        let place = &self.connections.get(handle)?.place;
        self.streams.limits.lend(place, octets.len());
        let request = self.next_request;
        self.next_request = request.wrapping_add(1);
        let open = Open { connection: handle, place: place.clone(), octets: octets.len() };
        self.open.insert(request, open);
        let bits = handle.to_bits();
        let (connection, generation) = (bits as u32, (bits >> 32) as u32);
        let route = StreamRoute { thread: self.number, connection, generation, request };
        let peer = self.shared.shared_flow.flow.peer_called(group.address(), group.transport(), group.name());
        Some(StreamAsk { octets: octets.into(), peer, route })
    }

    /// Python answers it.
    fn punt(&mut self, ask: StreamAsk, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        let counters = &self.letters.mailbox.counters;
        if !self.shared.ring.punt(counters, &ask.octets, ask.peer, Route::Stream(ask.route)) {
            self.refuse(&ask, policy, counts);
        }
    }

    /// There is no room for it on the way to who asks or answers: it is answered here, as well as can be.
    fn refuse(&mut self, ask: &StreamAsk, policy: Option<&Policy>, counts: &mut ThreadCounts) {
        let (flow, now, mut out) = (&self.shared.shared_flow.flow, self.now, Vec::new());
        let tallies = &mut counts.tallies;
        let refuse =
            || policy.map(|policy| flow.refuse(policy, &ask.octets, &ask.peer, now, &mut out, tallies));
        let answer = match catch_unwind(AssertUnwindSafe(refuse)) {
            Ok(Some(AskOutcome::Reply)) => {
                counts.tallies.settle(0.0);
                StreamAnswer::Message(out.into())
            }
            Ok(_) => {
                add(&self.letters.mailbox.counters.ring_full, 1);
                StreamAnswer::Lost
            }
            Err(_) => {
                self.count_panic();
                StreamAnswer::Lost
            }
        };
        if let Some(handle) = self.take_answer(ask.route, answer) {
            self.send_refusal(handle);
        }
    }

    /// Without `settle`: what is left of the connection's octets is still in the batch.
    fn send_refusal(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.send_gathered(&mut self.sealed, self.now) {
            self.close(handle);
        }
    }
}
