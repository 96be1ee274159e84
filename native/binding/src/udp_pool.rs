//! Many connected UDP sockets per upstream, so that no forger knows which port to aim at.
//!
//! Knows: sockets, IDs in use on each socket.  Does not know: what the octets say beyond the ID; whether a reply is
//! good (whoever owns the ID judges that); which ports there are.
//! Theory: each query leaves from a socket picked at random among the pool's window, of `base` sockets (RFC 5452
//! §9.2); connected, so the kernel drops whatever comes from elsewhere.  The window moves on by one socket in every
//! `QUERIES_PER_REST` queries: the oldest goes to rest, and one that rested for `REST_STEPS_MIN` steps comes in, or a
//! fresh one while none has.  Where there may be no more sockets, the oldest is closed instead.  So 100,000 queries
//! leave from 20,000 ports and more, and most of them cost no more than a window that stands still: a socket
//! opened and closed costs as much as a whole query.  A pool that is asked much stocks up on fresh ones while its
//! thread has nothing else to do.  All of a thread's sockets sit in its own epoll set for as long as they live: a
//! query costs one `send` and one `recv`.

mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use resolver_core::entropy::Entropy;

use self::slot::{Slot, Waiting};
use crate::counters::{add, Counters};
use crate::epoll::Epoll;
use crate::slab::{Handle, Slab};
use crate::udp_socket::{connect, SourcePorts};

/// Queries from one step of the window to the next, where the step brought in a socket that had rested.
const QUERIES_PER_REST: u32 = 5;
/// The same where it brought in a fresh one: chance gives some of them a port that was used not long ago.
const QUERIES_PER_FRESH: u32 = 4;
/// Steps that a socket rests at least.
const REST_STEPS_MIN: u64 = 19_400;
/// The more by one step for each so many that the pool has fewer.
const REST_MORE_PART: u64 = 5;
/// Steps after which a pool looks how much it is asked.
const STEPS_PER_LOOK: u64 = 1024;
/// Old sockets closed in one step, at most.
const CLOSED_PER_STEP_MAX: usize = 8;
/// Seconds a socket is used.
pub const SOCKET_AGE_S_MAX: f64 = 300.0;
/// We advertise 1232; an upstream that ignores it still gets through.
pub const RECEIVE_OCTETS: usize = 4096;
/// Sockets tried for one on which the query's ID is not in use already.
const PICK_TRIES: usize = 8;

/// Why a query could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The machine's trouble, not the upstream's.
    NoSocket,
    /// No way to the upstream.
    Network,
}

/// What reading a socket brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many octets are in the buffer.
    Datagram(usize),
    /// Nothing waits.
    Empty,
    /// An ICMP error for an earlier query (RFC 1122 §4.1.3.3): nothing will come for those who wait here.
    Broken,
}

/// To whom a datagram goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Its ID is this one's.
    One(Handle),
    /// Its query was given up.
    Orphan,
    /// Nobody's: all who wait on the socket are under attack.
    All(Vec<Handle>),
}

/// The sockets connected to one upstream.
struct Pool {
    /// None: it is not asked in datagrams.
    server: Option<SocketAddr>,
    /// Those that queries leave from.
    window: Vec<Handle>,
    /// The place of the one that has been in the window longest.
    oldest: usize,
    /// Those that rest, the longest first, and until which step.
    resting: VecDeque<(Handle, u64)>,
    steps: u64,
    queries_to_step: u32,
    looked_at: f64,
    /// Sockets at rest that it can use while they are young.
    stock: usize,
}

impl Pool {
    fn new(server: Option<SocketAddr>) -> Pool {
        Pool {
            server,
            window: Vec::new(),
            oldest: 0,
            resting: VecDeque::new(),
            steps: 0,
            queries_to_step: QUERIES_PER_FRESH,
            looked_at: 0.0,
            stock: 0,
        }
    }

    /// `steps` more of them were taken, or would have been: how many sockets are of use while they are young?
    fn look(&mut self, steps: u64, now: f64) {
        let in_their_age = steps as f64 * SOCKET_AGE_S_MAX / (now - self.looked_at).max(1.0);
        self.stock = in_their_age.min(REST_STEPS_MIN as f64) as usize;
        self.looked_at = now;
    }
}

