//! One socket of a pool, and who waits on it.
//!
//! Knows: IDs, owners, IDs given up.  Does not know: which socket is picked, what comes.

use std::net::UdpSocket;

use arrayvec::ArrayVec;
use smallvec::SmallVec;

use crate::slab::Handle;

/// IDs remembered per socket whose reply may still come late.
const ORPHANS_PER_SOCKET_MAX: usize = 16;

/// An ID waited for, and by whom: a handle has 48 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting(u64);

impl Waiting {
    pub(super) fn new(id: u16, owner: Handle) -> Waiting {
        Waiting(owner.to_bits() << 16 | u64::from(id))
    }

    fn id(self) -> u16 {
        self.0 as u16
    }

    pub(super) fn owner(self) -> Handle {
        Handle::from_bits(self.0 >> 16)
    }
}

/// IDs given up before their reply came, oldest first.
type Orphans = ArrayVec<u16, ORPHANS_PER_SOCKET_MAX>;

/// One connected socket and the queries waiting on it, in as many octets as the CPU fetches at once: there are
/// thousands, and each is looked at seldom.
pub(super) struct Slot {
    pub(super) socket: UdpSocket,
    /// Whole seconds; 0: no longer picked, and closed when nobody waits here.
    retire_at_s: u32,
    pub(super) waiting: SmallVec<[Waiting; 4]>,
    orphans: Option<Box<Orphans>>,
}

const _: () = assert!(std::mem::size_of::<Option<Slot>>() <= 56);

impl Slot {
    /// Nobody waits on it yet.
    pub(super) fn new(socket: UdpSocket, retire_at: f64) -> Slot {
        Slot { socket, retire_at_s: retire_at as u32, waiting: SmallVec::new(), orphans: None }
    }

    /// Take no more queries.
    pub(super) fn retire(&mut self) {
        self.retire_at_s = 0;
    }

    /// Whether it takes no more queries, and nobody waits.
    pub(super) fn is_over(&self) -> bool {
        self.retire_at_s == 0 && self.waiting.is_empty()
    }

    /// Whether it has had its time.
    pub(super) fn is_old(&self, now: f64) -> bool {
        now as u32 >= self.retire_at_s
    }

    /// Where among those who wait this ID is.
    pub(super) fn place_of(&self, id: u16) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.id() == id)
    }

    /// All who wait.
    pub(super) fn owners(&self) -> Vec<Handle> {
        self.waiting.iter().map(|waiting| waiting.owner()).collect()
    }

    /// Whether the reply to a query that was given up may bear this ID; not twice.
    pub(super) fn take_orphan(&mut self, id: u16) -> bool {
        let Some(orphans) = &mut self.orphans else { return false };
        let place = orphans.iter().position(|&orphan| orphan == id);
        place.map(|place| orphans.remove(place)).is_some()
    }

    /// Nobody waits for this ID any more, but its reply may come.
    pub(super) fn put_orphan(&mut self, id: u16) {
        let orphans = self.orphans.get_or_insert_with(Box::default);
        if orphans.is_full() {
            orphans.remove(0);
        }
        orphans.push(id);
    }
}
