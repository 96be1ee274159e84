//! The request flow as all threads share it: what is fixed, what is in force, what is in flight.
//!
//! Knows: which rooms take part.  Does not know: the order of the steps (`answer`, `finish`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::Mutex;

use super::clients::{Clients, RateLimiter};
use super::flights::Flights;
use super::tallies::{Hit, HitId, Hits, Registry};
use super::upstreams::UpstreamView;
use crate::cache::Cache;
use crate::local::LocalNames;
use crate::policy::{PolicyTable, Verdict};

/// What is fixed for the life of a flow.
pub struct FlowConfig {
    /// Who may ask.
    pub clients: Clients,
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
    pub(super) hits: Hits,
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
    pub(super) config: FlowConfig,
    pub(super) cache: Arc<Cache>,
    pub(super) policy: ArcSwapOption<Policy>,
    pub(super) upstreams: ArcSwap<UpstreamView>,
    pub(super) flights: Flights,
    pub(super) registry: Mutex<Registry>,
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

    /// Whether Python logs what meets this verdict.
    pub(super) fn is_logged(&self, verdict: &Verdict) -> bool {
        self.config.punt_blocked && (verdict.is_blocked() || verdict.shadow.is_some())
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
