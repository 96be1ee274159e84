//! What upstreams told us, for as long as it may be believed.
//!
//! Knows: RFC 2308 (negative answers), RFC 8767 (stale answers), RFC 9520 (failures), the limit in octets.
//! Does not know: sockets, clocks (`now` comes in), policy, how an answer is sent.
//! Theory: an entry per name and kind, a kind being a type with the DO and CD bits, so that no answer serves a
//! question that asked for other records or other checks.  A positive answer and NODATA are kept under their
//! type; NXDOMAIN under a kind of its own, for it denies every type but those of which records are kept: it was
//! learnt by another type's question then, and some servers deny a name for want of a type.  The class is always
//! IN.  All kinds of one name live in one shard, so a look-up takes one lock whatever it finds.

use std::hash::{BuildHasher, Hasher};

use ahash::RandomState;
use parking_lot::{Mutex, MutexGuard};

use super::entry::{denies_name, failure_octets, response_octets, Entry};
use super::shard::{Key, Shard, ANY_TYPE, SHARD_OCTETS_LEAST};
use crate::wire::{Question, Response};

/// Caches below this are one shard: an entry may take a tenth of its shard, and a shard should hold many.
const SHARDED_OCTETS_MIN: usize = 4 << 20;
/// A shard has at least this many octets, so that any answer of 64 KiB fits its tenth, but for thousands of
/// addresses.
const SHARD_OCTETS_MIN: usize = 1 << 20;
/// Beyond `SHARDS_USUAL` shards, one has at least half of this: growing its tables stalls no longer than
/// a few milliseconds.
const SHARD_OCTETS_MAX: usize = 16 << 20;
/// Enough that a few threads seldom meet.
const SHARDS_USUAL: usize = 64;
const SHARDS_MAX: usize = 1 << 12;

/// Bounds of what is kept.
#[derive(Clone, Copy, Debug)]
pub struct CacheConfig {
    /// Memory it may take; less than 8 KiB: off, keeps nothing.
    pub octets_max: usize,
    /// Lower TTLs of positive answers are raised to it, seconds.
    pub ttl_min_s: u32,
    /// Higher TTLs of positive answers are lowered to it, seconds.
    pub ttl_max_s: u32,
    /// The same for negative answers.
    pub negative_ttl_max_s: u32,
    /// How long an expired answer may stand in for an unreachable upstream, seconds.
    pub stale_max_s: u32,
}

impl Default for CacheConfig {
    fn default() -> Self {
        CacheConfig {
            octets_max: 64 << 20,
            ttl_min_s: 0,
            ttl_max_s: 86_400,
            negative_ttl_max_s: 3600,
            stale_max_s: 86_400,
        }
    }
}

/// What the cache counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Entries kept, stale ones and failures included.
    pub entries: u64,
    /// Memory accounted for; at most `octets_max` after a store (a cache that is off has 0).
    pub octets: u64,
    /// Look-ups answered without asking an upstream (fresh, or a known failure, stale answer or not).
    pub hits: u64,
    /// The others, those that found a stale entry without a known failure included.
    pub misses: u64,
    /// Entries that had to go for others.
    pub evictions: u64,
}

/// Shards on cache lines of their own: a lock taken next door must not slow this one.
#[repr(align(128))]
pub(super) struct Padded(pub(super) Mutex<Shard>);

/// Answers by question, bounded in octets; shared by all threads.
pub struct Cache {
    config: CacheConfig,
    /// Keyed at random, so nobody outside can aim at a slot.
    hashes: RandomState,
    /// A power of two of them.
    pub(super) shards: Box<[Padded]>,
}

impl Cache {
    /// Empty.
    #[must_use]
    pub fn new(config: CacheConfig) -> Self {
        let octets_max = config.octets_max;
        let count = if octets_max < SHARDED_OCTETS_MIN {
            1
        } else {
            let usual = power_of_two_within(octets_max / SHARD_OCTETS_MIN).min(SHARDS_USUAL);
            usual.max(power_of_two_within(octets_max / (SHARD_OCTETS_MAX / 2))).min(SHARDS_MAX)
        };
        let shards = (0..count).map(|_| Padded(Mutex::new(Shard::new(octets_max / count))));
        Cache { config, hashes: RandomState::new(), shards: shards.collect() }
    }

    /// The bounds it was made with.
    #[must_use]
    pub fn config(&self) -> &CacheConfig {
        &self.config
    }

    /// Find what is known: a fresh answer, a stale one, or a failure; None if nothing is.
    ///
    /// `now` in monotonic seconds.  `look` runs under the shard's lock,
    /// so it must be short and must not use the cache.  It should look at `expires_at`, then `failed_until`,
    /// then `response`.
    #[inline]
    pub fn lookup<R>(&self, question: Question, now: f64, look: impl FnOnce(Option<&mut Entry>) -> R) -> R {
        self.lookup_counted(question, now, true, look)
    }

    /// `lookup`; where it does not `count`, it is neither a hit nor a miss.
    #[inline]
    pub fn lookup_counted<R>(
        &self,
        question: Question,
        now: f64,
        count: bool,
        look: impl FnOnce(Option<&mut Entry>) -> R,
    ) -> R {
        let key = self.key(question);
        let mut shard = self.shard(&key);
        let before = (shard.hits, shard.misses);
        let found = shard.lookup(&key, now);
        if !count {
            (shard.hits, shard.misses) = before;
        }
        let Some(number) = found else {
            drop(shard);
            return look(None);
        };
        let result = look(Some(shard.seated(number)));
        shard.settle(number, now);
        result
    }

