//! Those that wait for connections to be open go to the one that is first.
//!
//! Knows: the connections to one upstream.  Does not know: how they are opened, who waits.

use super::connection::Phase;
use super::pools::{StreamPools, QUERIES_BEFORE_NEW_CONNECTION};
use crate::slab::Handle;

impl StreamPools {
    /// A connection is open: those that wait for others to be need wait no longer.
    pub(super) fn gather(&mut self, handle: Handle, now: f64) {
        let Some(upstream) = self.connections.get(handle).map(|open| open.upstream) else { return };
        for other in self.connections_to(upstream) {
            let Some(open) = self.connections.get(handle) else { return };
            let room = open.pipeline.room(QUERIES_BEFORE_NEW_CONNECTION);
            let opening = self.connections.get(other).filter(|other| other.phase != Phase::Open);
            let Some(opening) = opening else { continue };
            let takes = |&id: &u16| open.takes(id, now);
            for id in opening.pipeline.live_ids().filter(takes).take(room).collect::<Vec<_>>() {
                let query = self.connections.get_mut(other).and_then(|other| other.pipeline.take_unsent(id));
                let (Some(query), Some(open)) = (query, self.connections.get_mut(handle)) else { continue };
                self.moved.push((query.owner, handle));
                open.put(query, now);
                if !open.is_unflushed {
                    open.is_unflushed = true;
                    self.unflushed.push(handle);
                }
            }
        }
    }

    /// Those who wait on another connection since the last call: who, and where.
    pub fn take_moved(&mut self) -> Vec<(Handle, Handle)> {
        std::mem::take(&mut self.moved)
    }
}
