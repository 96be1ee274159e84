//! Forgetting what is known of a name, because somebody knows better.
//!
//! Knows: which entries are about a name, or about one under it.  Does not know: who asks, what is kept of answers
//! in front of the cache.  Mirror of `resolver/cache/flushing.py`.
//! Theory: a step looks at a bounded number of seats under one shard's lock, so nobody's answer waits for it.  What
//! comes from an upstream meanwhile is news, and stays.

use super::response_cache::Cache;
use super::shard::Shard;
use super::shard::ANY_TYPE;
use crate::wire::names::is_at_or_below;

/// Seats looked at under one lock: some 20 µs.
const SEATS_AT_ONCE: usize = 64;

impl Cache {
    /// Forget all answers and failures of a name (wire form, lower case), of whatever type; how many there were.
    ///
    /// With `subtree` those of all names under it, too.
    pub fn flush(&self, name: &[u8], subtree: bool) -> u64 {
        let mut flushed = 0;
        for padded in &*self.shards {
            let mut seat = 0;
            loop {
                let mut shard = padded.0.lock();
                flushed += shard.flush_seats(name, subtree, seat);
                seat += SEATS_AT_ONCE;
                if seat >= shard.seats.count() {
                    break;
                }
            }
        }
        flushed
    }
}

impl Shard {
    /// The same in some seats from number `first` on.
    fn flush_seats(&mut self, name: &[u8], subtree: bool, first: usize) -> u64 {
        let end = self.seats.count().min(first + SEATS_AT_ONCE);
        let mut flushed = 0;
        for number in first as u32..end as u32 {
            let seat = &self.seats[number];
            // Free ones have a kind of no type.
            let is_known =
                seat.kind >> 2 <= ANY_TYPE && (seat.entry.response.is_some() || seat.entry.failure.is_some());
            let is_meant = || match subtree {
                true => is_at_or_below(seat.qname.octets_of(), name),
                false => seat.qname.is(name),
            };
            if is_known && is_meant() {
                self.renew(number, 0);
                flushed += 1;
            }
        }
        flushed
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cache, CacheConfig};
    use crate::wire::Question;

    fn failing(cache: &Cache, qname: &[u8], qtype: u16) {
        let question = Question { qname, qtype, dnssec_ok: qtype == 28, checking_disabled: false };
        cache.store_failure(question, (22, "nobody"), 0.0);
    }

    fn is_known(cache: &Cache, qname: &[u8], qtype: u16) -> bool {
        let question = Question { qname, qtype, dnssec_ok: qtype == 28, checking_disabled: false };
        cache.lookup(question, 0.5, |entry| entry.is_some_and(|entry| entry.failure.is_some()))
    }

    const NAME: &[u8] = b"\x07example\x03org\0";
    const BELOW: &[u8] = b"\x03www\x07example\x03org\0";
    const ALIKE: &[u8] = b"\x0awwwexample\x03org\0";

    fn filled() -> Cache {
        let cache = Cache::new(CacheConfig::default());
        for qname in [NAME, BELOW, ALIKE] {
            failing(&cache, qname, 1);
            failing(&cache, qname, 28);
        }
        for number in 0..2_000_u32 {
            failing(&cache, format!("\x0an{number:09}\x03net\0").as_bytes(), 1);
        }
        cache
    }

    #[test]
    fn a_name_is_forgotten_in_all_its_types_and_nothing_else() {
        let cache = filled();
        assert_eq!(cache.flush(NAME, false), 2);
        assert!(!is_known(&cache, NAME, 1) && !is_known(&cache, NAME, 28));
        assert!(is_known(&cache, BELOW, 1) && is_known(&cache, ALIKE, 1));
        assert_eq!(cache.flush(NAME, false), 0);
        assert_eq!(cache.audit(), None);
    }

    #[test]
    fn with_the_subtree_all_names_under_it_are_forgotten() {
        let cache = filled();
        assert_eq!(cache.flush(NAME, true), 4);
        assert!(!is_known(&cache, BELOW, 28) && is_known(&cache, ALIKE, 28));
        assert_eq!(cache.flush(b"\0", true), 2_002);
        assert_eq!(cache.audit(), None);
    }

    #[test]
    fn a_cache_that_is_off_forgets_nothing() {
        assert_eq!(Cache::new(CacheConfig { octets_max: 0, ..CacheConfig::default() }).flush(NAME, true), 0);
    }
}
