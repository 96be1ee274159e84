//! Many connected UDP sockets per upstream, so that no forger knows which port to aim at.
//!
//! Knows: sockets, ports, IDs in use on each socket.  Does not know: what the octets say beyond the ID;
//! whether a reply is good (whoever owns the ID judges that).
//! Theory: each query leaves from a socket picked at random among `size_max`, on random ports (RFC 5452 §9.2);
//! connected, so the kernel drops whatever comes from elsewhere.  Sockets are opened one per query until the
//! pool is full, and replaced after `SOCKET_USES_MAX` queries or `SOCKET_AGE_S_MAX`.  All of a worker's sockets
//! sit in its own epoll set for as long as they live: a query costs one `send` and one `recv`.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use resolver_core::entropy::Entropy;

use crate::counters::{add, Counters};
use crate::epoll::Epoll;
use crate::slab::{Handle, Slab};

/// Queries sent from one socket before it is replaced.
pub const SOCKET_USES_MAX: u32 = 512;
/// Seconds a socket is used.
pub const SOCKET_AGE_S_MAX: f64 = 300.0;
/// We advertise 1232; an upstream that ignores it still gets through.
pub const RECEIVE_OCTETS: usize = 4096;
/// IDs remembered per socket whose reply may still come late.
const ORPHANS_PER_SOCKET_MAX: usize = 16;
/// Random ports tried before the kernel chooses.
const BIND_TRIES: usize = 4;
/// Sockets tried for one on which the query's ID is not in use already.
const PICK_TRIES: usize = 8;
/// Datagrams thrown away that somebody sent between bind and connect.
const EMPTY_TRIES: usize = 64;

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

/// One connected socket and the queries waiting on it.
struct Slot {
    socket: UdpSocket,
    retire_at: f64,
    uses: u32,
    /// No longer picked; closed when nobody waits here.
    is_retired: bool,
    /// IDs waited for and by whom; two lists, so that looking for an ID reads little.
    ids: Vec<u16>,
    owners: Vec<Handle>,
    /// IDs given up before their reply came, oldest first.
    orphans: Vec<u16>,
}

impl Slot {
    fn place_of(&self, id: u16) -> Option<usize> {
        self.ids.iter().position(|&waiting| waiting == id)
    }

    fn forget(&mut self, place: usize) {
        self.ids.swap_remove(place);
        self.owners.swap_remove(place);
    }
}

/// The sockets connected to one upstream.
struct Pool {
    server: SocketAddr,
    line: Vec<Handle>,
}

/// One worker's sockets to all upstreams.
pub struct UdpPools {
    epoll: Arc<Epoll>,
    counters: Arc<Counters>,
    slots: Slab<Slot>,
    pools: Vec<Pool>,
    size_max: usize,
    waiting: usize,
}

