//! The flow with its counts, as everything over one core shares it.
//!
//! Knows: who may read and write which count.  Does not know: how a query is answered, threads, Python's types.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use resolver_core::flow::{Flow, Recorded, Tallies, Waiters};
use resolver_core::records::{ring, Records, Source};
use resolver_core::wire::Question;

use crate::guard::Guard;
use crate::upstream_server::UpstreamServer;

/// Upper bounds of an upstream's response time histogram, in seconds; the last bucket has none.
pub const RESPONSE_SECONDS_BOUNDS: [f64; 11] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// Buckets of that histogram.
pub const RESPONSE_BUCKETS: usize = RESPONSE_SECONDS_BOUNDS.len() + 1;

/// What became of the queries to one upstream since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UpstreamReport {
    /// Queries sent, or tried to.
    pub queries: u64,
    /// Answers of use, handed-over attempts not included.
    pub answers: u64,
    /// Their times, added up.
    pub sum_s: f64,
    /// Their times, counted.
    pub buckets: [u64; RESPONSE_BUCKETS],
    /// The last one's time.
    pub last_s: f64,
    /// When it came, monotonic seconds.
    pub answered_at: f64,
    /// Handshakes of TLS in full.
    pub handshakes: u64,
    /// Sessions of TLS resumed.
    pub resumptions: u64,
}

impl UpstreamReport {
    /// An answer came `elapsed_s` after its query.
    pub fn on_answer(&mut self, elapsed_s: f64, now: f64) {
        self.answers += 1;
        self.sum_s += elapsed_s;
        self.buckets[RESPONSE_SECONDS_BOUNDS.partition_point(|&bound| bound < elapsed_s)] += 1;
        self.last_s = elapsed_s;
        self.answered_at = now;
    }

    /// TLS was agreed on.
    pub fn on_handshake(&mut self, is_resumed: bool) {
        *(if is_resumed { &mut self.resumptions } else { &mut self.handshakes }) += 1;
    }

    /// Add another thread's.
    pub fn add(&mut self, other: &UpstreamReport) {
        self.handshakes += other.handshakes;
        self.resumptions += other.resumptions;
        self.queries += other.queries;
        self.answers += other.answers;
        self.sum_s += other.sum_s;
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket += more;
        }
        if other.answered_at > self.answered_at {
            self.answered_at = other.answered_at;
            self.last_s = other.last_s;
        }
    }
}

/// One thread's counts; its lock is taken once per turn, and by a scrape.
///
/// On cache lines of its own: it is written for every query, and must not slow a thread next door.
#[derive(Default)]
#[repr(align(128))]
pub struct ThreadCounts {
    /// Outcomes.
    pub tallies: Tallies,
    upstreams: Vec<UpstreamReport>,
}

impl ThreadCounts {
    /// The counts of one upstream.
    pub fn upstream(&mut self, number: u16) -> &mut UpstreamReport {
        let number = usize::from(number);
        if number >= self.upstreams.len() {
            self.upstreams.resize(number + 1, UpstreamReport::default());
        }
        &mut self.upstreams[number]
    }

    /// All upstreams' counts, by number; they begin anew.
    pub fn take_upstreams(&mut self) -> Vec<UpstreamReport> {
        let count = self.upstreams.len();
        std::mem::replace(&mut self.upstreams, vec![UpstreamReport::default(); count])
    }
}

/// The flow, and the counts of all threads that ever worked on it.
pub struct SharedFlow {
    /// The decisions.
    pub flow: Flow,
    /// Around calls of Python's.
    pub guard: Arc<Guard>,
    servers: Mutex<Vec<Arc<UpstreamServer>>>,
    all_counts: Mutex<Vec<Arc<Mutex<ThreadCounts>>>>,
    /// Which queries are recorded, and whether with details.
    recorded: Option<(Recorded, bool)>,
    /// The buffer of records of each counts; empty where nothing is recorded.
    sources: Mutex<Vec<(Arc<Mutex<ThreadCounts>>, Source)>>,
}

