//! The connections of one thread to all upstreams, and which of them a query goes to.
//!
//! Knows: connections, how many there may be, what is learnt of an upstream that closes them.  Does not know: sockets,
//! TLS (`connection`), why a question goes over a stream.
//! Theory: a query joins the oldest connection that has few, so that as many as possible leave in one write and come
//! back in one read, and connections that a peak has opened end when it is over.  A server may close a connection at
//! any time: when one that has served before breaks, its questions are asked once more, on a new one.  Some servers
//! give a few answers on a connection and close it, however many queries have come: how many is learnt, and further
//! ones get no more than that.  A handshake that lost a packet holds nobody: the connection that opens first takes
//! those that wait for others.

use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use super::connection::{Connection, Phase, Progress};
use super::inbox::Inbox;
use super::pipeline::ANSWERS_UNLIMITED;
use super::socket::connect;
use super::words::{Failure, Left, Onto, StreamQuery, StreamRead};
use crate::counters::{add, Counters};
use crate::epoll::Epoll;
use crate::slab::{Handle, Slab};
use crate::upstream_server::UpstreamServer;

/// Connections to one upstream.
const CONNECTIONS_PER_UPSTREAM_MAX: usize = 8;
/// Connections to one upstream, up to which a question is given one of its own.
const ALONE_PER_UPSTREAM_MAX: usize = 4;

/// Connections kept besides, because somebody still waits for a slow answer there.
const OVERDUE_PER_UPSTREAM_MAX: usize = 8;

/// A connection with this many unanswered queries is joined only if no other may be opened.
pub(super) const QUERIES_BEFORE_NEW_CONNECTION: usize = 16;

/// How often one query is sent, in all.
const SENDS_MAX: u8 = 2;

/// Handshakes gone on with in one turn: each step is some 0.2 ms of work, and queries wait behind it.
const HANDSHAKES_PER_TURN_MAX: usize = 2;

/// Seconds that a limit of answers is believed; `forwarding/oddities.py` has the same.
const LIMIT_BELIEVED_S: f64 = 900.0;

/// The same where no answer came at all.
const LIMIT_DOUBTED_S: f64 = 60.0;

/// After so long a connection that is still to be open is not what others wait for.
const LATE_TO_OPEN_S: f64 = 1.0;

/// An upstream that answered within so long is there, and what a new connection breaks is asked once more;
/// `forwarding/bounds.py` has the same.
const ANSWERS_LATELY_S: f64 = 5.0;

/// Marks the numbers of connections in the epoll set; handles have 48 bits.
const STREAM: u64 = 1 << 59;

/// The connection that has this number in the epoll set; None: it is something else's.
pub fn connection_of(number: u64) -> Option<Handle> {
    (number & STREAM != 0).then(|| Handle::from_bits(number & !STREAM))
}

/// The connections to one upstream.
struct Pool {
    server: Arc<UpstreamServer>,
    /// The oldest first.
    connections: Vec<Handle>,
    answers_max: u32,
    limited_until: f64,
    /// Given on the last connection that ended with queries left.
    answers_before: u32,
    /// When a connection of this thread brought an answer last.
    answered_at: f64,
}

impl Pool {
    /// How many queries one connection may get.
    fn answers_per_connection(&self, now: f64) -> u32 {
        if now < self.limited_until {
            self.answers_max
        } else {
            ANSWERS_UNLIMITED
        }
    }

    /// It closed a connection after so many answers, though more queries had come.
    fn limit_answers(&mut self, answers: u32, now: f64) {
        self.answers_max = answers.min(self.answers_per_connection(now)).max(1);
        let believed_s = if answers == 0 { LIMIT_DOUBTED_S } else { LIMIT_BELIEVED_S };
        self.limited_until = self.limited_until.max(now + believed_s);
    }

