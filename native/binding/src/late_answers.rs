//! Answers to clients that waited: they leave together, but those of one crowd not in one pulse.
//!
//! Knows: ticks, ways back.  Does not know: why an answer has to wait longer (`flow::Pacing`), attempts.

use std::collections::BTreeMap;

use resolver_core::flow::{DatagramRoute, Pacing, Waiter};

use crate::counters::{add, Counters};
use crate::shared::Shared;
use crate::sys::SendQueue;

/// Seconds between the moments at which those leave that are held up.
const TICK_S: f64 = 0.01;

type Late = (DatagramRoute, Box<[u8]>);

/// Those of one thread.
pub struct LateAnswers<'s> {
    shared: &'s Shared,
    counters: &'s Counters,
    pacing: Pacing,
    queue: SendQueue,
    by_tick: BTreeMap<u64, Vec<Late>>,
}

impl<'s> LateAnswers<'s> {
    /// None yet.
    pub fn new(shared: &'s Shared, counters: &'s Counters) -> LateAnswers<'s> {
        let (pacing, by_tick) = (Pacing::default(), BTreeMap::new());
        LateAnswers { shared, counters, pacing, queue: SendQueue::new(), by_tick }
    }

    /// An answer for a client that waited.
    pub fn put(&mut self, waiter: &Waiter, route: &DatagramRoute, reply: &[u8], now: f64) {
        match self.pacing.leaves_at(waiter.peer.address, now - waiter.asked_at, now) {
            None => add(&self.counters.pulse, 1),
            Some(at) if at <= now => self.put_now(route, reply),
            Some(at) => {
                let tick = (at / TICK_S).ceil() as u64;
                self.by_tick.entry(tick).or_default().push((*route, reply.into()));
            }
        }
    }

    /// An answer that leaves with the next ones.
    pub fn put_now(&mut self, route: &DatagramRoute, reply: &[u8]) {
        if self.queue.must_send_before(route) {
            self.send();
        }
        self.queue.put(route, reply);
    }

    /// Send those that have gathered.
    pub fn send(&mut self) {
        let Some(thread) = self.queue.target() else { return };
        let lost = match self.shared.sockets.get(usize::from(thread)) {
            Some(socket) => self.queue.send(socket),
            None => self.queue.clear(),
        };
        if lost > 0 {
            add(&self.counters.send_failed, lost as u64);
        }
    }

    /// Send those that were held up until now.
    pub fn send_due(&mut self, now: f64) {
        while let Some(entry) = self.by_tick.first_entry() {
            if *entry.key() as f64 * TICK_S > now + 1e-6 {
                return;
            }
            for (route, reply) in entry.remove() {
                self.put_now(&route, &reply);
            }
            self.send();
        }
    }

    /// Milliseconds until the next ones leave that are held up; -1: there are none.
    pub fn patience_ms(&self, now: f64) -> i32 {
        let Some((&tick, _)) = self.by_tick.first_key_value() else { return -1 };
        let s = (tick as f64).mul_add(TICK_S, -now).max(0.0);
        (s * 1000.0).ceil() as i32
    }

    /// Whether none are held up.
    pub fn is_quiet(&self) -> bool {
        self.by_tick.is_empty()
    }
}
