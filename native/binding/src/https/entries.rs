//! Where a thread finds its connections, and how one gets its place.
//!
//! Knows: entries, limits on connections.  Does not know: what is said on a connection, when one is accepted (`thread`).

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use resolver_core::flow::{Holder, Taken, Transport};

use super::connection::Connection;
use super::state::Thread;
use crate::slab::{Handle, Slab};

/// Those of one thread; None: it has no place yet, or is about to get another.
pub type Connections = RefCell<Slab<Option<Rc<Connection>>>>;

/// A connection's entry, until its task is over, however that ends.
pub struct Entry {
    thread: Rc<Thread>,
    connections: Rc<Connections>,
    handle: Handle,
}

impl Entry {
    /// Another one, for a connection that has no place yet.
    pub fn new(thread: Rc<Thread>, connections: Rc<Connections>) -> Entry {
        let handle = connections.borrow_mut().put(None);
        Entry { thread, connections, handle }
    }

    /// A connection of this client's, with a place of its own; None: it is refused, and counted.
    pub fn connect(&self, address: IpAddr) -> Option<Rc<Connection>> {
        let (thread, bits) = (&self.thread, self.handle.to_bits());
        let holder =
            Holder { thread: thread.number, connection: bits as u32, generation: (bits >> 32) as u32 };
        match thread.limits().take(address, Transport::Https, holder, false, thread.desk.now()) {
            Ok(Taken { place, yielding }) => {
                thread.let_go(yielding);
                let connection = Rc::new(Connection::new(Rc::clone(thread), address, place));
                self.set(Some(Rc::clone(&connection)));
                Some(connection)
            }
            Err(limit) => {
                thread.shared.streams.count_limit(limit);
                None
            }
        }
    }

    /// That connection is nobody's any more; its place is free when nobody else has hold of it.
    pub fn disconnect(&self) {
        self.set(None);
    }

    fn set(&self, connection: Option<Rc<Connection>>) {
        if let Some(entry) = self.connections.borrow_mut().get_mut(self.handle) {
            *entry = connection;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.borrow_mut().take(self.handle);
    }
}