    /// `answers` if the connection before gave as many, else `None`: a break comes after any number.
    ///
    /// Whoever has TLS can be cut off with it, by a bad way or a middlebox, and looks as if it had closed.
    fn same_as_before(&mut self, answers: Option<u32>) -> Option<u32> {
        let answers = answers.filter(|&answers| answers > 0)?;
        let before = std::mem::replace(&mut self.answers_before, answers);
        (answers == before).then_some(answers)
    }
}

/// One thread's connections to all upstreams.
pub struct StreamPools {
    epoll: Arc<Epoll>,
    counters: Arc<Counters>,
    pub(super) connections: Slab<Connection>,
    pools: Vec<Pool>,
    /// Queries that somebody waits for.
    waiting: usize,
    pub(super) unflushed: Vec<Handle>,
    /// Who waits on another connection than before, and on which.
    pub(super) moved: Vec<(Handle, Handle)>,
    /// Connections that have ended and not been taken yet.
    broken: Vec<(Handle, Failure)>,
    /// When a connection is to be looked at.
    look_at: f64,
    handshakes_left: usize,
    last_handshake: Option<(u16, bool)>,
    /// Monotonic seconds, as of the last call that said so.
    now: f64,
}

impl StreamPools {
    /// No connections yet.
    pub fn new(epoll: Arc<Epoll>, counters: Arc<Counters>) -> StreamPools {
        StreamPools {
            epoll,
            counters,
            connections: Slab::new(),
            pools: Vec::new(),
            waiting: 0,
            unflushed: Vec::new(),
            moved: Vec::new(),
            broken: Vec::new(),
            look_at: f64::INFINITY,
            handshakes_left: HANDSHAKES_PER_TURN_MAX,
            last_handshake: None,
            now: 0.0,
        }
    }

    /// All connections to an upstream, open and being opened.
    pub(super) fn connections_to(&self, upstream: u16) -> Vec<Handle> {
        self.pools[usize::from(upstream)].connections.clone()
    }

    /// How many upstreams have a number.
    pub fn servers(&self) -> usize {
        self.pools.len()
    }

    /// Learn of new upstreams; a number, once given, stands for the same server always.
    pub fn learn(&mut self, servers: &[Arc<UpstreamServer>]) {
        let new = servers.get(self.pools.len()..).unwrap_or_default();
        self.pools.extend(new.iter().map(|server| Pool {
            server: Arc::clone(server),
            connections: Vec::new(),
            answers_max: ANSWERS_UNLIMITED,
            limited_until: f64::NEG_INFINITY,
            answers_before: 0,
            answered_at: f64::NEG_INFINITY,
        }));
    }

    /// Whether nobody waits, and nothing is to be done now.
    pub fn is_quiet(&self, now: f64) -> bool {
        self.waiting == 0 && self.broken.is_empty() && now < self.look_at
    }

    /// Milliseconds until a connection is to be looked at; -1: none is.
    pub fn patience_ms(&self, now: f64) -> i32 {
        if !self.broken.is_empty() {
            return 0;
        }
        if self.look_at == f64::INFINITY {
            return -1;
        }
        ((self.look_at - now) * 1000.0).ceil().clamp(0.0, 5000.0) as i32
    }

    /// Put a query on a connection, where it waits from now on; it leaves with `flush`.
    pub fn send(&mut self, upstream: u16, query: StreamQuery, now: f64) -> Result<Handle, Failure> {
        self.place(upstream, query, now, Onto::Any)
    }

    /// The same for a query whose connection broke.  `alone`: see `Left`.
    pub fn send_again(
        &mut self,
        upstream: u16,
        query: StreamQuery,
        now: f64,
        alone: bool,
    ) -> Result<Handle, Failure> {
        if query.sends >= SENDS_MAX {
            return Err(Failure::Full);
        }
        let placed = self.place(upstream, query, now, if alone { Onto::ItsOwn } else { Onto::New })?;
        add(&self.counters.streams_retried, 1);
        Ok(placed)
    }

    /// Its connections.
    #[cfg(test)]
    pub fn handles(&self) -> Vec<Handle> {
        self.connections.handles()
    }

