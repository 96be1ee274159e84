//! Connections to upstreams over TCP and TLS: shared, pipelined, kept for a while, bounded.
//!
//! Knows: connections, IDs in use on each, which one a query goes to.  Does not know: what a message says beyond ID and
//! question; who asks, why.
//! Theory (RFC 7766): many queries share a connection and are answered in any order, matched by ID.  All of a thread's
//! connections sit in its own epoll set, handshakes included; what is to be sent in a turn leaves in one write for each
//! connection.  `pipeline` and `pools` decide as `forwarding/pipeline.py` and `forwarding/stream.py` do, `connection`
//! and `socket` have the descriptors, `framing` what leaves, `inbox` what comes.

mod connection;
mod framing;
mod gathering;
mod inbox;
mod pipeline;
mod pools;
mod socket;
#[cfg(test)]
mod tests;
mod words;

pub use inbox::Inbox;
pub use pools::{connection_of, StreamPools};
pub use words::{Failure, StreamQuery, StreamRead};