impl SharedFlow {
    /// Nothing counted yet.
    pub fn new(flow: Flow, guard: Arc<Guard>, recorded: Option<(Recorded, bool)>) -> SharedFlow {
        SharedFlow {
            flow,
            guard,
            servers: Mutex::default(),
            all_counts: Mutex::default(),
            recorded,
            sources: Mutex::default(),
        }
    }

    /// See `Flow::claim`.
    pub fn claim(&self, question: Question) -> Option<Waiters> {
        self.guard.call(|| None, || self.flow.claim(question))
    }

    /// See `Flow::release`.
    pub fn release(&self, question: Question) {
        self.guard.call(|| (), || self.flow.release(question));
    }

    /// A new thread's counts, with a buffer of so many octets for its records, if any are kept.
    pub fn new_counts(&self, record_octets: usize) -> Arc<Mutex<ThreadCounts>> {
        let counts = Arc::new(Mutex::new(ThreadCounts::default()));
        if let Some((recorded, has_details)) = self.recorded {
            let (producer, consumer) = ring(record_octets);
            counts.lock().tallies.record_into(producer, recorded, has_details);
            self.sources.lock().push((Arc::clone(&counts), Source::new(consumer)));
        }
        self.all_counts.lock().push(Arc::clone(&counts));
        counts
    }

    /// All threads' counts.
    pub fn all_counts(&self) -> Vec<Arc<Mutex<ThreadCounts>>> {
        self.all_counts.lock().clone()
    }

    /// Records that wait, on all threads: at most one part of each.
    ///
    /// A thread's lock is taken only when it recorded something of a new kind, and for no longer than a copy: a
    /// thread that answers must not wait for texts, nor for the lock of their registry, which `publish` holds.
    pub fn take_records(&self) -> Records {
        let mut sources = self.sources.lock();
        let take = |(counts, source): &mut (Arc<Mutex<ThreadCounts>>, Source)| {
            source.take(|first| {
                let labels = counts.lock().tallies.labels(first);
                self.flow.kinds(labels)
            })
        };
        Records { parts: sources.iter_mut().filter_map(take).collect() }
    }

    /// Records that found no room, on all threads; `only_hits`: those that a rule blocked, or would have.
    pub fn records_lost(&self, only_hits: bool) -> u64 {
        self.sources.lock().iter().map(|(_, source)| source.lost(only_hits)).sum()
    }

    /// What became of the queries to each upstream since the last call, on all threads; by number.
    pub fn take_reports(&self) -> Vec<UpstreamReport> {
        let mut sums: Vec<UpstreamReport> = Vec::new();
        for counts in self.all_counts() {
            let taken = counts.lock().take_upstreams();
            sums.resize(sums.len().max(taken.len()), UpstreamReport::default());
            for (sum, report) in sums.iter_mut().zip(&taken) {
                sum.add(report);
            }
        }
        sums
    }

    /// Every upstream, by its number.
    pub fn servers(&self) -> Vec<Arc<UpstreamServer>> {
        self.servers.lock().clone()
    }

    /// The addresses of those that are asked in datagrams.
    pub fn datagram_addresses(&self) -> Vec<Option<SocketAddr>> {
        let address = |server: &Arc<UpstreamServer>| (!server.carrier.is_stream()).then_some(server.address);
        self.servers.lock().iter().map(address).collect()
    }

    /// Set them; false, and nothing is done, if a known number were to stand for another server.
    pub fn set_servers(&self, servers: Vec<Arc<UpstreamServer>>) -> bool {
        let mut known = self.servers.lock();
        let keeps_all = servers.len() >= known.len()
            && known.iter().zip(&servers).all(|(known, server)| Arc::ptr_eq(known, server));
        if keeps_all {
            *known = servers;
        }
        keeps_all
    }
}
