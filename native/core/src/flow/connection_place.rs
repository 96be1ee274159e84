//! One stream connection's place: since when its client is quiet or slow, what it holds, and why it had to go.
//!
//! Knows: what its thread and the limits say of it.  Does not know: what follows from that (`connections`), sockets.
//! What the connection's own thread writes all the time stands here as atomics, so that it costs no lock.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

use super::clients::ClientKey;
use super::peer::Transport;

/// A connection that holds no more is not asked what it holds: so the usual one costs no accounting.
pub const UNNOTED_OCTETS_MAX: usize = 4096;
/// A client is slow when it has not read, or not completed a message, for so long.
pub const SLOW_AFTER_S: f64 = 1.0;

/// Since when nothing of the kind.
pub const NEVER: f64 = f64::INFINITY;

/// Why a connection is refused or closed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// All places are taken, and nobody has to yield.
    TooMany,
    /// Its client has as many as one may have.
    TooManyOfClient,
    /// Its client may not ask, and enough of those are here.
    TooManyStrangers,
    /// Another needed its place, and its client read or wrote too slowly.
    YieldedSlow,
    /// Another needed its place, and it was quiet.
    YieldedIdle,
    /// It waited for answers, but its client had the most places of all.
    YieldedShare,
    /// It held over `CONNECTION_OCTETS_MAX`.
    OverConnection,
    /// Its client held over its part, and this one the most of it.
    OverClient,
    /// All held too much, and it held most of the client that held most.
    OverAll,
}

impl Limit {
    /// All of them.
    pub const ALL: [Limit; 9] = [
        Limit::TooMany,
        Limit::TooManyOfClient,
        Limit::TooManyStrangers,
        Limit::YieldedSlow,
        Limit::YieldedIdle,
        Limit::YieldedShare,
        Limit::OverConnection,
        Limit::OverClient,
        Limit::OverAll,
    ];

    /// The reason as metrics have it.
    pub fn label(self) -> &'static str {
        match self {
            Limit::TooMany => "tcp_connections_max",
            Limit::TooManyOfClient => "tcp_connections_per_client_max",
            Limit::TooManyStrangers => "tcp_strangers_max",
            Limit::YieldedSlow => "tcp_yielded_slow",
            Limit::YieldedIdle => "tcp_yielded_idle",
            Limit::YieldedShare => "tcp_yielded_share",
            Limit::OverConnection => "tcp_connection_octets_max",
            Limit::OverClient => "tcp_client_octets_max",
            Limit::OverAll => "tcp_held_octets_max",
        }
    }
}

/// Who has a connection: a thread, and its number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Among the threads with streams.
    pub thread: u16,
    /// The connection's place with it.
    pub connection: u32,
    /// Which of the connections that have had this place.
    pub generation: u32,
}

/// Whom a connection counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// A client's who may ask.
    Client(ClientKey),
    /// One of those who may not, who are one client together.
    Strangers,
}

/// One connection's place.  Its thread keeps the times and `held` true, the limits the rest.
#[derive(Debug)]
pub struct Place {
    /// Who has it.
    pub holder: Holder,
    pub(super) transport: Transport,
    pub(super) client: Whose,
    quiet_since: AtomicU64,
    slow_since: AtomicU64,
    open_questions: AtomicUsize,
    lent: AtomicUsize,
    held: AtomicUsize,
    /// What of `held` the sums contain.
    pub(super) noted: AtomicUsize,
    pub(super) is_taken: AtomicBool,
}

impl Place {
    /// A new connection's.
    pub(super) fn new(holder: Holder, transport: Transport, client: Whose, now: f64) -> Place {
        Place {
            holder,
            transport,
            client,
            quiet_since: AtomicU64::new(now.to_bits()),
            slow_since: AtomicU64::new(NEVER.to_bits()),
            open_questions: AtomicUsize::new(0),
            lent: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            noted: AtomicUsize::new(0),
            is_taken: AtomicBool::new(true),
        }
    }

    /// Whether its client may not ask.
    pub fn is_strangers(&self) -> bool {
        self.client == Whose::Strangers
    }

    /// When its last whole message came, or its last open question was answered; monotonic seconds.
    pub fn quiet_since(&self) -> f64 {
        f64::from_bits(self.quiet_since.load(Ordering::Relaxed))
    }

    /// Say so.
    pub fn set_quiet_since(&self, now: f64) {
        self.quiet_since.store(now.to_bits(), Ordering::Relaxed);
    }

    /// Since when its client has not read, or owes the rest of a message; `NEVER`.
    pub fn slow_since(&self) -> f64 {
        f64::from_bits(self.slow_since.load(Ordering::Relaxed))
    }

    /// Say so.
    pub fn set_slow_since(&self, since: f64) {
        self.slow_since.store(since.to_bits(), Ordering::Relaxed);
    }

    /// Questions of it that wait for upstreams.
    pub fn open_questions(&self) -> usize {
        self.open_questions.load(Ordering::Relaxed)
    }

    /// Octets of their queries.
    pub fn lent(&self) -> usize {
        self.lent.load(Ordering::Relaxed)
    }

    /// Its buffers hold so many octets now; whether the limits should hear of it (`ConnectionLimits::hold`).
    pub fn set_held(&self, octets: usize) -> bool {
        self.held.store(octets, Ordering::Relaxed);
        octets > UNNOTED_OCTETS_MAX || self.noted.load(Ordering::Relaxed) > 0
    }

    /// Octets of its buffers, as its thread said last.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// One more question of it waits, with a query of so many octets.
    pub(super) fn lend(&self, octets: usize) {
        self.open_questions.fetch_add(1, Ordering::Relaxed);
        self.lent.fetch_add(octets, Ordering::Relaxed);
    }

    /// It waits no more.
    pub(super) fn give_back(&self, octets: usize) {
        self.open_questions.fetch_sub(1, Ordering::Relaxed);
        self.lent.fetch_sub(octets, Ordering::Relaxed);
    }

    /// Octets of its buffers as they were noted, and of its open questions' queries.
    pub(super) fn weight(&self) -> usize {
        self.noted.load(Ordering::Relaxed) + self.lent()
    }

    /// The lowest yields first: the slow, the quiet, those that wait for answers; each since when.
    pub(super) fn rank(&self, now: f64) -> (Rank, f64) {
        if now - self.slow_since() >= SLOW_AFTER_S {
            return (Rank::Slow, self.slow_since());
        }
        (if self.open_questions() > 0 { Rank::Waiting } else { Rank::Quiet }, self.quiet_since())
    }

    /// Whether it was not given back, nor to somebody else.
    pub fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Relaxed)
    }
}

/// Who yields first, first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Rank {
    Slow,
    Quiet,
    Waiting,
}

/// A connection that has to go, and why.
#[derive(Clone, Debug)]
pub struct Yielding {
    /// Its place, which it has no more.
    pub place: Arc<Place>,
    /// Why.
    pub limit: Limit,
}