    /// Send what has gathered on each connection.
    pub fn flush(&mut self) {
        self.handshakes_left = HANDSHAKES_PER_TURN_MAX;
        for handle in self.unflushed.drain(..) {
            let Some(connection) = self.connections.get_mut(handle) else { continue };
            if let Err(failure) = connection.flush() {
                self.broken.push((handle, failure));
            }
        }
    }

    /// Go on with a connection; the messages that came are in `inbox`.  `is_over`: see `Events::is_over`.
    pub fn read(&mut self, handle: Handle, is_over: bool, now: f64, inbox: &mut Inbox) -> StreamRead {
        inbox.clear();
        self.now = now;
        let Some(connection) = self.connections.get_mut(handle) else { return StreamRead::All };
        connection.is_over |= is_over;
        let (phase, live) = (connection.phase, connection.pipeline.live());
        let answered = connection.pipeline.answered;
        let progress = connection.go_on(inbox, self.handshakes_left > 0, &self.counters, now);
        if phase != Phase::Open && connection.phase != Phase::Connecting {
            self.handshakes_left = self.handshakes_left.saturating_sub(1);
        }
        if phase != Phase::Open && connection.phase == Phase::Open {
            if let Some(handshake) = connection.handshake() {
                let upstream = connection.upstream;
                self.last_handshake = Some((upstream, handshake.is_resumed));
                let pool = self.pools.get(usize::from(upstream));
                if let (Some(pool), Some(certificate)) = (pool, handshake.certificate) {
                    *pool.server.certificate.lock() = Some(certificate.into());
                }
            }
        }
        if connection.pipeline.answered > answered {
            if let Some(pool) = self.pools.get_mut(usize::from(connection.upstream)) {
                pool.answered_at = now;
                if answered == 0 {
                    pool.server.openings.lock().come_to_something();
                }
            }
        }
        let live_now = connection.pipeline.live();
        let has_opened = phase != Phase::Open && connection.phase == Phase::Open;
        self.waiting -= live - live_now;
        if live_now == 0 {
            connection.idle_since = now;
            self.look_at = self.look_at.min(connection.deadline());
        }
        if has_opened && !matches!(progress, Progress::Ended(_)) {
            self.gather(handle, now);
        }
        match progress {
            Progress::All => StreamRead::All,
            Progress::Part => StreamRead::Part,
            Progress::Ended(failure) => StreamRead::Ended(failure),
        }
    }

    /// The upstream with which a handshake ended in the last `read`, and whether it resumed a session.
    pub fn take_handshake(&mut self) -> Option<(u16, bool)> {
        self.last_handshake.take()
    }

    /// `owner` waits for `id` no more.
    pub fn forget(&mut self, handle: Handle, id: u16, owner: Handle) {
        let Some(connection) = self.connections.get_mut(handle) else { return };
        if !connection.pipeline.give_up(id, owner) {
            return;
        }
        self.waiting -= 1;
        if connection.pipeline.live() == 0 {
            connection.idle_since = self.now;
            self.look_at = self.look_at.min(connection.deadline());
        }
    }

    /// The connections that have ended since the last call, and why.
    pub fn take_broken(&mut self) -> Vec<(Handle, Failure)> {
        std::mem::take(&mut self.broken)
    }

    /// Look which connections have had their time.
    pub fn look_at_times(&mut self, now: f64) {
        self.now = now;
        if now < self.look_at {
            return;
        }
        self.look_at = f64::INFINITY;
        for handle in self.connections.handles() {
            let Some(connection) = self.connections.get_mut(handle) else { continue };
            let deadline = connection.deadline();
            if now < deadline {
                self.look_at = self.look_at.min(deadline);
                continue;
            }
            let failure = connection.failure_at_deadline();
            if failure == Failure::Blameless {
                connection.say_goodbye();
            }
            self.broken.push((handle, failure));
        }
    }

