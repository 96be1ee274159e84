//! What one reading of a connection brings: octets, and which messages in them are for whom.
//!
//! Knows: room for octets.  Does not know: connections, what a message says.

use std::ops::Range;

use crate::slab::Handle;

/// Octets read at once.
const INBOX_OCTETS: usize = 65_536;

/// Used again for every reading of a thread.
pub struct Inbox {
    /// As they come from the socket.
    pub(super) raw: Box<[u8]>,
    /// As they were sent: without TLS around them.
    pub(super) plain: Vec<u8>,
    pub(super) found: Vec<(Handle, Range<usize>)>,
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox { raw: vec![0; INBOX_OCTETS].into(), plain: Vec::new(), found: Vec::new() }
    }
}

impl Inbox {
    /// Each message, in the order they came, and who waits for it.
    pub fn messages(&self) -> impl Iterator<Item = (Handle, &[u8])> {
        self.found.iter().map(|(owner, place)| (*owner, self.plain.get(place.clone()).unwrap_or_default()))
    }

    pub(super) fn clear(&mut self) {
        self.plain.clear();
        self.found.clear();
    }
}
