//! What one thread with streams has, and what becomes of a connection after something was done with it.
//!
//! Knows: connections, questions that wait, who has a turn next.  Does not know: the order of a turn (`thread`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use resolver_core::entropy::Entropy;
use resolver_core::flow::{client_key, Flow, Holder, Line, Memo, Place, StreamRoute, Yielding};
use rustls::ServerConfig;

use super::connection::Connection;
use super::doors::Doors;
use super::gathering::Gathering;
use super::turn::Batch;
use crate::epoll::{Epoll, Events};
use crate::shared::Shared;
use crate::slab::{Handle, Slab};
use crate::stream_asks::StreamAsk;
use crate::stream_state::{StreamMailbox, Streams};
use crate::sys::{monotonic, sleep_precisely, take_turns_of, STREAMS_SLICE_NS};
use crate::tls::ALPN_DOT;

/// Descriptors looked at per turn.
const EVENTS_PER_TURN_MAX: usize = 256;
/// Octets read from one connection in its turn.
pub(super) const STREAM_READ_OCTETS: usize = 16_384;
/// How often connections are looked at that may be quiet; so one lives at most this much longer.
pub(super) const SWEEP_EVERY_S: f64 = 1.0;

/// Numbers of descriptors that are no connection's; those are handles, of 48 bits.
pub(super) const LISTEN: u64 = 1 << 60;
pub(super) const WAKEUP: u64 = 1 << 61;

/// A question that waits.
pub(super) struct Open {
    pub(super) connection: Handle,
    pub(super) place: Arc<Place>,
    pub(super) octets: usize,
}

/// One thread's.
pub(super) struct ThreadLoop<'s> {
    pub(super) shared: &'s Shared,
    pub(super) streams: &'s Streams,
    pub(super) letters: &'s StreamMailbox,
    pub(super) doors: Doors<'s>,
    pub(super) number: u16,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) epoll: Epoll,
    pub(super) events: Events,
    pub(super) connections: Slab<Connection>,
    /// Questions that wait, by their numbers.
    pub(super) open: HashMap<u32, Open>,
    pub(super) next_request: u32,
    pub(super) line: Line<Handle>,
    /// Sessions that are still to come, and have something to read.
    pub(super) handshakes: VecDeque<Handle>,
    pub(super) batch: Batch,
    pub(super) asks: Vec<StreamAsk>,
    /// Which messages of a batch somebody must be asked about; true: Python.
    pub(super) rest: Vec<(usize, bool)>,
    pub(super) sealed: Vec<u8>,
    pub(super) plain: Vec<u8>,
    pub(super) read: Box<[u8]>,
    pub(super) memo: Memo,
    /// Monotonic seconds, as of the last wait or batch.
    pub(super) now: f64,
    /// When this turn began.
    pub(super) began: f64,
    pub(super) sweep_at: f64,
    pub(super) is_reading: bool,
    pub(super) gathering: Gathering,
    pub(super) panics: u32,
}

impl<'s> ThreadLoop<'s> {
    pub(super) fn new(shared: &'s Shared, number: u16) -> std::io::Result<ThreadLoop<'s>> {
        let streams = &shared.streams;
        let thread = &streams.threads[usize::from(number)];
        let epoll = Epoll::new()?;
        epoll.add(thread.letters.mailbox.wakeup.as_raw_fd(), WAKEUP)?;
        sleep_precisely();
        take_turns_of(STREAMS_SLICE_NS);
        let now = monotonic();
        let mut entropy = Entropy::new();
        let mut worker = ThreadLoop {
            shared,
            streams,
            letters: &thread.letters,
            number,
            tls: shared.tls.config(ALPN_DOT),
            epoll,
            events: Events::with_room_for(EVENTS_PER_TURN_MAX),
            connections: Slab::new(),
            open: HashMap::new(),
            // Another life of the thread must not take the answers of this one's questions for its own.
            next_request: u32::from(entropy.query_id()) << 16 | u32::from(entropy.query_id()),
            line: Line::default(),
            handshakes: VecDeque::new(),
            batch: Batch::new(),
            asks: Vec::new(),
            rest: Vec::new(),
            sealed: Vec::new(),
            plain: Vec::new(),
            read: vec![0; STREAM_READ_OCTETS].into_boxed_slice(),
            memo: Memo::new(streams.bounds.memo_octets, &mut entropy),
            now,
            began: now,
            sweep_at: now + SWEEP_EVERY_S,
            doors: Doors::new(&thread.sockets, LISTEN),
            is_reading: true,
            gathering: Gathering::default(),
            panics: 0,
        };
        worker.doors.open(&worker.epoll, now)?;
        Ok(worker)
    }

    pub(super) fn flow(&self) -> &'s Flow {
        &self.shared.shared_flow.flow
    }

    /// After something was done with a connection: its next turn, its end, what it holds.
    pub(super) fn settle(&mut self, handle: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if connection.has_message && !connection.is_in_line && connection.may_answer() {
            connection.is_in_line = true;
            self.line.stand(client_key(connection.address), handle);
        }
        if connection.leave(&mut self.sealed, self.now) {
            return self.close(handle);
        }
        connection.report(&self.epoll, handle);
        if connection.place.set_held(connection.held_octets()) {
            let yielding = self.streams.limits.hold(&connection.place);
            self.let_go(yielding);
        }
    }

    /// A connection lost its place; it may be another thread's.
    pub(super) fn let_go(&mut self, yielding: Option<Yielding>) {
        let Some(Yielding { place, limit }) = yielding else { return };
        self.streams.count_limit(limit);
        if place.holder.thread == self.number {
            self.cut(handle_of(place.holder));
        } else {
            self.streams.give_way(place.holder);
        }
    }

    /// Close a connection, and let its client know at once.
    pub(super) fn cut(&mut self, handle: Handle) {
        if let Some(connection) = self.connections.get(handle) {
            connection.reset();
        }
        self.close(handle);
    }

    pub(super) fn close(&mut self, handle: Handle) {
        if let Some(connection) = self.connections.take(handle) {
            self.streams.limits.free(&connection.place);
        }
    }
}

/// The connection that a place is of.
pub(super) fn handle_of(holder: Holder) -> Handle {
    Handle::from_bits(u64::from(holder.generation) << 32 | u64::from(holder.connection))
}

/// Whose the way back is.
pub(super) fn holder_of(route: StreamRoute) -> Holder {
    let StreamRoute { thread, connection, generation, .. } = route;
    Holder { thread, connection, generation }
}
