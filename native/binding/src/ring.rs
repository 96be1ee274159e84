//! What the threads report to Python, in a bounded ring with a wake-up descriptor.
//!
//! Knows: events, how many may wait.  Does not know: what Python does with them.
//! Theory: a thread never waits: when the ring is full the event is dropped and counted.  The descriptor is written
//! only when Python was not woken yet, so a storm of events costs one system call per `drain`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use parking_lot::Mutex;
use resolver_core::flow::{Attempt, Peer, Route, Waiter};

use crate::counters::{add, Counters};
use crate::epoll::EventFd;
use crate::wake_flag::WakeFlag;

/// Octets of datagrams that events may hold altogether; the last one that is let in may exceed it, whatever it
/// weighs: so many clients may wait for one question that their queries alone weigh more.
pub const EVENT_OCTETS_MAX: usize = 4 << 20;

/// News of workers that may wait; they come at most every 10 ms.
const NOTICES_MAX: usize = 1024;

/// Bits of a ticket that say which attempt; above them stand the thread's life and the thread.
const TICKET_LIFE_AT: u32 = 48;
const TICKET_THREAD_AT: u32 = 56;

/// The ticket of an attempt, which has 48 bits of its own with its thread in one of that thread's lives.
pub fn ticket_of(thread: u16, life: u8, attempt: u64) -> u64 {
    u64::from(thread) << TICKET_THREAD_AT | u64::from(life) << TICKET_LIFE_AT | attempt
}

/// The thread that gave out a ticket.
pub fn thread_of(ticket: u64) -> usize {
    (ticket >> TICKET_THREAD_AT) as usize
}

/// The attempt, by its thread's number for it.
pub fn attempt_of(ticket: u64) -> u64 {
    ticket & ((1 << TICKET_LIFE_AT) - 1)
}

/// Why Python is to go on with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandoverReason {
    /// Octets came that are not simply the answer.
    Reply,
    /// Nothing came in time.
    Timeout,
    /// The query could not be sent, or its socket broke.
    Network,
    /// There was no socket to send it from.
    NoSocket,
    /// Its connection was closed or broken by the upstream.
    Stream,
    /// Its connection brought what is no DNS message.
    Malformed,
    /// TLS could not be agreed on.
    Tls,
    /// The upstream's certificate is out of date.
    CertificateExpired,
    /// It is another's.
    CertificateName,
    /// It comes from nobody who is trusted.
    CertificateUntrusted,
    /// The upstream's key is none of those that are pinned.
    CertificatePin,
    /// The thread that asked ended: nothing will come, which says nothing of the upstream.
    Abandoned,
    /// Nothing was sent: connections to the upstream came to nothing, and none is begun for a moment.
    HeldBack,
    /// Python called for all attempts (`hand_over_all`); this one is still out.
    Recalled,
}

impl HandoverReason {
    /// As Python spells it.
    pub fn label(self) -> &'static str {
        match self {
            HandoverReason::Reply => "reply",
            HandoverReason::Timeout => "timeout",
            HandoverReason::Network => "network",
            HandoverReason::NoSocket => "no_socket",
            HandoverReason::Stream => "stream",
            HandoverReason::Malformed => "malformed",
            HandoverReason::Tls => "tls",
            HandoverReason::CertificateExpired => "certificate_expired",
            HandoverReason::CertificateName => "certificate_name",
            HandoverReason::CertificateUntrusted => "certificate_untrusted",
            HandoverReason::CertificatePin => "certificate_pin",
            HandoverReason::Abandoned => "abandoned",
            HandoverReason::HeldBack => "held_back",
            HandoverReason::Recalled => "recalled",
        }
    }
}