    /// Close a connection; what it leaves.
    pub fn break_all(&mut self, handle: Handle, failure: Failure, now: f64) -> Option<Left> {
        let mut connection = self.connections.take(handle)?;
        let pool = self.pools.get_mut(usize::from(connection.upstream))?;
        pool.connections.retain(|&other| other != handle);
        pool.server.connections.fetch_sub(1, Ordering::Relaxed);
        let pipeline = &mut connection.pipeline;
        let mut answers_lost = if failure == Failure::Stream { pipeline.answers_lost() } else { None };
        if pool.server.carrier.is_encrypted() {
            answers_lost = pool.same_as_before(answers_lost);
        }
        if let Some(answers) = answers_lost {
            pool.limit_answers(answers, now);
        }
        // Whose garbage it is cannot be told where several waited: then each is asked again, alone if that can be.
        let is_garbage = failure == Failure::Malformed;
        let is_somebodys = is_garbage && pipeline.live() > 1;
        let is_blameless = is_somebodys
            || (!is_garbage
                && (answers_lost.is_some() || pipeline.answered > 0 || failure == Failure::Blameless));
        // A new connection may break, too, for no fault of an upstream that has just answered on others.
        let is_well =
            matches!(failure, Failure::Stream | Failure::Tls) && now - pool.answered_at < ANSWERS_LATELY_S;
        let came_to_nothing = pipeline.waiting() > 0 || connection.phase != Phase::Open;
        if came_to_nothing && pipeline.answered == 0 && failure != Failure::Blameless {
            pool.server.openings.lock().fail(connection.began_at, now);
        }
        self.waiting -= pipeline.live();
        if pipeline.live() > 0 || pipeline.is_overdue(now) {
            add(&self.counters.streams_broken, 1);
        }
        Some(Left {
            upstream: connection.upstream,
            failure: if is_blameless { Failure::Blameless } else { failure },
            may_ask_again: is_blameless || is_well,
            alone: is_somebodys,
            queries: pipeline.take_all(),
        })
    }

    fn place(&mut self, upstream: u16, query: StreamQuery, now: f64, onto: Onto) -> Result<Handle, Failure> {
        self.now = now;
        let pool = usize::from(upstream);
        if pool >= self.pools.len() {
            return Err(Failure::Network);
        }
        let on_new = onto != Onto::Any;
        let own = if onto == Onto::ItsOwn { self.open_for_one(pool, now) } else { None };
        let (handle, is_reused) = match own.or_else(|| self.joinable(pool, query.id, now, on_new)) {
            Some(open) => (open, !on_new),
            None => match self.open(pool, now, None) {
                Ok(new) => (new, false),
                Err(failure) => match self.any(pool, query.id, now) {
                    Some(any) => (any, !on_new),
                    None => {
                        let is_held_back = failure == Failure::HeldBack;
                        add(&self.counters.streams_held_back, u64::from(is_held_back));
                        return Err(failure);
                    }
                },
            },
        };
        add(&self.counters.streams_reused, u64::from(is_reused));
        let connection = self.connections.get_mut(handle).ok_or(Failure::Network)?;
        connection.put(query, now);
        self.waiting += 1;
        if connection.phase == Phase::Open && !connection.is_unflushed {
            connection.is_unflushed = true;
            self.unflushed.push(handle);
        }
        Ok(handle)
    }

    /// The oldest good connection with few queries.
    fn joinable(&self, pool: usize, id: u16, now: f64, on_new: bool) -> Option<Handle> {
        let is_joinable = |handle: &&Handle| {
            self.connections.get(**handle).is_some_and(|connection| {
                let pipeline = &connection.pipeline;
                pipeline.waiting() < QUERIES_BEFORE_NEW_CONNECTION
                    && !(on_new && pipeline.answered > 0)
                    && !pipeline.is_late(now)
                    && connection.takes(id, now)
            })
        };
        self.pools[pool].connections.iter().find(is_joinable).copied()
    }