/// One worker's sockets to all upstreams.
pub struct UdpPools {
    epoll: Arc<Epoll>,
    counters: Arc<Counters>,
    slots: Slab<Slot>,
    pools: Vec<Pool>,
    base: usize,
    ports: Arc<SourcePorts>,
    waiting: usize,
}

impl UdpPools {
    /// No sockets yet; `base` (at least 1) for each upstream to pick from.
    pub fn new(epoll: Arc<Epoll>, counters: Arc<Counters>, base: usize, ports: Arc<SourcePorts>) -> UdpPools {
        let (slots, pools) = (Slab::new(), Vec::new());
        UdpPools { epoll, counters, slots, pools, base: base.max(1), ports, waiting: 0 }
    }

    /// Queries waited for.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Sockets open now, retired ones that still wait included.
    #[cfg(test)]
    pub fn open_sockets(&self) -> usize {
        self.slots.len()
    }

    /// How many upstreams have a number.
    pub fn servers(&self) -> usize {
        self.pools.len()
    }

    /// Learn of new upstreams; a number, once given, stands for the same server always.
    ///
    /// None stands for one that is not asked in datagrams: nothing is ever sent to it here.
    pub fn learn(&mut self, servers: &[Option<SocketAddr>]) {
        let new = servers.get(self.pools.len()..).unwrap_or_default();
        self.pools.extend(new.iter().map(|&server| Pool::new(server)));
    }