impl UdpPools {
    /// No sockets yet; up to `size_max` (at least 1) for each upstream.
    pub fn new(epoll: Arc<Epoll>, counters: Arc<Counters>, size_max: usize) -> UdpPools {
        UdpPools {
            epoll,
            counters,
            slots: Slab::new(),
            pools: Vec::new(),
            size_max: size_max.max(1),
            waiting: 0,
        }
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
    pub fn learn(&mut self, servers: &[SocketAddr]) {
        let new = servers.get(self.pools.len()..).unwrap_or_default();
        self.pools.extend(new.iter().map(|&server| Pool { server, line: Vec::new() }));
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
        let picked = if self.pools[pool].line.len() < self.size_max {
            self.grow(pool, id, now, entropy)?
        } else {
            let index = entropy.below(self.pools[pool].line.len() as u32) as usize;
            self.pick(pool, id, index, now, entropy)?
        };
        let slot = self.slots.get_mut(picked).ok_or(SendError::Network)?;
        slot.uses += 1;
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
        slot.ids.push(id);
        slot.owners.push(owner);
        self.waiting += 1;
        Ok(picked)
    }

    /// A new socket while the pool is not full; without one, what there is.
    fn grow(&mut self, pool: usize, id: u16, now: f64, entropy: &mut Entropy) -> Result<Handle, SendError> {
        match self.open(pool, now, entropy) {
            Ok(opened) => {
                self.pools[pool].line.push(opened);
                Ok(opened)
            }
            Err(unsent) => match self.pools[pool].line.len() {
                0 => Err(unsent),
                length => {
                    let index = entropy.below(length as u32) as usize;
                    self.pick(pool, id, index, now, entropy)
                }
            },
        }
    }

    /// The socket at `index`, renewed if worn out, or another one if `id` waits there already.
    fn pick(
        &mut self,
        pool: usize,
        id: u16,
        mut index: usize,
        now: f64,
        entropy: &mut Entropy,
    ) -> Result<Handle, SendError> {
        for _ in 0..PICK_TRIES {
            let mut picked = self.pools[pool].line[index];
            let is_worn = |slot: &Slot| slot.uses >= SOCKET_USES_MAX || now >= slot.retire_at;
            if self.slots.get(picked).map_or(true, is_worn) {
                if let Ok(fresh) = self.open(pool, now, entropy) {
                    self.pools[pool].line[index] = fresh;
                    self.retire(picked);
                    picked = fresh;
                }
            }
            if let Some(slot) = self.slots.get_mut(picked) {
                if slot.place_of(id).is_none() {
                    slot.orphans.retain(|&orphan| orphan != id);
                    return Ok(picked);
                }
            }
            index = entropy.below(self.pools[pool].line.len() as u32) as usize;
        }
        // Only tiny pools come here: the ID is taken wherever chance looked.
        let is_free =
            |handle: &Handle| self.slots.get(*handle).is_some_and(|slot| slot.place_of(id).is_none());
        if let Some(&free) = self.pools[pool].line.iter().find(|handle| is_free(handle)) {
            return Ok(free);
        }
        let extra = self.open(pool, now, entropy)?;
        self.pools[pool].line.push(extra);
        Ok(extra)
    }

    /// A new socket on a random port.
    fn open(&mut self, pool: usize, now: f64, entropy: &mut Entropy) -> Result<Handle, SendError> {
        let opened = connect(self.pools[pool].server, entropy).and_then(|socket| {
            let fd = socket.as_raw_fd();
            let handle = self.slots.put(Slot {
                socket,
                retire_at: now + SOCKET_AGE_S_MAX,
                uses: 0,
                is_retired: false,
                ids: Vec::new(),
                owners: Vec::new(),
                orphans: Vec::new(),
            });
            match self.epoll.add(fd, handle.to_bits()) {
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
            slot.is_retired = true;
        }
        self.close_if_over(handle);
    }

    /// Close a retired socket on which nobody waits.
    pub fn close_if_over(&mut self, handle: Handle) {
        if self.slots.get(handle).is_some_and(|slot| slot.is_retired && slot.ids.is_empty()) {
            self.slots.take(handle);
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
                return Recipient::One(slot.owners[place]);
            }
            if let Some(place) = slot.orphans.iter().position(|&orphan| orphan == id) {
                slot.orphans.remove(place);
                add(&self.counters.late, 1);
                return Recipient::Orphan;
            }
        }
        add(&self.counters.unexpected, 1);
        Recipient::All(slot.owners.clone())
    }

    /// Whether anybody waits on this socket.
    pub fn is_waited_on(&self, handle: Handle) -> bool {
        self.slots.get(handle).is_some_and(|slot| !slot.ids.is_empty())
    }

    /// `owner` waits for `id` no more.
    pub fn forget(&mut self, handle: Handle, id: u16, owner: Handle, is_heard: bool) {
        let Some(slot) = self.slots.get_mut(handle) else { return };
        let Some(place) = slot.place_of(id).filter(|&place| slot.owners[place] == owner) else { return };
        slot.forget(place);
        self.waiting -= 1;
        if !is_heard {
            // Its late reply must not look like an attack on the socket's next query.
            slot.orphans.push(id);
            if slot.orphans.len() > ORPHANS_PER_SOCKET_MAX {
                slot.orphans.remove(0);
            }
        }
        self.close_if_over(handle);
    }

    /// Nothing will come on this socket: all who waited there.
    pub fn break_all(&mut self, handle: Handle) -> Vec<Handle> {
        let Some(slot) = self.slots.get_mut(handle) else { return Vec::new() };
        slot.ids.clear();
        let owners = std::mem::take(&mut slot.owners);
        self.waiting -= owners.len();
        self.close_if_over(handle);
        owners
    }
}

/// A socket on a random port that receives from `server` alone.
fn connect(server: SocketAddr, entropy: &mut Entropy) -> io::Result<UdpSocket> {
    let anywhere: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut bound = None;
    for _ in 0..BIND_TRIES {
        match UdpSocket::bind((anywhere, entropy.port())) {
            Ok(socket) => {
                bound = Some(socket);
                break;
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EACCES)) => {}
            Err(error) => return Err(error),
        }
    }
    let socket = bound.map_or_else(|| UdpSocket::bind((anywhere, 0)), Ok)?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    // Throw away what anybody could send between bind and connect.
    for _ in 0..EMPTY_TRIES {
        if socket.recv(&mut [0; 1]).is_err() {
            break;
        }
    }
    Ok(socket)
}

#[cfg(test)]
mod tests;
