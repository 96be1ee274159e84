//! Answers to clients that waited: they leave together, but those of one crowd not in one pulse.
//!
//! Knows: ticks, ways back, over datagrams and streams.  Does not know: why an answer has to wait longer
//! (`flow::Pacing`), attempts.

use std::collections::BTreeMap;

use resolver_core::flow::{DatagramRoute, Pacing, Route, StreamRoute, Waiter, WaiterReply};

use crate::counters::{add, Counters};
use crate::shared::Shared;
use crate::stream_state::StreamAnswer;
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
    /// Threads with streams that are to hear of answers put down for them; each once.
    to_ring: Vec<u16>,
}

impl<'s> LateAnswers<'s> {
    /// None yet.
    pub fn new(shared: &'s Shared, counters: &'s Counters) -> LateAnswers<'s> {
        let (pacing, by_tick) = (Pacing::default(), BTreeMap::new());
        LateAnswers { shared, counters, pacing, queue: SendQueue::new(), by_tick, to_ring: Vec::new() }
    }

    /// What a client gets that waited.
    pub fn finish(&mut self, waiter: &Waiter, reply: WaiterReply, now: f64) {
        match (reply, &waiter.route) {
            (WaiterReply::Reply(reply), Route::Datagram(route)) => self.put(waiter, route, reply, now),
            // Who asks over a stream is no victim of a forger: its answers are not held up.
            (WaiterReply::Reply(reply), Route::Stream(route)) => {
                self.put_to_stream(*route, StreamAnswer::Message(reply.into()));
            }
            (WaiterReply::Drop, Route::Datagram(_)) => {}
            (WaiterReply::Drop, Route::Stream(route)) => {
                self.put_to_stream(*route, StreamAnswer::Nothing { close: true });
            }
            (WaiterReply::Punt, _) => {
                if !self.shared.ring.punt(self.counters, &waiter.octets, waiter.peer, waiter.route) {
                    self.lose(&waiter.route);
                }
            }
        }
    }

    /// A client gets nothing, for want of room on the way to Python.
    pub fn lose(&mut self, route: &Route) {
        add(&self.counters.ring_full, 1);
        if let Route::Stream(route) = route {
            self.put_to_stream(*route, StreamAnswer::Lost);
        }
    }

    /// A question of a stream is over.
    pub fn put_to_stream(&mut self, route: StreamRoute, answer: StreamAnswer) {
        self.shared.streams.put(route, answer);
        if !self.to_ring.contains(&route.thread) {
            self.to_ring.push(route.thread);
        }
    }

    /// An answer for a client that waited.
    fn put(&mut self, waiter: &Waiter, route: &DatagramRoute, reply: &[u8], now: f64) {
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
            self.send_datagrams();
        }
        self.queue.put(route, reply);
    }

    /// Send those that have gathered.
    pub fn send(&mut self) {
        for thread in self.to_ring.drain(..) {
            self.shared.streams.ring(thread);
        }
        self.send_datagrams();
    }

    fn send_datagrams(&mut self) {
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
