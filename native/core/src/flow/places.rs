//! Places to wait, as the flow gives them: to its own clients and to Python's.
//!
//! Knows: which queries are the same, what who gets none is told.  Does not know: how many there are (`shares`).

use std::net::IpAddr;

use super::finish::AskOutcome;
use super::flights::{FlightKey, Waiter};
use super::query_context::QueryContext;
use super::route::Route;
use super::shares::Entered;
use super::state::Flow;
use super::tallies::Reason;
use crate::wire::query::Query;

/// Questions at Python while all upstreams are thought dead; further ones fail at once.
const LOST_IN_FLIGHT_MAX: usize = 256;
/// The same for everybody: more than two clients can have.
const LOST_OF_ALL_MAX: usize = 2_048;
/// A client with fewer that wait may have one more of them.
const FEW_WAITING: usize = 16;
/// A question in flight for longer gives its place up when the table is full.
const SLOW_S: f64 = 0.2;
/// Questions that yield at once: as many as a batch may bring.
const YIELDING_AT_ONCE: usize = 64;

impl Flow {
    /// The same for the same query from the same address and port, sent again; streams carry none twice.
    pub(super) fn mark_of(&self, key: &FlightKey, octets: &[u8], route: &Route) -> u64 {
        match route {
            Route::Datagram(route) => self.flights.shares.mark((key, octets.get(..2), route)),
            Route::Stream(_) => self.flights.shares.own_mark(),
        }
    }

    /// Who waits for questions that yield, a bounded number of them, because no more may be in flight: the slow
    /// ones, as in Unbound's jostle list.  They are to be refused.
    pub fn make_room(&self, now: f64) -> Vec<Waiter> {
        if self.flights.is_full() {
            self.flights.take_slow(now - SLOW_S, YIELDING_AT_ONCE)
        } else {
            Vec::new()
        }
    }

    /// Whether Python asks enough already that upstreams thought dead do not answer, and this client has its part.
    pub(super) fn is_enough_lost(&self, address: IpAddr) -> bool {
        let lost = self.flights.at_python();
        lost >= LOST_IN_FLIGHT_MAX && self.flights.shares.waiting(address) >= FEW_WAITING
            || lost >= LOST_OF_ALL_MAX
    }

    /// Give a client of Python's a place to wait.
    pub fn enter(&self, address: IpAddr, mark: u64) -> Entered {
        self.flights.shares.enter(address, mark)
    }

    /// A client of Python's waits no more.
    pub fn leave(&self, address: IpAddr, mark: u64) {
        self.flights.shares.leave(address, mark);
    }
}

impl QueryContext<'_> {
    /// A query that was to be asked gets no answer.
    pub(super) fn drop_asked(&mut self, query: &Query, reason: Reason) -> AskOutcome {
        self.recognise(query);
        self.drop(Some(query.qtype), reason, false);
        self.tallies.record(self.peer, self.now, query.octets, None);
        AskOutcome::Drop
    }
}
