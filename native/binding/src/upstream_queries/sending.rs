//! Attempts on their way out, in datagrams or over streams.
//!
//! Knows: which pool carries an attempt, what is handed over at once.  Does not know: what its reply will mean.
//! Theory: what is asked in one batch leaves together, once all of it has been asked: what makes an attempt and what
//! sends it are too much code to stand side by side in the nearest cache.

use std::panic::{catch_unwind, AssertUnwindSafe};

use resolver_core::flow::Attempt;

use super::state::{InFlight, LoopContext, Owner, Place, UpstreamQueries};
use crate::ring::HandoverReason;
use crate::slab::Handle;
use crate::udp_pool::SendError;
use crate::upstream_streams::{Failure, StreamQuery};

/// Seconds that a connection has for a question at least: the least time of an attempt over a stream.
const CONNECTION_PATIENCE_S_MIN: f64 = 0.5;

impl UpstreamQueries<'_> {
    /// Take an attempt on: it leaves with `send_taken`.
    ///
    /// From here on, whatever happens, it is handed over in the end.
    pub fn take_on(&mut self, attempt: Box<Attempt>) {
        let (id, holder) = (attempt.sent.id, Owner::Us(attempt));
        let owner = self.in_flight.put(InFlight { holder, id, place: None, is_answered: false, left: None });
        self.unsent.push(owner);
    }

    /// Send what was taken on, or hand it over at once.  Over a stream it leaves with `send_answers`.
    pub fn send_taken(&mut self, turn: &mut LoopContext) {
        let mut unsent = std::mem::take(&mut self.unsent);
        for owner in unsent.drain(..) {
            let send = || self.send_from(owner, turn);
            // A panic costs one question, and not even that.
            if catch_unwind(AssertUnwindSafe(send)).is_err() {
                self.count_panic();
                self.lose(owner, HandoverReason::Abandoned, turn);
            }
        }
        self.unsent = unsent;
    }

    fn send_from(&mut self, owner: Handle, turn: &mut LoopContext) {
        #[cfg(test)]
        assert!(!self.panics_next, "a test wanted this panic");
        let Some(InFlight { holder: Owner::Us(attempt), id, .. }) = self.in_flight.get_mut(owner) else {
            return;
        };
        let Attempt { upstream, due_at, carrier, .. } = **attempt;
        turn.counts.upstream(upstream).queries += 1;
        let placed = if carrier.is_stream() {
            if usize::from(upstream) >= self.streams.servers() {
                self.streams.learn(&self.shared.shared_flow.servers());
            }
            // A question may go on elsewhere sooner (`forwarding/hedging.py`), and its connection is none the worse.
            let due_at = due_at.max(turn.now + CONNECTION_PATIENCE_S_MIN);
            let (id, octets) = (*id, std::mem::take(&mut attempt.octets));
            let query = StreamQuery { id, owner, due_at, octets, sends: 0, left: 0 };
            self.streams.send(upstream, query, turn.now).map(Place::Stream).map_err(reason_of)
        } else {
            if usize::from(upstream) >= self.pools.servers() {
                self.pools.learn(&self.shared.shared_flow.datagram_addresses());
            }
            let octets = &attempt.octets;
            let sent = self.pools.send(upstream, octets, owner, turn.now, self.maker.entropy());
            sent.map(Place::Datagrams).map_err(|error| match error {
                SendError::Network => HandoverReason::Network,
                SendError::NoSocket => HandoverReason::NoSocket,
            })
        };
        match placed {
            Ok(place) => {
                if let Some(flight) = self.in_flight.get_mut(owner) {
                    flight.place = Some(place);
                }
                self.timers.set(owner, due_at, turn.now);
            }
            Err(reason) => {
                if let Some(flight) = self.in_flight.get_mut(owner) {
                    flight.left = Some(0);
                }
                self.hand_over(owner, reason, None, turn);
            }
        }
    }

    /// Send a question once more whose connection broke; false: it cannot be.
    pub(super) fn send_again(&mut self, upstream: u16, query: StreamQuery, alone: bool, now: f64) -> bool {
        let owner = query.owner;
        let Ok(connection) = self.streams.send_again(upstream, query, now, alone) else { return false };
        if let Some(flight) = self.in_flight.get_mut(owner) {
            flight.place = Some(Place::Stream(connection));
        }
        true
    }
}

/// Why Python is to go on where a stream failed.
pub(super) fn reason_of(failure: Failure) -> HandoverReason {
    match failure {
        Failure::Network => HandoverReason::Network,
        Failure::NoSocket => HandoverReason::NoSocket,
        Failure::Stream => HandoverReason::Stream,
        Failure::Malformed => HandoverReason::Malformed,
        Failure::Tls => HandoverReason::Tls,
        Failure::CertificateExpired => HandoverReason::CertificateExpired,
        Failure::CertificateName => HandoverReason::CertificateName,
        Failure::CertificateUntrusted => HandoverReason::CertificateUntrusted,
        Failure::CertificatePin => HandoverReason::CertificatePin,
        Failure::HeldBack => HandoverReason::HeldBack,
        Failure::Full | Failure::Blameless => HandoverReason::Abandoned,
    }
}