    /// The connection with the fewest queries of all that take one more.
    fn any(&self, pool: usize, id: u16, now: f64) -> Option<Handle> {
        let taking = |&handle: &Handle| {
            let connection = self.connections.get(handle)?;
            connection.takes(id, now).then_some((connection.pipeline.waiting(), handle))
        };
        let fewest =
            self.pools[pool].connections.iter().filter_map(taking).min_by_key(|&(waiting, _)| waiting);
        fewest.map(|(_, handle)| handle)
    }

    /// A connection that takes one query, while there are few: the others keep room for theirs.
    fn open_for_one(&mut self, pool: usize, now: f64) -> Option<Handle> {
        let are_few = self.pools[pool].connections.len() < ALONE_PER_UPSTREAM_MAX;
        are_few.then(|| self.open(pool, now, Some(1)).ok()).flatten()
    }

    /// A new connection, if there may be one more.  `answers_max`: `None`: as the upstream is known.
    fn open(&mut self, pool: usize, now: f64, answers_max: Option<u32>) -> Result<Handle, Failure> {
        let is_overdue = |handle: &&Handle| {
            self.connections.get(**handle).is_some_and(|connection| connection.pipeline.is_overdue(now))
        };
        if !self.may_open(pool, now) {
            return Err(Failure::HeldBack);
        }
        let all = &self.pools[pool].connections;
        let overdue = all.iter().filter(is_overdue).count();
        if all.len() - overdue >= CONNECTIONS_PER_UPSTREAM_MAX {
            return Err(Failure::Full);
        }
        if overdue >= OVERDUE_PER_UPSTREAM_MAX {
            if let Some(&oldest) = all.iter().find(is_overdue) {
                // At the end of this turn: who waits there may be in the middle of something.
                self.broken.push((oldest, Failure::Blameless));
            }
        }
        let opened = self.connect(pool, now, answers_max);
        if opened == Err(Failure::Network) {
            self.pools[pool].server.openings.lock().fail(now, now);
        }
        add(if opened.is_ok() { &self.counters.streams_opened } else { &self.counters.open_failures }, 1);
        opened
    }

    /// Whether connections to this upstream come to something, or one that does not may be tried again.
    fn may_open(&self, pool: usize, now: f64) -> bool {
        let Pool { server, connections, .. } = &self.pools[pool];
        let known = connections.iter().filter_map(|&handle| self.connections.get(handle));
        let is_opening = |connection: &&Connection| {
            connection.phase != Phase::Open && now < connection.began_at + LATE_TO_OPEN_S
        };
        server.openings.lock().allow(known.filter(is_opening).count(), now)
    }

    fn connect(&mut self, pool: usize, now: f64, answers_max: Option<u32>) -> Result<Handle, Failure> {
        let server = Arc::clone(&self.pools[pool].server);
        if !server.carrier.is_stream() {
            return Err(Failure::Network);
        }
        let answers_max = answers_max.unwrap_or_else(|| self.pools[pool].answers_per_connection(now));
        let failure_of = |error: std::io::Error| match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => Failure::NoSocket,
            _ => Failure::Network,
        };
        let socket = connect(server.address).map_err(failure_of)?;
        let connection = Connection::new(pool as u16, socket, server.tls.as_ref(), answers_max, now)
            .map_err(|_| Failure::Tls)?;
        let fd = connection.socket().as_raw_fd();
        self.look_at = self.look_at.min(connection.deadline());
        let handle = self.connections.put(connection);
        if let Err(error) = self.epoll.add_stream(fd, handle.to_bits() | STREAM) {
            self.connections.take(handle);
            return Err(failure_of(error));
        }
        self.pools[pool].connections.push(handle);
        self.pools[pool].server.connections.fetch_add(1, Ordering::Relaxed);
        Ok(handle)
    }
}

impl Drop for StreamPools {
    fn drop(&mut self) {
        for pool in &self.pools {
            pool.server.connections.fetch_sub(pool.connections.len() as u32, Ordering::Relaxed);
        }
    }
}
