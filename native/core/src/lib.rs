//! The data plane's decisions, as pure functions over octets and a given time.
//!
//! Knows: the wire format, the policy image, the cache, the order of the gates.  Does not know: sockets,
//! clocks, threads, Python.  The Python package is its specification: where this crate is unsure it says so
//! and Python answers; it never accepts what Python would refuse.
#![forbid(unsafe_code)]

/// Under a name of its own, so that `native/models` can put others in their place.
mod atomic {
    pub use std::sync::atomic::{AtomicU64, Ordering};
}
pub mod cache;
pub mod compile;
pub mod entropy;
pub mod flow;
pub mod http;
pub mod local;
pub mod policy;
pub mod records;
pub mod verdict;
pub mod wire;
