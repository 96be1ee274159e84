//! Running totals of what is rare: drops, panics, sockets.
//!
//! Knows: their names.  Does not know: who counts, who reads.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One worker's totals; read by any thread at any time.
        #[derive(Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: AtomicU64,)*
        }

        impl Counters {
            /// Each total by its name.
            pub fn named(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    /// Queries and handed-over clients lost because Python did not keep up.
    ring_full,
    /// Datagrams for handed-over attempts lost for the same reason.
    late_full,
    /// Answers that would have left too late, behind many others of their client.
    pulse,
    /// Answers that the kernel did not take.
    send_failed,
    /// Receive calls that failed for want of buffers.
    receive_nobufs,
    /// The same for want of memory.
    receive_nomem,
    /// Receive calls that told of an ICMP error for an earlier answer.
    receive_refused,
    /// Receive calls that failed otherwise.
    receive_error,
    /// Datagrams refused for the head that a proxy must send, or that nobody else may.
    proxy_head,
    /// Queries given to Python.
    punts,
    /// Attempts given to Python.
    handovers,
    /// Panics caught; each cost one query.
    panics,
    /// Times a worker began anew.
    restarts,
    /// Upstream sockets opened.
    opened,
    /// Upstream sockets that could not be opened.
    open_failures,
    /// Replies to queries no longer waited for.
    late,
    /// Datagrams that match no query of their socket: forgeries, or a broken upstream.
    unexpected,
    /// Queries the kernel had no room for; they count as lost on the way.
    send_drops,
    /// Connections to upstreams begun.
    streams_opened,
    /// Queries that found an open connection.
    streams_reused,
    /// Those that failed, fell silent or were closed while queries waited.
    streams_broken,
    /// Queries sent once more on another connection.
    streams_retried,
    /// Queries that were not sent, for connections came to nothing just now.
    streams_held_back,
    /// Messages over streams that match no query of their connection.
    streams_unexpected,
    /// Those to queries no longer waited for.
    streams_late,
    /// Handed-over attempts that Python forgot to release.
    tickets_expired,
}

/// Add `count` to a total.
pub fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
