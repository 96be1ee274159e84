//! Questions that came to no simple end here: Python goes on with them, or nobody can.
//!
//! Knows: the ring to Python, who waits.  Does not know: why an attempt came to nothing, beyond a word.

use std::panic::{catch_unwind, AssertUnwindSafe};

use resolver_core::flow::{AskOutcome, Waiter, WaiterReply};

use super::state::{LoopContext, Owner, UpstreamQueries};
use crate::counters::add;
use crate::ring::{Event, Handover, HandoverReason};
use crate::slab::Handle;

/// How long an ID is kept open for Python, which is done with any question long before.
const TICKET_S_MAX: f64 = 60.0;

impl UpstreamQueries<'_> {
    /// Nothing will come for `owner`.
    pub(super) fn lose(&mut self, owner: Handle, reason: HandoverReason, turn: &mut LoopContext) {
        let left = self.try_to_lose(owner, reason, turn.now);
        self.refuse_all(left, turn);
    }

    /// The same; who found no room on the way to Python.
    pub(super) fn try_to_lose(&mut self, owner: Handle, reason: HandoverReason, now: f64) -> Vec<Waiter> {
        self.forget(owner);
        let ticket = self.ticket(owner);
        let Some(flight) = self.in_flight.get(owner) else { return Vec::new() };
        if matches!(flight.holder, Owner::Us(_)) {
            return self.try_to_hand_over(owner, reason, None, now);
        }
        let left = flight.left;
        if self.shared.ring.push(Event::Broken { ticket, reason, left }).is_err() {
            add(&self.counters.late_full, 1);
        }
        Vec::new()
    }

    /// Python goes on with an attempt.
    pub(super) fn hand_over(
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
    pub(super) fn try_to_hand_over(
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
        let holder = Owner::Python { key: Box::new(key), expires_at };
        let Owner::Us(attempt) = std::mem::replace(&mut flight.holder, holder) else { return Vec::new() };
        let handover = Handover { attempt, ticket, octets, reason, left: flight.left, waiters };
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
    pub(super) fn refuse_all(&mut self, waiters: Vec<Waiter>, turn: &mut LoopContext) {
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
}
