//! Who may ask, and how often.
//!
//! Knows: client networks, token buckets.  Does not know: sockets, DNS, the time (`now` comes in).

use ahash::RandomState;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;

/// Client addresses remembered by the rate limiter; the longest unused half is forgotten when full.
pub const BUCKETS_MAX: usize = 65_536;

/// A client may spend this many seconds' worth of its rate at once: page loads come in bursts.
pub const BURST_S: f64 = 1.0;

/// Separately locked parts of the rate limiter, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// The networks that may ask.
pub struct AccessList {
    ipv4: Vec<(u32, u32)>,
    ipv6: Vec<(u128, u128)>,
}

impl AccessList {
    /// From networks, each an address in it and the length of its prefix in bits.
    #[must_use]
    pub fn new(networks: &[(IpAddr, u8)]) -> Self {
        let mut list = AccessList { ipv4: Vec::new(), ipv6: Vec::new() };
        for &(address, prefix_bits) in networks {
            match address {
                IpAddr::V4(address) => {
                    let host_bits = 32u32.saturating_sub(u32::from(prefix_bits));
                    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                    list.ipv4.push((u32::from(address) & mask, mask));
                }
                IpAddr::V6(address) => {
                    let host_bits = 128u32.saturating_sub(u32::from(prefix_bits));
                    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                    list.ipv6.push((u128::from(address) & mask, mask));
                }
            }
        }
        list
    }

    /// Whether the address lies in one of the networks.
    #[must_use]
    #[inline]
    pub fn allows(&self, address: IpAddr) -> bool {
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

/// What a bucket belongs to: a whole IPv4 address, or the /64 that an IPv6 host owns.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Client {
    Ipv4(u32),
    Ipv6(u64),
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    seen_at: f64,
}

type Buckets = HashMap<Client, Bucket, RandomState>;

struct Part {
    young: Buckets,
    old: Buckets,
}

/// A token bucket per client address (IPv6: per /64), at most `BUCKETS_MAX` of them.
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
        let client = match address {
            IpAddr::V4(address) => Client::Ipv4(u32::from(address)),
            IpAddr::V6(address) => Client::Ipv6((u128::from(address) >> 64) as u64),
        };
        // The top bits: the tables below use the others of the same hash.
        let part = (self.hashes.hash_one(client) >> 52) as usize % PARTS;
        self.parts[part].lock().bucket(client, self.burst, now).takes(self.rate_qps, self.burst, now)
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
    fn bucket(&mut self, client: Client, burst: f64, now: f64) -> &mut Bucket {
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
    fn takes(&mut self, rate_qps: f64, burst: f64, now: f64) -> bool {
        let tokens = burst.min(self.tokens + (now - self.seen_at) * rate_qps);
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
    fn only_listed_networks_may_ask() {
        let access = AccessList::new(&[(address("192.0.2.0"), 24), (address("2001:db8::"), 32)]);
        for (text, expected) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.3.0", false),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
            ("::192.0.2.1", false),
        ] {
            assert_eq!(access.allows(address(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_shortest_and_longest_prefixes_are_understood() {
        let all = AccessList::new(&[(address("0.0.0.0"), 0), (address("::"), 0)]);
        assert!(all.allows(address("203.0.113.9")) && all.allows(address("2001:db8::9")));
        let one = AccessList::new(&[(address("192.0.2.1"), 32), (address("2001:db8::1"), 128)]);
        assert!(one.allows(address("192.0.2.1")) && one.allows(address("2001:db8::1")));
        assert!(!one.allows(address("192.0.2.0")) && !one.allows(address("2001:db8::")));
    }

    #[test]
    fn an_empty_list_allows_nobody() {
        assert!(!AccessList::new(&[]).allows(address("127.0.0.1")));
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
