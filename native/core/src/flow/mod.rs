//! The request flow: the one place in the plane that knows the order of the steps.
//!
//! Knows: every room's verdict and which comes first.  Does not know: sockets, clocks, threads, files.
//! Theory: `answer_now` is an ordered list of gates; the first that has an answer ends the walk.  What passes
//! every gate is `Ask`: `ask` makes the first attempt at an upstream or joins one in flight, and `heard`
//! judges what comes back.  Whatever is rare or unsure is `Punt` or `Heard::HandOver`: Python, whose
//! `Service` is the specification of this room, goes on from there.  A verdict lives as long as the policy
//! generation it was made under.

mod answer;
mod batch;
mod finish;
mod flights;
mod memo;
mod served;
mod tallies;
mod upstreams;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::Mutex;

use crate::access::{AccessList, RateLimiter};
use crate::cache::Cache;
use crate::local::LocalNames;
use crate::policy::PolicyTable;

pub use batch::{Desk, Incoming, Replies};
pub use finish::{Asked, Attempt, Finished, Heard, Hearing};
pub use flights::{FlightKey, Waiter, Waiters};
pub use memo::Memo;
pub use served::Served;
pub use tallies::{Hit, HitId, Row, Source, Tallies, SECONDS_BOUNDS};
pub use upstreams::{UpstreamSet, UpstreamView};

use flights::Flights;
use tallies::Hits;

/// Who asks, over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address; IPv4 as such, never mapped into IPv6.
    pub address: IpAddr,
    /// TCP, or any transport whose clients cannot forge their address.
    pub is_stream: bool,
}

/// Octets of a `sockaddr`: `sockaddr_in6` is the longest.
pub const SOCKET_NAME_OCTETS: usize = 28;
/// Octets of control message kept with a query: one `IPV6_PKTINFO`.
pub const CONTROL_OCTETS: usize = 40;

/// The way back to a client; the shell fills it in and reads it, the flow only carries it.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The worker whose socket the query came in on.
    pub worker: u16,
    /// Which of the worker's sockets.
    pub socket: u16,
    /// Used octets of `name`.
    pub name_length: u8,
    /// Used octets of `control`.
    pub control_length: u8,
    /// The client's socket address as the kernel spells it.
    pub name: [u8; SOCKET_NAME_OCTETS],
    /// The local address to answer from, as the kernel spells it.
    pub control: [u8; CONTROL_OCTETS],
    /// The shell's own mark; a test's number for its client.
    pub token: u64,
}

impl Route {
    /// A way back that only the one who set `token` understands.
    pub fn by_token(token: u64) -> Route {
        Route {
            worker: 0,
            socket: 0,
            name_length: 0,
            control_length: 0,
            name: [0; SOCKET_NAME_OCTETS],
            control: [0; CONTROL_OCTETS],
            token,
        }
    }
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The whole message to send is in `out`; counted.
    Respond,
    /// Send nothing; over a stream close the connection if `close`.  Counted.
    Drop {
        /// Whether a stream's client must go.
        close: bool,
    },
    /// Nothing known answers it: hand it to `Flow::ask`.  Not counted yet.
    Ask,
    /// Python must answer it.  Not counted.
    Punt,
}

/// What is fixed for the life of a flow.
pub struct FlowConfig {
    /// The networks that may ask.
    pub access: AccessList,
    /// Per client; None: no limit.
    pub limiter: Option<RateLimiter>,
    /// Names of this site, and the special ones.
    pub local: LocalNames,
    /// What clients on streams are told of our patience, in units of 100 ms (RFC 7828 §3.1).
    pub keepalive_units: u16,
    /// Questions in flight, over all threads.
    pub in_flight_max: usize,
    /// Clients that may share one question.
    pub waiters_max: usize,
    /// Clients that may wait altogether.
    pub waiting_max: usize,
    /// Python answers what is blocked, or would be by a shadow rule (it logs them).
    pub punt_blocked: bool,
    /// Python answers everything (it logs every query).
    pub punt_all: bool,
}

/// A policy table with what counting needs of it.
pub struct Policy {
    /// The table that judges.
    pub table: PolicyTable,
    hits: Hits,
}

/// Counters of the flow itself.
#[derive(Default)]
pub struct FlowCounts {
    /// Questions that needed an upstream, joined ones included.
    pub asked: AtomicU64,
    /// Those that joined a question in flight.
    pub coalesced: AtomicU64,
    /// Clients turned away because a table was full.
    pub overloads: AtomicU64,
}

/// One request flow, shared by all threads.
pub struct Flow {
    config: FlowConfig,
    cache: Arc<Cache>,
    policy: ArcSwapOption<Policy>,
    upstreams: ArcSwap<UpstreamView>,
    flights: Flights,
    registry: Mutex<tallies::Registry>,
    /// See `FlowCounts`.
    pub counts: FlowCounts,
}

impl Flow {
    /// A flow without a policy yet: until one is published everything is punted.
    pub fn new(config: FlowConfig, cache: Arc<Cache>) -> Flow {
        let flights = Flights::new(config.in_flight_max, config.waiters_max, config.waiting_max);
        Flow {
            config,
            cache,
            policy: ArcSwapOption::empty(),
            upstreams: ArcSwap::from_pointee(UpstreamView::default()),
            flights,
            registry: Mutex::default(),
            counts: FlowCounts::default(),
        }
    }

    /// The one cache.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Judge by `table` from now on; what is remembered under another generation is re-judged.
    pub fn publish(&self, table: PolicyTable) {
        let hits = self.registry.lock().hits_of(&table);
        self.policy.store(Some(Arc::new(Policy { table, hits })));
    }

    /// Judge by no policy from now on, until one is published: everything is punted.
    pub fn withdraw(&self) {
        self.policy.store(None);
    }

    /// The policy in force: load it once per batch.
    pub fn policy(&self) -> Guard<Option<Arc<Policy>>> {
        self.policy.load()
    }

    /// Ask these upstreams from now on.
    pub fn publish_upstreams(&self, view: UpstreamView) {
        self.upstreams.store(Arc::new(view));
    }

    /// What a hit's number stands for.
    pub fn hit(&self, id: HitId) -> Option<Hit> {
        self.registry.lock().hit(id)
    }

    /// Questions in flight here.
    pub fn in_flight(&self) -> usize {
        self.flights.in_flight()
    }

    /// Clients that wait for an upstream here.
    pub fn waiting(&self) -> usize {
        self.flights.waiting()
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
