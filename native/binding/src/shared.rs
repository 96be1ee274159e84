//! What all threads of a plane share.
//!
//! Knows: what there is.  Does not know: how a query is answered, Python's types.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::https_counts::HttpsCounts;
use crate::mailbox::Mailbox;
use crate::ring::{Ring, WorkerEvent};
use crate::shared_flow::SharedFlow;
use crate::stream_state::Streams;
use crate::sys::ListenSocket;
use crate::tls::TlsServer;
use crate::tls_counts::TlsCounts;
use crate::udp_socket::SourcePorts;

/// What all threads of a plane share.
pub struct Shared {
    /// The flow.
    pub shared_flow: Arc<SharedFlow>,
    /// The way to Python.
    pub ring: Ring,
    /// Each thread's listening socket: any thread may answer through it.
    pub sockets: Vec<ListenSocket>,
    /// One mailbox for each thread.
    pub mailboxes: Vec<Mailbox>,
    /// For each thread the worker it belongs to, as Python counts them.
    pub workers: Vec<u16>,
    /// For each worker how many of its threads are down.
    pub down: Mutex<Vec<u16>>,
    /// Sockets each thread picks from, for each upstream.
    pub sockets_per_upstream: usize,
    /// What all threads may have of ports and sockets towards upstreams.
    pub source_ports: Arc<SourcePorts>,
    /// Octets of each thread's memo of whole answers, at most.
    pub memo_octets: usize,
    /// The threads with streams, and what these share.
    pub streams: Streams,
    /// Certificates and tickets.
    pub tls: TlsServer,
    /// What handshakes came to.
    pub tls_counts: TlsCounts,
    /// What requests and connections of HTTPS were refused for.
    pub https_counts: HttpsCounts,
}

impl Shared {
    /// Report to Python that a thread went down or came up: a worker is down while any of its threads is.
    pub fn report_down(&self, thread: u16, is_down: bool) {
        let worker = self.workers[usize::from(thread)];
        let mut down = self.down.lock();
        let count = &mut down[usize::from(worker)];
        if is_down {
            *count += 1;
            if *count == 1 {
                self.ring.notify(WorkerEvent::Down(worker));
            }
        } else {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.ring.notify(WorkerEvent::Up(worker));
            }
        }
    }
}
