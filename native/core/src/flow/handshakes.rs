//! How many TLS sessions may begin, for each client and for all.
//!
//! Knows: clients, rates.  Does not know: sockets, TLS, time (`now` comes in).
//! Theory: a full handshake costs a server some hundred times what an answer costs, so it is counted before it is
//! begun.  A client over its own rate takes nothing from what all have.  Whoever breaks the rules, or goes once the costly
//! part is done, pays for ten: a flood that is cut again and again costs mostly the handshakes that it begins anew with.

use std::net::IpAddr;

use parking_lot::Mutex;

use super::clients::{Bucket, RateLimiter, BURST_S};

/// Handshakes that a connection costs its client which is cut for what was sent, or comes to no session.
pub const BREACH_COST: u32 = 10;

/// Why a session may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooManyHandshakes {
    /// Its client begins too many.
    OfClient,
    /// All together do.
    OfAll,
}

/// One for a plane.
pub struct HandshakeLimits {
    of_client: RateLimiter,
    of_all: Mutex<Bucket>,
    per_s_max: f64,
}

impl HandshakeLimits {
    /// Sessions that may begin in a second, and so many more at once.
    pub fn new(per_s_max: u32, per_client_max: u32) -> HandshakeLimits {
        let per_s_max = f64::from(per_s_max);
        HandshakeLimits {
            of_client: RateLimiter::new(per_client_max),
            of_all: Mutex::new(Bucket::full(per_s_max * BURST_S)),
            per_s_max,
        }
    }

    /// Let a session of this client begin at `now`, monotonic seconds, or say why not.
    pub fn begin(&self, address: IpAddr, now: f64) -> Result<(), TooManyHandshakes> {
        if !self.of_client.takes(address, now) {
            return Err(TooManyHandshakes::OfClient);
        }
        if !self.of_all.lock().takes(self.per_s_max, self.per_s_max * BURST_S, now) {
            return Err(TooManyHandshakes::OfAll);
        }
        Ok(())
    }

    /// A connection of this client's, which had one, was cut for what it sent or came to nothing.
    pub fn charge(&self, address: IpAddr, now: f64) {
        self.of_client.owes(address, f64::from(BREACH_COST - 1), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(limits: &HandshakeLimits, client: &str, now: f64) -> Result<(), TooManyHandshakes> {
        limits.begin(client.parse().unwrap(), now)
    }

    #[test]
    fn a_client_over_its_rate_takes_nothing_from_the_others() {
        let limits = HandshakeLimits::new(4, 2);
        assert_eq!([(); 2].map(|()| begun(&limits, "192.0.2.1", 100.0)), [Ok(()), Ok(())]);
        for _ in 0..100 {
            assert_eq!(begun(&limits, "192.0.2.1", 100.0), Err(TooManyHandshakes::OfClient));
        }
        assert_eq!([(); 2].map(|()| begun(&limits, "192.0.2.2", 100.0)), [Ok(()), Ok(())]);
        assert_eq!(begun(&limits, "192.0.2.3", 100.0), Err(TooManyHandshakes::OfAll));
    }

    #[test]
    fn what_was_used_up_comes_back_with_time() {
        let limits = HandshakeLimits::new(2, 2);
        assert_eq!([(); 2].map(|()| begun(&limits, "192.0.2.1", 100.0)), [Ok(()), Ok(())]);
        assert_eq!(begun(&limits, "192.0.2.2", 100.1), Err(TooManyHandshakes::OfAll));
        assert_eq!(begun(&limits, "192.0.2.3", 100.6), Ok(()));
    }

    #[test]
    fn who_breaks_the_rules_pays_for_ten() {
        let limits = HandshakeLimits::new(1000, 20);
        let client = "192.0.2.1".parse().unwrap();
        let begun_and_cut = || {
            (0..50).filter(|_| {
                let begun = limits.begin(client, 100.0).is_ok();
                if begun {
                    limits.charge(client, 100.0);
                }
                begun
            })
        };
        assert_eq!(begun_and_cut().count(), 2);
        // No more than a second's worth is owed.
        for _ in 0..100 {
            limits.charge(client, 100.0);
        }
        assert_eq!(begun(&limits, "192.0.2.1", 101.0), Err(TooManyHandshakes::OfClient));
        assert_eq!(begun(&limits, "192.0.2.1", 101.1), Ok(()));
        assert_eq!(begun(&limits, "192.0.2.2", 101.1), Ok(()), "nobody else pays");
    }
}
