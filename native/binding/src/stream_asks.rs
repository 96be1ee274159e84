//! Questions of clients on streams, on their way to a thread that has the sockets towards upstreams.
//!
//! Knows: how many may wait, and how many octets of queries.  Does not know: who asks them, what becomes of them.

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
pub struct StreamAsks(Mutex<Waiting>);

/// Behind one lock, or somebody could put something down behind the last look of a thread that ends.
#[derive(Default)]
struct Waiting {
    asks: Vec<StreamAsk>,
    octets: usize,
    /// Whether the thread is there to take them.
    is_open: bool,
}

/// What came of putting questions down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was room for some, or all.
    Some,
    /// There was none.
    Full,
    /// Nobody is there to take them.
    Closed,
}

impl StreamAsks {
    /// The thread is there from now on.
    pub fn open(&self) {
        self.0.lock().is_open = true;
    }

    /// It is not any more; all that wait.
    pub fn close(&self) -> Vec<StreamAsk> {
        let waiting = &mut *self.0.lock();
        waiting.is_open = false;
        waiting.take()
    }

    /// Put those down for which there is room; the others stay in `asks`.
    pub fn put(&self, asks: &mut Vec<StreamAsk>) -> Put {
        let waiting = &mut *self.0.lock();
        if !waiting.is_open {
            return Put::Closed;
        }
        let mut count = 0;
        for ask in asks.iter() {
            if waiting.asks.len() + count >= ASKS_WAITING_MAX || waiting.octets >= ASK_OCTETS_MAX {
                break;
            }
            waiting.octets += ask.octets.len();
            count += 1;
        }
        waiting.asks.extend(asks.drain(..count));
        if count > 0 {
            Put::Some
        } else {
            Put::Full
        }
    }

    /// All that wait.
    pub fn take(&self) -> Vec<StreamAsk> {
        self.0.lock().take()
    }
}

impl Waiting {
    fn take(&mut self) -> Vec<StreamAsk> {
        self.octets = 0;
        std::mem::take(&mut self.asks)
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
        assert_eq!(asks.put(&mut waiting), Put::Closed);
        asks.open();
        assert_eq!((asks.put(&mut waiting), waiting.len()), (Put::Some, 0));
        assert_eq!(asks.take().len(), 1);
        assert!(asks.take().is_empty());
        waiting.push(ask(40));
        asks.put(&mut waiting);
        assert_eq!(asks.close().len(), 1, "nothing is left behind");
        waiting.push(ask(40));
        assert_eq!((asks.put(&mut waiting), waiting.len()), (Put::Closed, 1));
    }

    #[test]
    fn what_has_no_room_stays_with_who_brought_it() {
        let asks = StreamAsks::default();
        asks.open();
        let mut waiting: Vec<_> = (0..ASKS_WAITING_MAX + 3).map(|_| ask(40)).collect();
        assert_eq!((asks.put(&mut waiting), waiting.len()), (Put::Some, 3));
        assert_eq!(asks.put(&mut waiting), Put::Full);
        assert_eq!(asks.take().len(), ASKS_WAITING_MAX);
        let mut long: Vec<_> = (0..ASK_OCTETS_MAX / 65_535 + 2).map(|_| ask(65_535)).collect();
        assert_eq!(
            (asks.put(&mut long), long.len()),
            (Put::Some, 1),
            "the last one that is let in may exceed the bound"
        );
    }
}
