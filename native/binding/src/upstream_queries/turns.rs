//! What a turn of the thread does besides reading: deadlines, commands, what has gathered, its end.
//!
//! Knows: which attempts and connections are due.  Does not know: the order of a turn (`worker`).

use std::panic::{catch_unwind, AssertUnwindSafe};

use super::state::{InFlight, LoopContext, Owner, UpstreamQueries};
use crate::counters::add;
use crate::mailbox::Command;
use crate::ring::{attempt_of, HandoverReason};
use crate::slab::Handle;

/// A timer may fire this much early, by rounding.
const TIMER_SLACK_S: f64 = 1e-6;

impl UpstreamQueries<'_> {
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
        self.streams.look_at_times(now);
        self.end_broken(turn);
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
        self.pools.stock_up(count, now, self.maker.entropy());
    }

    /// See `UdpPools::shed`.
    pub fn shed(&mut self, count: usize) -> bool {
        self.pools.shed(count)
    }

    /// Send the answers that have gathered, and the queries that have for each connection.
    pub fn send_answers(&mut self) {
        self.late_answers.send();
        self.streams.flush();
    }

    /// The thread begins anew, or ends: Python goes on with everything, and nothing here learns what becomes of it.
    pub fn abandon(&mut self, now: f64) {
        self.late_answers.send_due(f64::INFINITY);
        for owner in self.in_flight.handles() {
            // The sockets end with the thread; they may be what broke it, so nothing is asked of them here.
            if let Some(flight) = self.in_flight.get_mut(owner) {
                flight.place = None;
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
        self.late_answers.send();
    }
}
