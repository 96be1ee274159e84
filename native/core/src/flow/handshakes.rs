//! How many TLS sessions may begin, for each client and for all.
//!
//! Knows: clients, rates.  Does not know: sockets, TLS, time (`now` comes in).  `listeners/handshakes.py` has the same
//! rules, and the same vectors hold for both.
//! Theory: a full handshake costs a server some hundred times what an answer costs, so it is counted before it is
//! begun.  A client over its own rate takes nothing from what all have.  A connection that breaks the rules, or that
//! comes to nothing once the costly part is done, counts as ten, but on accounts of their own: behind one address may be
//! an office with one broken device.  So a client with more of these than its rate allows goes on as long as the
//! server has room; where more than half of what all may begin is in use, those counted as ten, it is the one that waits.

use std::net::IpAddr;

use parking_lot::Mutex;

use super::clients::{Bucket, RateLimiter, BURST_S};

/// Handshakes that a connection counts as which is cut for what was sent, or comes to no session.
pub const BREACH_COST: u32 = 10;

/// Part of what all may begin beyond which clients with too many breaches wait.
pub const PRESSED_SHARE: f64 = 0.5;

/// Why a session may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooManyHandshakes {
    /// Its client begins too many.
    OfClient,
    /// All together do.
    OfAll,
    /// Too many of its client's came to nothing, and all together begin many.
    Breaches,
}

/// One for a plane.
pub struct HandshakeLimits {
    of_client: RateLimiter,
    of_all: Mutex<Bucket>,
    per_s_max: f64,
    /// What breaches cost each client.
    breaches: RateLimiter,
    /// What is left before clients with too many breaches wait.
    ease: Mutex<Bucket>,
    ease_per_s: f64,
}

impl HandshakeLimits {
    /// Sessions that may begin in a second, and so many more at once.
    pub fn new(per_s_max: u32, per_client_max: u32) -> HandshakeLimits {
        let per_s_max = f64::from(per_s_max);
        let ease_per_s = per_s_max * PRESSED_SHARE;
        HandshakeLimits {
            of_client: RateLimiter::new(per_client_max),
            of_all: Mutex::new(Bucket::full(per_s_max * BURST_S)),
            per_s_max,
            breaches: RateLimiter::new(per_client_max),
            ease: Mutex::new(Bucket::full(ease_per_s * BURST_S)),
            ease_per_s,
        }
    }

    /// Let a session of this client begin at `now`, monotonic seconds, or say why not.
    pub fn begin(&self, address: IpAddr, now: f64) -> Result<(), TooManyHandshakes> {
        if !self.of_client.takes(address, now) {
            return Err(TooManyHandshakes::OfClient);
        }
        // What a client may not begin is not taken from the others.
        if self.breaches.is_in_debt(address, now) && !self.has_ease(now) {
            return Err(TooManyHandshakes::Breaches);
        }
        if !self.of_all.lock().takes(self.per_s_max, self.per_s_max * BURST_S, now) {
            return Err(TooManyHandshakes::OfAll);
        }
        self.spend_ease(1.0, now);
        Ok(())
    }

    /// A connection of this client's was cut for what it sent, or came to nothing, at `now`.
    pub fn charge(&self, address: IpAddr, now: f64) {
        self.breaches.owes(address, f64::from(BREACH_COST), now);
        self.spend_ease(f64::from(BREACH_COST - 1), now);
    }

    fn has_ease(&self, now: f64) -> bool {
        self.ease.lock().tokens(self.ease_per_s, self.ease_burst(), now) >= 1.0
    }

    fn spend_ease(&self, tokens: f64, now: f64) {
        self.ease.lock().spends(tokens, 0.0, self.ease_per_s, self.ease_burst(), now);
    }

    fn ease_burst(&self) -> f64 {
        (self.ease_per_s * BURST_S).max(1.0)
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
}