    /// Send from a random socket; the socket it left from, where `owner` waits for its ID from now on.
    pub fn send(
        &mut self,
        upstream: u16,
        octets: &[u8],
        owner: Handle,
        now: f64,
        entropy: &mut Entropy,
    ) -> Result<Handle, SendError> {
        let pool = usize::from(upstream);
        if pool >= self.pools.len() {
            return Err(SendError::Network);
        }
        let &[high, low, ..] = octets else { return Err(SendError::Network) };
        let id = u16::from_be_bytes([high, low]);
        let picked = if self.pools[pool].window.len() < self.base {
            self.grow(pool, id, now, entropy)?
        } else {
            self.pools[pool].queries_to_step -= 1;
            if self.pools[pool].queries_to_step == 0 {
                self.step(pool, now, entropy);
            }
            self.pick(pool, id, now, entropy)?
        };
        let slot = self.slots.get_mut(picked).ok_or(SendError::Network)?;
        // The first error may belong to an earlier query of this socket; a third one is ours.
        let mut tries_left = 3;
        while let Err(error) = slot.socket.send(octets) {
            if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN)) {
                // No room in the kernel: the same as lost on the way.
                add(&self.counters.send_drops, 1);
                break;
            }
            tries_left -= 1;
            if tries_left == 0 {
                return Err(SendError::Network);
            }
        }
        slot.waiting.push(Waiting::new(id, owner));
        self.waiting += 1;
        Ok(picked)
    }

    /// A new socket while the window is not full; without one, what there is.
    fn grow(&mut self, pool: usize, id: u16, now: f64, entropy: &mut Entropy) -> Result<Handle, SendError> {
        if !self.ports.has_room() && !self.pools[pool].window.is_empty() {
            return self.pick(pool, id, now, entropy);
        }
        match self.open(pool, now, entropy) {
            Ok(opened) => {
                let base = self.base;
                let pool = &mut self.pools[pool];
                if pool.window.is_empty() {
                    pool.looked_at = now;
                }
                pool.window.push(opened);
                if pool.window.len() == base {
                    pool.look(base as u64 / u64::from(QUERIES_PER_REST), now);
                }
                Ok(opened)
            }
            Err(unsent) if self.pools[pool].window.is_empty() => Err(unsent),
            Err(_) => self.pick(pool, id, now, entropy),
        }
    }

    /// Let the window move on by one socket.
    fn step(&mut self, pool: usize, now: f64, entropy: &mut Entropy) {
        self.pools[pool].steps += 1;
        if self.pools[pool].steps % STEPS_PER_LOOK == 0 {
            self.pools[pool].look(STEPS_PER_LOOK, now);
        }
        self.pools[pool].queries_to_step = QUERIES_PER_FRESH;
        let mut has_rested = false;
        let entering = match self.take_rested(pool, now) {
            Some(rested) => {
                has_rested = true;
                self.pools[pool].queries_to_step = QUERIES_PER_REST;
                rested
            }
            None => match self.open(pool, now, entropy) {
                Ok(fresh) => fresh,
                // No descriptor, most likely: better one that rested too little than none.
                Err(_) => match self.pools[pool].resting.pop_front() {
                    Some((tired, _)) => tired,
                    None => return,
                },
            },
        };
        let Pool { window, oldest, .. } = &mut self.pools[pool];
        let leaving = std::mem::replace(&mut window[*oldest], entering);
        *oldest = (*oldest + 1) % window.len();
        let is_old = self.slots.get(leaving).map_or(true, |slot| slot.is_old(now));
        let has_place = self.pools[pool].resting.len() < REST_STEPS_MIN as usize;
        if is_old || !(has_rested || has_place && self.ports.has_spare()) {
            self.retire(leaving);
        } else {
            let Pool { steps, resting, .. } = &mut self.pools[pool];
            // Where fewer rest, more are fresh, and chance gives some of those a port used not long ago.
            let short = REST_STEPS_MIN.saturating_sub(resting.len() as u64);
            resting.push_back((leaving, *steps + REST_STEPS_MIN + short / REST_MORE_PART));
        }
    }

    /// One that has rested long enough; those that are too old are closed on the way.
    fn take_rested(&mut self, pool: usize, now: f64) -> Option<Handle> {
        for _ in 0..CLOSED_PER_STEP_MAX {
            let Pool { resting, steps, .. } = &mut self.pools[pool];
            let &(longest, until) = resting.front()?;
            let is_old = self.slots.get(longest).map_or(true, |slot| slot.is_old(now));
            if !is_old && until > *steps {
                return None;
            }
            resting.pop_front();
            if !is_old {
                return Some(longest);
            }
            self.retire(longest);
        }
        None
    }

    /// Whether a pool has fewer sockets at rest than it can use.
    pub fn wants_stock(&self) -> bool {
        self.pools.iter().any(|pool| pool.resting.len() < pool.stock) && self.ports.has_spare()
    }

    /// Open sockets that it can use, at most `count`.
    pub fn stock_up(&mut self, count: usize, now: f64, entropy: &mut Entropy) {
        for pool in 0..self.pools.len() {
            for _ in 0..count {
                let Pool { resting, stock, .. } = &self.pools[pool];
                if resting.len() >= *stock || !self.ports.has_spare() {
                    break;
                }
                match self.open(pool, now, entropy) {
                    Ok(fresh) => self.pools[pool].resting.push_front((fresh, 0)),
                    // Not again before it looks again.
                    Err(_) => self.pools[pool].stock = 0,
                }
            }
        }
    }

    /// Close sockets that rest, at most `count` for each upstream: another thread has less than its base.
    /// Whether any are left.
    pub fn shed(&mut self, count: usize) -> bool {
        for pool in 0..self.pools.len() {
            self.pools[pool].stock = 0;
            for _ in 0..count {
                let Some((longest, _)) = self.pools[pool].resting.pop_front() else { break };
                self.retire(longest);
            }
        }
        self.pools.iter().any(|pool| !pool.resting.is_empty())
    }

    /// A socket of the window, renewed if it is old, on which `id` is not waited for.
    fn pick(&mut self, pool: usize, id: u16, now: f64, entropy: &mut Entropy) -> Result<Handle, SendError> {
        for _ in 0..PICK_TRIES {
            let index = entropy.below(self.pools[pool].window.len() as u32) as usize;
            let mut picked = self.pools[pool].window[index];
            if self.slots.get(picked).map_or(true, |slot| slot.is_old(now)) {
                if let Ok(fresh) = self.open(pool, now, entropy) {
                    self.pools[pool].window[index] = fresh;
                    self.retire(picked);
                    picked = fresh;
                }
            }
            if let Some(slot) = self.slots.get_mut(picked) {
                if slot.place_of(id).is_none() {
                    slot.take_orphan(id);
                    return Ok(picked);
                }
            }
        }
        // Only tiny pools come here: the ID is taken wherever chance looked.
        let is_free =
            |handle: &Handle| self.slots.get(*handle).is_some_and(|slot| slot.place_of(id).is_none());
        if let Some(&free) = self.pools[pool].window.iter().find(|handle| is_free(handle)) {
            return Ok(free);
        }
        let extra = self.open(pool, now, entropy)?;
        self.pools[pool].window.push(extra);
        Ok(extra)
    }

    /// A new socket on a random port.
    fn open(&mut self, pool: usize, now: f64, entropy: &mut Entropy) -> Result<Handle, SendError> {
        let Some(server) = self.pools[pool].server else { return Err(SendError::Network) };
        let opened = connect(server, &self.ports, entropy).and_then(|socket| {
            let fd = socket.as_raw_fd();
            let handle = self.slots.put(Slot::new(socket, now + SOCKET_AGE_S_MAX));
            match self.epoll.add_edge(fd, handle.to_bits()) {
                Ok(()) => Ok(handle),
                Err(error) => {
                    self.slots.take(handle);
                    Err(error)
                }
            }
        });
        match opened {
            Ok(handle) => {
                add(&self.counters.opened, 1);
                self.ports.count_opened();
                Ok(handle)
            }
            Err(error) => {
                add(&self.counters.open_failures, 1);
                match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                        Err(SendError::NoSocket)
                    }
                    _ => Err(SendError::Network),
                }
            }
        }
    }

    /// Take no more queries; close when the last one has gone.
    fn retire(&mut self, handle: Handle) {
        if let Some(slot) = self.slots.get_mut(handle) {
            slot.retire();
        }
        self.close_if_over(handle);
    }

    /// Close a retired socket on which nobody waits.
    pub fn close_if_over(&mut self, handle: Handle) {
        if self.slots.get(handle).is_some_and(|slot| slot.is_over()) {
            self.slots.take(handle);
            self.ports.count_closed(1);
        }
    }

    /// Read one datagram.
    pub fn read(&mut self, handle: Handle, buffer: &mut [u8; RECEIVE_OCTETS]) -> Read {
        let Some(slot) = self.slots.get(handle) else { return Read::Empty };
        match slot.socket.recv(buffer) {
            Ok(length) => Read::Datagram(length),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Read::Empty
            }
            Err(_) => Read::Broken,
        }
    }

    /// To whom a datagram that was read goes; counted if it is nobody's.
    pub fn recipient(&mut self, handle: Handle, octets: &[u8]) -> Recipient {
        let Some(slot) = self.slots.get_mut(handle) else { return Recipient::Orphan };
        if let &[high, low, ..] = octets {
            let id = u16::from_be_bytes([high, low]);
            if let Some(place) = slot.place_of(id) {
                return Recipient::One(slot.waiting[place].owner());
            }
            if slot.take_orphan(id) {
                add(&self.counters.late, 1);
                return Recipient::Orphan;
            }
        }
        add(&self.counters.unexpected, 1);
        Recipient::All(slot.owners())
    }

    /// Whether anybody waits on this socket.
    pub fn is_waited_on(&self, handle: Handle) -> bool {
        self.slots.get(handle).is_some_and(|slot| !slot.waiting.is_empty())
    }

    /// `owner` waits for `id` no more.
    pub fn forget(&mut self, handle: Handle, id: u16, owner: Handle, is_heard: bool) {
        let Some(slot) = self.slots.get_mut(handle) else { return };
        let it = Waiting::new(id, owner);
        let Some(place) = slot.waiting.iter().position(|&waiting| waiting == it) else { return };
        slot.waiting.swap_remove(place);
        self.waiting -= 1;
        if !is_heard {
            // Its late reply must not look like an attack on the socket's next query.
            slot.put_orphan(id);
        }
        self.close_if_over(handle);
    }

    /// Nothing will come on this socket: all who waited there.
    pub fn break_all(&mut self, handle: Handle) -> Vec<Handle> {
        let Some(slot) = self.slots.get_mut(handle) else { return Vec::new() };
        let owners = slot.owners();
        slot.waiting.clear();
        self.waiting -= owners.len();
        self.close_if_over(handle);
        owners
    }
}

impl Drop for UdpPools {
    fn drop(&mut self) {
        self.ports.count_closed(self.slots.len());
    }
}