    /// Keep an accepted answer; it is given back when it may not be kept (TTL 0, no SOA) or is too large.
    ///
    /// The entry's response has its TTLs within the configured bounds, so answer from the entry.  `look` runs
    /// under the shard's lock, as with `lookup`.
    pub fn store<R>(
        &self,
        question: Question,
        response: Response,
        now: f64,
        look: impl FnOnce(Result<&mut Entry, Response>) -> R,
    ) -> R {
        self.store_used(question, response, now, 0, look)
    }

    /// `store`, of an answer that was used so often since it came.
    pub(super) fn store_used<R>(
        &self,
        question: Question,
        mut response: Response,
        now: f64,
        uses: u8,
        look: impl FnOnce(Result<&mut Entry, Response>) -> R,
    ) -> R {
        let ttl_s = self.lifetime_s(&response);
        if ttl_s == 0 || self.config.octets_max == 0 {
            return look(Err(response));
        }
        let key = self.key(question);
        let octets = response_octets(&response);
        let mut shard = self.shard(&key);
        if !shard.has_room_for(question.qname, octets) {
            // What it would have replaced is out of date all the same.
            shard.empty_all(&key);
            drop(shard);
            return look(Err(response));
        }
        let denies_qname = denies_name(&response);
        self.bring_within_bounds(&mut response, ttl_s);
        let number = shard.fill_answer(&key, denies_qname, response, octets, now);
        shard.count_uses(number, uses);
        let entry = shard.seated(number);
        entry.stored_at = now;
        entry.expires_at = now + f64::from(ttl_s);
        entry.stale_until = entry.expires_at + f64::from(self.config.stale_max_s);
        let result = look(Ok(entry));
        shard.settle(number, now);
        shard.make_room(now);
        result
    }

    /// Note that upstreams failed; 1 s, then twice as long for each further failure, at most 5 s.
    ///
    /// `ede` is the Extended DNS Error to answer with.  A usable answer is never replaced: the failure is
    /// noted beside it, so that it is served stale at once.
    pub fn store_failure(&self, question: Question, ede: (u16, &str), now: f64) {
        self.store_failure_with(question, ede, now, |_| ());
    }

    /// `store_failure`, and a look at the entry it was noted on, under the shard's lock as with `lookup`.
    pub fn store_failure_with<R>(
        &self,
        question: Question,
        ede: (u16, &str),
        now: f64,
        look: impl FnOnce(&mut Entry) -> R,
    ) -> R {
        let key = self.key(question);
        let mut shard = self.shard(&key);
        if !shard.has_room_for(question.qname, failure_octets(ede.1)) {
            drop(shard);
            let mut entry = Entry::new(None);
            entry.note_failure(ede, now);
            return look(&mut entry);
        }
        let number = shard.fail(&key, ede, now);
        let result = look(shard.seated(number));
        shard.settle(number, now);
        shard.make_room(now);
        result
    }

    /// What it counted so far; takes each shard's lock in turn.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        for padded in &*self.shards {
            let shard = padded.0.lock();
            sum.entries += shard.entries() as u64;
            sum.octets += shard.octets() as u64;
            sum.hits += shard.hits;
            sum.misses += shard.misses;
            sum.evictions += shard.evictions;
        }
        if self.config.octets_max < SHARD_OCTETS_LEAST {
            sum.octets = 0;
        }
        sum
    }

    #[inline]
    fn key<'q>(&self, question: Question<'q>) -> Key<'q> {
        let flags = u32::from(question.dnssec_ok) << 1 | u32::from(question.checking_disabled);
        let mut hasher = self.hashes.build_hasher();
        hasher.write(question.qname);
        Key {
            qname: question.qname,
            hash: hasher.finish(),
            typed_kind: u32::from(question.qtype) << 2 | flags,
            denial_kind: ANY_TYPE << 2 | flags,
        }
    }

    #[inline]
    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        self.shards[(key.hash >> 40) as usize & (self.shards.len() - 1)].0.lock()
    }

    fn lifetime_s(&self, response: &Response) -> u32 {
        let config = &self.config;
        if response.negative.is_some() {
            // No floor here: without a SOA there is no TTL to raise (RFC 2308 §5).
            return response.ttl_s.min(config.negative_ttl_max_s);
        }
        if response.ttl_s > config.ttl_max_s {
            return config.ttl_max_s;
        }
        response.ttl_s.max(config.ttl_min_s)
    }

    /// Raise or lower every TTL to the configured bounds.
    fn bring_within_bounds(&self, response: &mut Response, ttl_s: u32) {
        let (least_s, most_s) = match response.negative {
            Some(_) => (0, self.config.negative_ttl_max_s),
            None => (self.config.ttl_min_s, self.config.ttl_max_s),
        };
        response.ttl_s = ttl_s;
        for ttl in &mut response.ttls {
            let bounded_s = ttl.ttl_s.max(least_s).min(most_s);
            if bounded_s == ttl.ttl_s {
                continue;
            }
            ttl.ttl_s = bounded_s;
            let offset = usize::from(ttl.offset);
            if let Some(octets) = response.body.get_mut(offset..offset + 4) {
                octets.copy_from_slice(&bounded_s.to_be_bytes());
            }
        }
    }
}

/// The largest power of two up to `number`; 1 for 0.
fn power_of_two_within(number: usize) -> usize {
    number.checked_ilog2().map_or(1, |bits| 1 << bits)
}
