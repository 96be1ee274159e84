//! Threads with a datagram socket: they answer its clients, and ask upstreams for all.
//!
//! Knows: `thread` is one thread, `asking` what it does for clients on streams.  Does not know: streams.

mod asking;
#[cfg(test)]
mod asking_tests;
mod thread;

pub use thread::run;
