//! Datagrams of many sockets, read one after the other to be judged then.
//!
//! Knows: where each came.  Does not know: for whom it is.

use arrayvec::ArrayVec;

use crate::slab::Handle;
use crate::udp_pool::RECEIVE_OCTETS;

/// Datagrams judged together: enough that their waits for memory overlap, few enough for the nearest cache.
pub(super) const HEARD_MAX: usize = 32;

/// Datagrams that were read and are to be judged; without rows while they are.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) rows: Box<[Box<[u8; RECEIVE_OCTETS]>]>,
    /// On which socket each row's came, and how many octets it has.
    pub(super) from: ArrayVec<(Handle, usize), HEARD_MAX>,
}

impl Heard {
    /// None yet.
    pub(super) fn new() -> Heard {
        Heard { rows: (0..HEARD_MAX).map(|_| Box::new([0; RECEIVE_OCTETS])).collect(), from: ArrayVec::new() }
    }

    /// Where each came, and its octets.
    pub(super) fn each(&self) -> impl Iterator<Item = (Handle, &[u8])> {
        let rows = self.rows.iter().zip(&self.from);
        rows.map(|(row, &(socket, length))| (socket, row.get(..length).unwrap_or_default()))
    }
}
