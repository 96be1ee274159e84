//! Who the clients are: what each may do, how often it may ask, and who counts as one client.
//!
//! Knows: client networks, token buckets.  Does not know: sockets, DNS, the time (`now` comes in).

use ahash::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;

use crate::policy::EVERYBODY;

/// Clients remembered by the rate limiter; the longest unused half is forgotten when full.
pub const BUCKETS_MAX: usize = 65_536;

/// A client may spend this many seconds' worth of its rate at once: page loads come in bursts.
pub const BURST_S: f64 = 1.0;

/// Separately locked parts of the rate limiter, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// What a client is to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The group whose rules hold for it.
    pub group: u8,
    /// Whether it may ask at all.
    pub is_allowed: bool,
}

/// Networks of either family.
#[derive(Default)]
pub struct Networks {
    ipv4: Vec<(u32, u32)>,
    ipv6: Vec<(u128, u128)>,
}

impl Networks {
    /// From networks, each an address in it and the length of its prefix in bits.
    #[must_use]
    pub fn new(networks: &[(IpAddr, u8)]) -> Self {
        let mut found = Networks::default();
        for &(address, prefix_bits) in networks {
            match address {
                IpAddr::V4(address) => {
                    let host_bits = 32u32.saturating_sub(u32::from(prefix_bits));
                    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                    found.ipv4.push((u32::from(address) & mask, mask));
                }
                IpAddr::V6(address) => {
                    let host_bits = 128u32.saturating_sub(u32::from(prefix_bits));
                    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                    found.ipv6.push((u128::from(address) & mask, mask));
                }
            }
        }
        found
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ipv4.is_empty() && self.ipv6.is_empty()
    }

    /// Whether this address is in one of them.
    #[must_use]
    #[inline]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                let number = u32::from(address);
                self.ipv4.iter().any(|&(network, mask)| number & mask == network)
            }
            IpAddr::V6(address) => {
                let number = u128::from(address);
                self.ipv6.iter().any(|&(network, mask)| number & mask == network)
            }
        }
    }
}

/// The networks whose hosts may ask; all of them are of one group.
pub struct Clients(Networks);

impl Clients {
    /// From networks, each an address in it and the length of its prefix in bits.
    #[must_use]
    pub fn new(networks: &[(IpAddr, u8)]) -> Self {
        Clients(Networks::new(networks))
    }

    /// Of the client with this address.
    #[must_use]
    #[inline]
    pub fn standing(&self, address: IpAddr) -> Standing {
        Standing { group: EVERYBODY, is_allowed: self.0.contains(address) }
    }
}

/// What limits per client count by: a whole IPv4 address, or the /64 that an IPv6 host owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientKey {
    /// All 32 bits.
    Ipv4(u32),
    /// The first 64 bits.
    Ipv6(u64),
}

/// Whom a client counts as; an IPv4 address is the same client however it is written.
#[must_use]
pub fn client_key(address: IpAddr) -> ClientKey {
    match address.to_canonical() {
        IpAddr::V4(address) => ClientKey::Ipv4(u32::from(address)),
        IpAddr::V6(address) => ClientKey::Ipv6((u128::from(address) >> 64) as u64),
    }
}

/// Tokens, and when there were so many.
#[derive(Clone, Copy)]
pub(super) struct Bucket {
    tokens: f64,
    seen_at: f64,
}

type Buckets = HashMap<ClientKey, Bucket, RandomState>;

struct Part {
    young: Buckets,
    old: Buckets,
}

/// A token bucket per client (`client_key`), at most `BUCKETS_MAX` of them.
///
/// The clients are spread over parts by a keyed hash; each part forgets for itself.
pub struct RateLimiter {
    rate_qps: f64,
    burst: f64,
    hashes: RandomState,
    parts: [Mutex<Part>; PARTS],
}

impl RateLimiter {
    /// `rate_qps`: tokens a second for each client.
    #[must_use]
    pub fn new(rate_qps: u32) -> Self {
        let rate_qps = f64::from(rate_qps);
        let hashes = RandomState::new();
        let part = || Part {
            young: Buckets::with_hasher(hashes.clone()),
            old: Buckets::with_hasher(hashes.clone()),
        };
        RateLimiter {
            rate_qps,
            burst: (rate_qps * BURST_S).max(1.0),
            parts: std::array::from_fn(|_| Mutex::new(part())),
            hashes,
        }
    }

    /// Take one token of this client's at `now`, monotonic seconds; false when its bucket is empty.
    pub fn takes(&self, address: IpAddr, now: f64) -> bool {
        let client = client_key(address);
        // The top bits: the tables below use the others of the same hash.
        let part = (self.hashes.hash_one(client) >> 52) as usize % PARTS;
        self.parts[part].lock().bucket(client, self.burst, now).takes(self.rate_qps, self.burst, now)
    }

