//! Questions of clients on streams, on their way to a thread that has the sockets towards upstreams.
//!
//! Knows: how many may wait, and how many octets of queries.  Does not know: who asks them, what becomes of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;
use resolver_core::flow::{Peer, StreamRoute};

/// Questions that may wait for one thread.
const ASKS_WAITING_MAX: usize = 4096;
/// Octets of their queries.
const ASK_OCTETS_MAX: usize = 4 << 20;

/// A question of a client on a stream, on its way to a thread that has the sockets towards upstreams.
pub struct StreamAsk {
    /// The query, whole.
    pub octets: Box<[u8]>,
    /// Who asks.
    pub peer: Peer,
    /// The way back.
    pub route: StreamRoute,
}

/// Those that wait for one thread with a datagram socket.
#[derive(Default)]
pub struct StreamAsks {
    waiting: Mutex<Vec<StreamAsk>>,
    octets: AtomicUsize,
    /// Whether the thread is there to take them.
    is_open: AtomicBool,
}

impl StreamAsks {
    /// The thread is there from now on, or not.
    pub fn set_open(&self, is_open: bool) {
        self.is_open.store(is_open, Ordering::Release);
    }

    /// Put those down for which there is room; the others stay in `asks`.  Whether there was room for any.
    pub fn put(&self, asks: &mut Vec<StreamAsk>) -> bool {
        if !self.is_open() {
            return false;
        }
        let mut waiting = self.waiting.lock();
        let mut octets = self.octets.load(Ordering::Relaxed);
        let mut count = 0;
        for ask in asks.iter() {
            if waiting.len() + count >= ASKS_WAITING_MAX || octets >= ASK_OCTETS_MAX {
                break;
            }
            octets += ask.octets.len();
            count += 1;
        }
        waiting.extend(asks.drain(..count));
        self.octets.store(octets, Ordering::Relaxed);
        count > 0
    }

    /// Whether the thread is there to take them.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// All that wait.
    pub fn take(&self) -> Vec<StreamAsk> {
        let mut waiting = self.waiting.lock();
        self.octets.store(0, Ordering::Relaxed);
        std::mem::take(&mut *waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resolver_core::flow::{Standing, Transport};
    use std::net::{IpAddr, Ipv4Addr};

    fn ask(octets: usize) -> StreamAsk {
        let standing = Standing { group: 0, is_allowed: true };
        let (address, transport) = (IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Tcp);
        let peer = Peer { address, transport, standing, name: None };
        StreamAsk { octets: vec![0; octets].into(), peer, route: StreamRoute::numbered(1) }
    }

    #[test]
    fn nobody_puts_down_what_nobody_takes() {
        let asks = StreamAsks::default();
        let mut waiting = vec![ask(40)];
        assert!(!asks.put(&mut waiting));
        asks.set_open(true);
        assert!(asks.put(&mut waiting) && waiting.is_empty());
        assert_eq!(asks.take().len(), 1);
        assert!(asks.take().is_empty());
    }

    #[test]
    fn what_has_no_room_stays_with_who_brought_it() {
        let asks = StreamAsks::default();
        asks.set_open(true);
        let mut waiting: Vec<_> = (0..ASKS_WAITING_MAX + 3).map(|_| ask(40)).collect();
        assert!(asks.put(&mut waiting));
        assert_eq!(waiting.len(), 3);
        assert!(!asks.put(&mut waiting));
        assert_eq!(asks.take().len(), ASKS_WAITING_MAX);
        let mut long: Vec<_> = (0..ASK_OCTETS_MAX / 65_535 + 2).map(|_| ask(65_535)).collect();
        assert!(asks.put(&mut long));
        assert_eq!(long.len(), 1, "the last one that is let in may exceed the bound");
    }
}