/// An attempt that Python goes on with.
pub struct Handover {
    /// What was asked, whom, when.  Without its message.
    pub attempt: Box<Attempt>,
    /// What `close_ticket` and `release` are called with, and `late` events name.
    pub ticket: u64,
    /// What came, with the reason `Reply`.
    pub octets: Option<Box<[u8]>>,
    /// Why.
    pub reason: HandoverReason,
    /// How often it left, where nothing more will come; None: as often as it may.
    pub left: Option<u8>,
    /// All who wait for an answer.
    pub waiters: Vec<Waiter>,
}

/// Something for Python to do.
pub enum Event {
    /// Answer this query.
    Query {
        /// The whole message, as it came.
        octets: Box<[u8]>,
        /// Who asks.
        peer: Peer,
        /// The way back.
        route: Box<Route>,
    },
    /// Go on with this attempt.
    Handover(Box<Handover>),
    /// This came for an attempt handed over.
    Late {
        /// Which.
        ticket: u64,
        /// The datagram.
        octets: Box<[u8]>,
    },
    /// Nothing more will come for an attempt handed over.
    Broken {
        /// Which.
        ticket: u64,
        /// Why its socket or connection broke; or `Abandoned`.
        reason: HandoverReason,
        /// How often it left; None: as often as it may.
        left: Option<u8>,
    },
}

impl Event {
    fn weight_octets(&self) -> usize {
        match self {
            Event::Query { octets, .. } | Event::Late { octets, .. } => octets.len(),
            Event::Handover(handover) => {
                let waiting: usize = handover.waiters.iter().map(|waiter| waiter.octets.len()).sum();
                waiting + handover.octets.as_ref().map_or(0, |octets| octets.len())
            }
            Event::Broken { .. } => 0,
        }
    }
}

/// A worker went down or came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// Nobody reads this worker's sockets for a while.
    Down(u16),
    /// It does again.
    Up(u16),
    /// Nobody accepts connections on the sockets of this thread with streams for a while.
    StreamDown(u16),
    /// It does again.
    StreamUp(u16),
}

/// The ring.
pub struct Ring {
    events: ArrayQueue<Event>,
    notices: Mutex<VecDeque<WorkerEvent>>,
    octets: AtomicUsize,
    wakeup: EventFd,
    wake_flag: WakeFlag,
}

impl Ring {
    /// An empty one.  Fails when the process has no descriptors left.
    pub fn new(events_max: usize) -> std::io::Result<Ring> {
        Ok(Ring {
            events: ArrayQueue::new(events_max),
            notices: Mutex::default(),
            octets: AtomicUsize::new(0),
            wakeup: EventFd::new()?,
            wake_flag: WakeFlag::new(),
        })
    }

    /// The descriptor that is readable while events wait.
    pub fn wakeup(&self) -> &EventFd {
        &self.wakeup
    }

    /// Let Python answer a query; whether there is room for it.
    pub fn punt(&self, counters: &Counters, octets: &[u8], peer: Peer, route: Route) -> bool {
        let event = Event::Query { octets: octets.into(), peer, route: Box::new(route) };
        let is_pushed = self.push(event).is_ok();
        if is_pushed {
            add(&counters.punts, 1);
        }
        is_pushed
    }