    /// Take tokens of this client's that may not be there: as many are owed at most as may be used at once.
    pub fn owes(&self, address: IpAddr, tokens: f64, now: f64) {
        let client = client_key(address);
        let part = (self.hashes.hash_one(client) >> 52) as usize % PARTS;
        let mut part = self.parts[part].lock();
        let bucket = part.bucket(client, self.burst, now);
        bucket.spends(tokens, -self.burst, self.rate_qps, self.burst, now);
    }

    /// Whether this client owes tokens at `now`; one that is not remembered owes none.
    pub fn is_in_debt(&self, address: IpAddr, now: f64) -> bool {
        let client = client_key(address);
        let part = (self.hashes.hash_one(client) >> 52) as usize % PARTS;
        let part = self.parts[part].lock();
        let bucket = part.young.get(&client).or_else(|| part.old.get(&client));
        bucket.is_some_and(|bucket| bucket.tokens(self.rate_qps, self.burst, now) < 0.0)
    }

    /// Clients remembered at present.
    #[must_use]
    pub fn buckets(&self) -> usize {
        self.parts
            .iter()
            .map(|part| {
                let part = part.lock();
                part.young.len() + part.old.len()
            })
            .sum()
    }
}

impl Part {
    fn bucket(&mut self, client: ClientKey, burst: f64, now: f64) -> &mut Bucket {
        if !self.young.contains_key(&client) {
            let bucket = self.old.remove(&client).unwrap_or(Bucket { tokens: burst, seen_at: now });
            if self.young.len() >= BUCKETS_MAX / PARTS / 2 {
                mem::swap(&mut self.young, &mut self.old);
                self.young.clear();
            }
            self.young.insert(client, bucket);
        }
        self.young.entry(client).or_insert(Bucket { tokens: burst, seen_at: now })
    }
}

impl Bucket {
    /// One with so many tokens, whenever it is first used.
    pub fn full(burst: f64) -> Bucket {
        Bucket { tokens: burst.max(1.0), seen_at: f64::NEG_INFINITY }
    }

    /// How many there are, `rate_qps` of which come in a second, up to `burst`.
    pub fn tokens(&self, rate_qps: f64, burst: f64, now: f64) -> f64 {
        burst.min(self.tokens + (now - self.seen_at) * rate_qps)
    }

    /// Take so many that may not be there: what is left is no less than `least`.
    pub fn spends(&mut self, tokens: f64, least: f64, rate_qps: f64, burst: f64, now: f64) {
        self.tokens = (self.tokens(rate_qps, burst, now) - tokens).max(least);
        self.seen_at = now;
    }

    /// Take one token; false: there is none.
    pub fn takes(&mut self, rate_qps: f64, burst: f64, now: f64) -> bool {
        let tokens = self.tokens(rate_qps, burst, now);
        self.seen_at = now;
        let takes = tokens >= 1.0;
        self.tokens = if takes { tokens - 1.0 } else { tokens };
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_bucket_empties_and_fills_with_time() {
        let limiter = RateLimiter::new(2);
        let client = address("192.0.2.1");
        assert_eq!([(); 3].map(|()| limiter.takes(client, 100.0)), [true, true, false]);
        assert!(limiter.takes(client, 100.5));
        assert!(!limiter.takes(client, 100.5));
    }

    #[test]
    fn one_client_does_not_spend_anothers_tokens() {
        let limiter = RateLimiter::new(1);
        assert!(limiter.takes(address("192.0.2.1"), 5.0));
        assert!(limiter.takes(address("192.0.2.2"), 5.0));
        assert!(limiter.takes(address("::c000:201:0:0:0:1"), 5.0));
    }

    #[test]
    fn an_ipv6_host_cannot_multiply_itself_within_its_64() {
        let limiter = RateLimiter::new(1);
        assert!(limiter.takes(address("2001:db8::1"), 5.0));
        assert!(!limiter.takes(address("2001:db8::ffff"), 5.0));
        assert!(limiter.takes(address("2001:db8:0:1::1"), 5.0));
    }

    #[test]
    fn an_ipv4_client_has_one_bucket_however_its_address_is_written() {
        let limiter = RateLimiter::new(1);
        assert!(limiter.takes(address("192.0.2.1"), 5.0));
        assert!(!limiter.takes(address("::ffff:192.0.2.1"), 5.0));
        assert!(limiter.takes(address("::ffff:192.0.2.2"), 5.0));
    }

    #[test]
    fn a_busy_client_stays_limited_through_a_flood_of_addresses() {
        let limiter = RateLimiter::new(1);
        let busy = address("203.0.113.7");
        let mut passed = 0;
        for number in 0..2 * BUCKETS_MAX as u32 {
            limiter.takes(IpAddr::V4(Ipv4Addr::from(number)), 1.0);
            if number % 1000 == 0 {
                passed += u32::from(limiter.takes(busy, 1.0));
            }
        }
        assert_eq!(passed, 1);
        assert!(limiter.buckets() <= BUCKETS_MAX);
    }
}
