//! When the answers of clients that waited long may leave.
//!
//! Knows: clients, how long each answer was waited for.  Does not know: what is answered, sockets.
//! Theory: a forger can gather thousands of queries of his victim that wait for one slow name, and have them all
//! answered at one moment (DNSBomb, 2024).  So what was waited for long leaves at a rate: a client gets
//! `PULSE_MAX` such answers at once, and then `LATE_ANSWERS_PER_S`.  What comes quickly was not gathered, and is
//! not held up, however much a client asks.

use ahash::AHashMap;
use std::net::IpAddr;

use super::clients::{client_key, ClientKey};

/// An answer that was waited for so long is paced.
pub const PACED_AFTER_S: f64 = 0.1;
/// Paced answers that leave at once for one client.
pub const PULSE_MAX: u32 = 50;
/// Those that leave in a second, beyond that: at most some 50 Mbit/s.
pub const LATE_ANSWERS_PER_S: u32 = 5_000;
/// One that would be held up for longer does not leave.
pub const HELD_S_MAX: f64 = 0.5;

/// Clients remembered; those that may have a whole pulse again are forgotten when there are more.
const PACES_MAX: usize = 4_096;

/// The pace of each client.
#[derive(Default)]
pub struct Pacing {
    /// When a client may have the next one, if it comes alone.
    lines: AHashMap<ClientKey, f64>,
}

impl Pacing {
    /// When an answer for this client may leave that was `waited_s` for: `now` or later; None: never.
    pub fn leaves_at(&mut self, address: IpAddr, waited_s: f64, now: f64) -> Option<f64> {
        if waited_s < PACED_AFTER_S {
            return Some(now);
        }
        if self.lines.len() >= PACES_MAX {
            self.lines.retain(|_, next| *next > now);
        }
        let apart_s = 1.0 / f64::from(LATE_ANSWERS_PER_S);
        let next = self.lines.entry(client_key(address)).or_insert(f64::NEG_INFINITY);
        let leaves_at = next.max(now - f64::from(PULSE_MAX) * apart_s) + apart_s;
        if leaves_at > now + HELD_S_MAX {
            return None;
        }
        *next = leaves_at;
        Some(leaves_at.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "192.0.2.1";

    fn leaves(pacing: &mut Pacing, client: &str, waited_s: f64) -> Option<f64> {
        pacing.leaves_at(client.parse().unwrap(), waited_s, 100.0)
    }

    #[test]
    fn what_comes_quickly_leaves_at_once_however_much_it_is() {
        let mut pacing = Pacing::default();
        assert!((0..10_000).all(|_| leaves(&mut pacing, CLIENT, 0.09) == Some(100.0)));
    }

    #[test]
    fn what_was_gathered_leaves_at_a_rate_and_the_rest_never() {
        let mut pacing = Pacing::default();
        let times: Vec<_> = (0..3000).map(|_| leaves(&mut pacing, CLIENT, 1.0)).collect();
        let within = |s: f64| times.iter().flatten().filter(|&&at| at <= 100.0 + s).count();
        assert!((49..=51).contains(&within(0.000_01)) && (548..=552).contains(&within(0.1001)));
        assert!((2548..=2551).contains(&times.iter().flatten().count()));
        assert_eq!(leaves(&mut pacing, "192.0.2.2", 1.0), Some(100.0), "another client does not wait");
        assert!(pacing.leaves_at(CLIENT.parse().unwrap(), 1.0, 101.0) == Some(101.0));
    }

    #[test]
    fn clients_of_the_past_are_forgotten() {
        let mut pacing = Pacing::default();
        for number in 0..2 * PACES_MAX as u32 {
            let address = IpAddr::V4(number.into());
            pacing.leaves_at(address, 1.0, f64::from(number));
        }
        assert!(pacing.lines.len() <= PACES_MAX);
    }
}