    /// Add an event; given back when there is no room.  Never waits.
    pub fn push(&self, event: Event) -> Result<(), Event> {
        let octets = event.weight_octets();
        // What weighs nothing is bounded by the number of events alone.
        let held = |held: usize| (octets == 0 || held < EVENT_OCTETS_MAX).then_some(held + octets);
        if self.octets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, held).is_err() {
            return Err(event);
        }
        if let Err(event) = self.events.push(event) {
            self.octets.fetch_sub(octets, Ordering::Relaxed);
            return Err(event);
        }
        self.call();
        Ok(())
    }

    /// Add news of a worker.
    pub fn notify(&self, notice: WorkerEvent) {
        let mut notices = self.notices.lock();
        if notices.len() < NOTICES_MAX {
            notices.push_back(notice);
        }
        drop(notices);
        self.call();
    }

    /// Wake Python unless it was woken and has not looked yet.
    fn call(&self) {
        if self.wake_flag.set() {
            self.wakeup.notify();
        }
    }

    /// Take what waits, at most `max` events; the descriptor is made readable again if that leaves any.
    pub fn drain(&self, max: usize) -> (Vec<WorkerEvent>, Vec<Event>) {
        self.wakeup.clear();
        self.wake_flag.clear();
        let notices = self.notices.lock().drain(..).collect();
        let mut events = Vec::with_capacity(max.min(self.events.len()));
        while events.len() < max {
            let Some(event) = self.events.pop() else { break };
            self.octets.fetch_sub(event.weight_octets(), Ordering::Relaxed);
            events.push(event);
        }
        if !self.events.is_empty() {
            self.call();
        }
        (notices, events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(octets: usize) -> Event {
        Event::Late { ticket: 1, octets: vec![0; octets].into() }
    }

    fn is_readable(ring: &Ring) -> bool {
        let mut poll = libc::pollfd { fd: ring.wakeup().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn a_full_ring_gives_the_event_back() {
        let ring = Ring::new(2).unwrap();
        assert!(ring.push(late(1)).is_ok());
        assert!(ring.push(late(1)).is_ok());
        assert!(ring.push(late(1)).is_err());
        assert_eq!(ring.drain(8).1.len(), 2);
        assert!(ring.push(late(1)).is_ok());
    }

    #[test]
    fn octets_are_bounded_too() {
        let ring = Ring::new(8).unwrap();
        assert!(ring.push(late(EVENT_OCTETS_MAX)).is_ok());
        assert!(ring.push(late(1)).is_err());
        ring.drain(8);
        assert!(ring.push(late(1)).is_ok());
    }

    #[test]
    fn an_event_heavier_than_all_may_be_passes_a_ring_that_is_not_full() {
        let ring = Ring::new(8).unwrap();
        assert!(ring.push(late(1)).is_ok());
        assert!(ring.push(late(3 * EVENT_OCTETS_MAX)).is_ok());
        assert!(ring.push(late(1)).is_err());
        assert!(ring.push(late(0)).is_ok(), "what weighs nothing passes");
        assert_eq!(ring.drain(8).1.len(), 3);
        assert_eq!(ring.octets.load(Ordering::Relaxed), 0);
        assert!(ring.push(late(1)).is_ok());
    }

    #[test]
    fn no_event_waits_unseen_however_many_threads_push() {
        const PUSHERS: usize = 3;
        const EVENTS: usize = 20_000;
        let ring = Ring::new(64).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..PUSHERS {
                scope.spawn(|| {
                    for _ in 0..EVENTS {
                        while ring.push(late(3)).is_err() {
                            std::thread::yield_now();
                        }
                    }
                });
            }
            let mut taken = 0;
            while taken < PUSHERS * EVENTS {
                let mut poll =
                    libc::pollfd { fd: ring.wakeup().as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one valid pollfd.
                assert_eq!(unsafe { libc::poll(&mut poll, 1, 10_000) }, 1, "after {taken} events");
                taken += ring.drain(16).1.len();
            }
        });
        // The last push may have made it readable after its event was taken.
        assert!(ring.drain(1).1.is_empty() && !is_readable(&ring));
        assert_eq!(ring.octets.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn it_is_readable_while_anything_waits() {
        let ring = Ring::new(8).unwrap();
        assert!(!is_readable(&ring));
        for _ in 0..3 {
            assert!(ring.push(late(1)).is_ok());
        }
        assert!(is_readable(&ring));
        assert_eq!(ring.drain(2).1.len(), 2);
        assert!(is_readable(&ring));
        assert_eq!(ring.drain(2).1.len(), 1);
        assert!(!is_readable(&ring));
        ring.notify(WorkerEvent::Down(3));
        assert!(is_readable(&ring));
        assert_eq!(ring.drain(2).0, [WorkerEvent::Down(3)]);
        assert!(!is_readable(&ring));
    }
}
