//! The request flow as all threads share it: what is fixed, what is in force, what is in flight.
//!
//! Knows: which rooms take part.  Does not know: the order of the steps (`answer`, `finish`).

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::Mutex;

use super::audit_queries::AuditSecret;
use super::client_names::ClientNames;
use super::clients::{Clients, Networks, RateLimiter};
use super::flights::Flights;
use super::peer::Peer;
use super::proxies::Proxies;
use super::tallies::{Hit, HitId, Hits, Registry, Row};
use super::upstreams::UpstreamView;
use crate::cache::Cache;
use crate::local::LocalNames;
use crate::policy::{PolicyTable, StructuredErrors, GROUPS_MAX};
use crate::records::{HitLabels, Kind};

/// What is fixed for the life of a flow.
pub struct FlowConfig {
    /// Who may ask.
    pub clients: Clients,
    /// Per client; None: no limit.
    pub limiter: Option<RateLimiter>,
    /// Whether the addresses of a kept answer take turns at its front.
    pub rotate_addresses: bool,
    /// Names of this site, and the special ones.
    pub local: LocalNames,
    /// How clients that ask for it are told why a name is blocked; None: as all others.
    pub structured_errors: Option<StructuredErrors>,
    /// What clients on streams are told of our patience, in units of 100 ms (RFC 7828 §3.1), as it is sent.
    pub keepalive_units: [u8; 2],
    /// The name by which this server is told from its twin (RFC 5001); empty: it is not told.
    pub nsid: Vec<u8>,
    /// Questions in flight, over all threads.
    pub in_flight_max: usize,
    /// Clients that may share one question.
    pub waiters_max: usize,
    /// Clients that may wait altogether.
    pub waiting_max: usize,
    /// Where clients may name themselves.
    pub client_names: ClientNames,
    /// Who puts a head with the client's address before what it passes on.
    pub proxies: Proxies,
    /// Whose `Forwarded` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Networks,
    /// What marks the queries of an audit; None: nothing does.
    pub audit_secret: Option<AuditSecret>,
}

/// One generation of the policy: its table for each group of clients, and what counting needs of them.
///
/// Groups and rules come from one image, so whoever swaps this one object swaps both at one moment.
pub struct Policy {
    /// The table of group 0.
    pub everybody: PolicyTable,
    /// Those of the other groups, made when one of their clients first asks.
    others: [OnceLock<PolicyTable>; GROUPS_MAX as usize - 1],
    pub(super) hits: Hits,
}

impl Policy {
    pub(super) fn new(everybody: PolicyTable, hits: Hits) -> Policy {
        Policy { everybody, others: [const { OnceLock::new() }; GROUPS_MAX as usize - 1], hits }
    }

    /// The table that judges the clients of this group; that of everybody, should there be no such group.
    #[inline]
    pub fn table_for(&self, group: u8) -> &PolicyTable {
        match usize::from(group).checked_sub(1).and_then(|place| self.others.get(place)) {
            None => &self.everybody,
            Some(table) => table.get_or_init(|| self.everybody.for_group(group)),
        }
    }

    /// The table that judges this client: that of its group.
    #[inline(always)]
    pub(super) fn table_of(&self, peer: &Peer) -> &PolicyTable {
        self.table_for(peer.standing.group)
    }
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
    /// Whose NOTIFY (RFC 1996) is Python's to answer.
    pub(super) notifiers: ArcSwap<Vec<IpAddr>>,
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
            notifiers: ArcSwap::from_pointee(Vec::new()),
            flights,
            registry: Mutex::default(),
            counts: FlowCounts::default(),
        }
    }

    /// Where clients may name themselves.
    pub fn client_names(&self) -> &ClientNames {
        &self.config.client_names
    }

    /// Who puts a head before what it passes on.
    pub fn proxies(&self) -> &Proxies {
        &self.config.proxies
    }

    /// Whose word counts on who asks through them over HTTP.
    pub fn trusted_proxies(&self) -> &Networks {
        &self.config.trusted_proxies
    }

    /// The one cache.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// Judge by this table of everybody and those that can be made of it from now on; what is remembered
    /// under another generation is re-judged.
    pub fn publish(&self, everybody: PolicyTable) {
        let hits = self.registry.lock().hits_of(&everybody);
        self.policy.store(Some(Arc::new(Policy::new(everybody, hits))));
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

    /// Tell clients of these encrypted listeners from now on; see `LocalNames::designate`.
    pub fn designate(&self, name: &[u8], rdatas: Vec<Vec<u8>>) {
        self.config.local.designate(name, rdatas);
    }

    /// Leave the NOTIFY of these to Python from now on.
    pub fn publish_notifiers(&self, addresses: Vec<IpAddr>) {
        self.notifiers.store(Arc::new(addresses));
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

    /// The kinds of a thread's records, of what its `Tallies::labels` say.
    pub fn kinds(&self, labels: Vec<Row>) -> Vec<Kind> {
        let registry = self.registry.lock();
        let hit = |id: HitId| {
            let Hit { kind, label, action, .. } = registry.hit(id)?;
            Some(HitLabels { kind, label, action })
        };
        labels
            .into_iter()
            .map(|row| Kind {
                transport: row.transport,
                rcode: row.rcode,
                source: row.source,
                reason: row.reason,
                enforced: hit(row.enforced),
                shadow: hit(row.shadow),
            })
            .collect()
    }

    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Standing, Transport};
    use crate::policy::{Image, EVERYBODY};
    use std::net::Ipv4Addr;

    const POLICY: &[u8] = include_bytes!("../../../fuzz/corpus/canary.policy");

    #[test]
    fn a_groups_table_is_made_once_and_no_two_share_a_generation() {
        let image = Arc::new(Image::open(Box::new(POLICY)).unwrap());
        let everybody = PolicyTable::new(image, 7, 1.7e9, 0.0);
        let hits = Registry::default().hits_of(&everybody);
        let policy = Policy::new(everybody, hits);
        assert!(std::ptr::eq(policy.table_for(0), &policy.everybody));
        assert!(policy.others.iter().all(|table| table.get().is_none()));
        assert!(std::ptr::eq(policy.table_for(3), policy.table_for(3)));
        let generations: Vec<u64> = (0..GROUPS_MAX).map(|group| policy.table_for(group).generation).collect();
        let mut distinct = generations.clone();
        distinct.dedup();
        assert_eq!((generations[0], distinct.len()), (7, usize::from(GROUPS_MAX)));
        // Nobody is judged by less than the rules for everybody.
        assert!(std::ptr::eq(policy.table_for(GROUPS_MAX), &policy.everybody));
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            transport: Transport::Udp,
            standing: Standing { group: EVERYBODY, is_allowed: true },
            name: None,
        };
        assert!(std::ptr::eq(policy.table_of(&peer), &policy.everybody));
    }
}
