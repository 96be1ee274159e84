//! What a thread keeps of its questions to upstreams.
//!
//! Knows: who owns a question, where it waits.  Does not know: what becomes of it.

use std::sync::Arc;

use resolver_core::entropy::Entropy;
use resolver_core::flow::{Attempt, AttemptMaker, FlightKey, Flow, Policy};

use super::heard::Heard;
use crate::counters::{add, Counters};
use crate::epoll::Epoll;
use crate::late_answers::LateAnswers;
use crate::ring::ticket_of;
use crate::shared::Shared;
use crate::shared_flow::ThreadCounts;
use crate::slab::{Handle, Slab};
use crate::timers::Timers;
use crate::udp_pool::{UdpPools, RECEIVE_OCTETS};
use crate::upstream_streams::{Inbox, StreamPools};

/// Who judges what becomes of an attempt.
pub(super) enum Owner {
    /// Its outcome is judged here.
    Us(Box<Attempt>),
    /// Python goes on with it.
    Python { key: Box<FlightKey>, expires_at: f64 },
}

/// Where an attempt's ID is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On a socket of the UDP pools.
    Datagrams(Handle),
    /// On a connection of the stream pools.
    Stream(Handle),
}

pub(super) struct InFlight {
    pub(super) holder: Owner,
    pub(super) id: u16,
    /// None: its ID is waited for no more.
    pub(super) place: Option<Place>,
    pub(super) is_answered: bool,
    /// How often it left, once nothing more will come; None: as often as it may.
    pub(super) left: Option<u8>,
}

/// What one turn of the loop works with.
pub struct LoopContext<'t> {
    /// The policy in force; None: there is none, every query is Python's.
    pub policy: Option<&'t Policy>,
    /// The thread's counts.
    pub counts: &'t mut ThreadCounts,
    /// Monotonic seconds.
    pub now: f64,
}

/// See the room's text.
pub struct UpstreamQueries<'s> {
    pub(super) shared: &'s Shared,
    pub(super) counters: &'s Counters,
    thread: u16,
    life: u8,
    pub(super) pools: UdpPools,
    pub(super) streams: StreamPools,
    pub(super) in_flight: Slab<InFlight>,
    pub(super) timers: Timers<Handle>,
    pub(super) maker: AttemptMaker,
    pub(super) late_answers: LateAnswers<'s>,
    pub(super) out: Vec<u8>,
    pub(super) due: Vec<Handle>,
    /// Attempts that were taken on and have not left.
    pub(super) unsent: Vec<Handle>,
    pub(super) heard: Heard,
    /// What is read into; None: just now somebody does.
    pub(super) datagram: Option<Box<[u8; RECEIVE_OCTETS]>>,
    pub(super) inbox: Option<Box<Inbox>>,
    /// Sockets that had more than one turn's share.
    pub(super) unread: Vec<Place>,
    /// Panics caught since this was made.
    pub panics: u32,
    /// The next query to be sent panics.
    #[cfg(test)]
    pub panics_next: bool,
}

impl<'s> UpstreamQueries<'s> {
    /// Nothing in flight.  `life`: how often the thread began before, so that no ticket is given out twice.
    pub fn new(
        shared: &'s Shared,
        thread: u16,
        life: u8,
        epoll: Arc<Epoll>,
        now: f64,
    ) -> UpstreamQueries<'s> {
        let counters = &shared.mailboxes[usize::from(thread)].counters;
        UpstreamQueries {
            shared,
            counters,
            thread,
            life,
            streams: StreamPools::new(Arc::clone(&epoll), Arc::clone(counters)),
            pools: UdpPools::new(
                epoll,
                Arc::clone(counters),
                shared.sockets_per_upstream,
                Arc::clone(&shared.source_ports),
            ),
            in_flight: Slab::new(),
            timers: Timers::new(now),
            maker: AttemptMaker::new(Entropy::new()),
            late_answers: LateAnswers::new(shared, counters),
            out: Vec::new(),
            due: Vec::new(),
            unsent: Vec::new(),
            heard: Heard::new(),
            datagram: Some(Box::new([0; RECEIVE_OCTETS])),
            inbox: None,
            unread: Vec::new(),
            panics: 0,
            #[cfg(test)]
            panics_next: false,
        }
    }

    pub(super) fn flow(&self) -> &'s Flow {
        &self.shared.shared_flow.flow
    }

    /// The way of answers to clients that waited.
    pub fn late_answers(&mut self) -> &mut LateAnswers<'s> {
        &mut self.late_answers
    }

    /// How many attempts have waited for each other to leave.
    #[cfg(test)]
    pub fn unsent_room(&self) -> usize {
        self.unsent.capacity()
    }

    /// Makes what is sent here.
    pub fn maker(&mut self) -> &mut AttemptMaker {
        &mut self.maker
    }

    /// Whether nothing is waited for, and nothing is to be done now.
    pub fn is_quiet(&self, now: f64) -> bool {
        self.pools.waiting() == 0
            && self.in_flight.len() == 0
            && self.unread.is_empty()
            && self.late_answers.is_quiet()
            && self.streams.is_quiet(now)
    }

    /// Milliseconds until an attempt or a connection may be due; 0: there is more to read; -1: nothing is.
    pub fn patience_ms(&self, now: f64) -> i32 {
        if !self.unread.is_empty() {
            return 0;
        }
        let held_ms = self.late_answers.patience_ms(now);
        let streams_ms = self.streams.patience_ms(now);
        let due_ms = if self.in_flight.len() == 0 { -1 } else { self.timers.patience_ms(now) };
        // -1 is the longest of all.
        [held_ms, streams_ms, due_ms].map(|ms| ms as u32).into_iter().min().map_or(-1, |ms| ms as i32)
    }

    #[cold]
    pub(super) fn count_panic(&mut self) {
        self.panics += 1;
        add(&self.counters.panics, 1);
    }

    /// The ID of `owner` is waited for no more.
    pub(super) fn forget(&mut self, owner: Handle) {
        let Some(flight) = self.in_flight.get_mut(owner) else { return };
        match flight.place.take() {
            Some(Place::Datagrams(socket)) => {
                self.pools.forget(socket, flight.id, owner, flight.is_answered);
            }
            Some(Place::Stream(connection)) => self.streams.forget(connection, flight.id, owner),
            None => {}
        }
    }

    /// Python is done with an attempt.
    pub(super) fn release(&mut self, owner: Handle) {
        self.forget(owner);
        if let Some(InFlight { holder: Owner::Python { key, .. }, .. }) = self.in_flight.take(owner) {
            self.flow().release_key(&key);
        }
    }

    pub(super) fn ticket(&self, owner: Handle) -> u64 {
        ticket_of(self.thread, self.life, owner.to_bits())
    }
}
