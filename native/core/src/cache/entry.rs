//! One thing the cache knows, and what it costs in octets.
//!
//! Knows: the fields, and how malloc rounds.  Does not know: the tables, eviction, policy (`judgement` is the
//! caller's note, carried and never read).
//! Theory: a cache bounded in octets is only as honest as its account of each entry, so every allocation an
//! entry keeps alive is added up here as the allocator rounds it; what lies in the tables themselves is
//! counted there.

use crate::verdict::Verdict;
use crate::wire::{NegativeKind, Response};
use std::mem::size_of;

/// RFC 9520 §3.2: a resolution failure is kept for at least a second.
pub const FAILURE_TTL_MIN_S: f64 = 1.0;
/// Within the RFC's five minutes, and short enough that recovery is noticed at once.
pub const FAILURE_TTL_MAX_S: f64 = 5.0;

/// Generation of an entry not judged yet.
pub const NOT_JUDGED: u64 = u64::MAX;

/// An answer, a failure, or a stale answer with a failure noted on it.  Times are monotonic seconds.
///
/// Whoever is shown one may change `judged_generation` and `judgement`; the rest is the cache's.
#[repr(C)] // What every hit reads comes first.
pub struct Entry {
    /// Fresh before this.
    pub expires_at: f64,
    /// When the answer was learned.
    pub stored_at: f64,
    /// Policy generation of `judgement`; `NOT_JUDGED`: not judged.
    pub judged_generation: u64,
    /// The caller's note; None with a matching generation: the verdict on qname holds.
    pub judgement: Option<Box<Verdict>>,
    /// None: only a failure is known.
    pub response: Option<Response>,
    /// May stand in for an unreachable upstream before this (RFC 8767).
    pub stale_until: f64,
    /// Asking again is pointless before this (RFC 9520).
    pub failed_until: f64,
    /// How long the last failure is remembered, seconds; the next one in a row lasts twice as long.
    pub failure_ttl_s: f64,
    /// The Extended DNS Error of that failure.
    pub failure: Option<(u16, Box<str>)>,
}

impl Entry {
    /// Nothing known yet.
    #[must_use]
    pub fn new(response: Option<Response>) -> Self {
        Entry {
            expires_at: f64::NEG_INFINITY,
            stored_at: f64::NEG_INFINITY,
            judged_generation: NOT_JUDGED,
            judgement: None,
            response,
            stale_until: f64::NEG_INFINITY,
            failed_until: f64::NEG_INFINITY,
            failure_ttl_s: 0.0,
            failure: None,
        }
    }

    /// Whether the answer is within its TTL.
    #[must_use]
    #[inline]
    pub fn is_fresh(&self, now: f64) -> bool {
        now < self.expires_at
    }

    /// Whether upstreams are known to fail for this question right now.
    #[must_use]
    #[inline]
    pub fn is_failing(&self, now: f64) -> bool {
        now < self.failed_until
    }

    /// Whether there is an answer, fresh or stale.
    #[must_use]
    #[inline]
    pub fn is_usable(&self, now: f64) -> bool {
        self.response.is_some() && now < self.stale_until
    }

    /// Note a failure unless one is being waited out; whether it was noted.
    pub(super) fn note_failure(&mut self, ede: (u16, &str), now: f64) -> bool {
        if self.is_failing(now) {
            // It was asked although known to fail, as a rule's target is: the first failure's time stands.
            return false;
        }
        // Failures in a row, that is each within one failure's time of the last one's end, wait longer.
        let in_a_row = now < self.failed_until + self.failure_ttl_s;
        self.failure_ttl_s =
            if in_a_row { FAILURE_TTL_MAX_S.min(2.0 * self.failure_ttl_s) } else { FAILURE_TTL_MIN_S };
        self.failed_until = now + self.failure_ttl_s;
        self.failure = Some((ede.0, ede.1.into()));
        true
    }
}

/// A denial behind a CNAME speaks of the chain's end; qname itself has a CNAME, at least for this type.
pub(super) fn denies_name(response: &Response) -> bool {
    response.negative == Some(NegativeKind::Nxdomain) && response.links.is_empty()
}

/// What malloc takes for `octets`: 8 of its own, rounded up to 16, at least 32; nothing for nothing.
pub(super) const fn allocation_octets(octets: usize) -> usize {
    match octets {
        0 => 0,
        1..=24 => 32,
        _ => (octets + 8 + 15) & !15,
    }
}

/// Memory that an answer keeps alive outside the entry itself.
pub(super) fn response_octets(response: &Response) -> usize {
    let mut octets = allocation_octets(response.body.len());
    if response.ttls.spilled() {
        octets += allocation_octets(response.ttls.capacity() * size_of_items(&response.ttls));
    }
    if response.addresses.spilled() {
        octets += allocation_octets(response.addresses.capacity() * size_of_items(&response.addresses));
    }
    if !response.links.is_empty() {
        octets += allocation_octets(std::mem::size_of_val(&*response.links));
        octets += response.links.iter().map(|link| allocation_octets(link.target.len())).sum::<usize>();
    }
    if !response.service_targets.is_empty() {
        octets += allocation_octets(std::mem::size_of_val(&*response.service_targets));
        octets += response.service_targets.iter().map(|name| allocation_octets(name.len())).sum::<usize>();
    }
    if let Some(name) = &response.name_at_end {
        octets += allocation_octets(name.len());
    }
    octets
}

fn size_of_items<T>(_: &[T]) -> usize {
    size_of::<T>()
}

/// Memory that a noted failure's text adds to an entry.
pub(super) fn failure_octets(text: &str) -> usize {
    allocation_octets(text.len())
}

/// Memory that the caller's note adds to an entry.
pub(super) fn judgement_octets(judgement: &Option<Box<Verdict>>) -> usize {
    let mut octets = 0;
    let mut next = judgement.as_ref();
    // Two at most: what holds over a stream says nothing of streams itself.
    while let Some(verdict) = next {
        octets += allocation_octets(size_of::<Verdict>());
        octets += verdict.denied.as_ref().map_or(0, |name| allocation_octets(name.len()));
        next = verdict.over_stream.as_ref();
    }
    octets
}
