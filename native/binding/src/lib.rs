//! The native data plane as a Python module.
//!
//! Knows: sockets, threads, Python's types.  Does not know: why an answer is what it is: that is the core's.
//! `resolver_native/__init__.pyi` is the manual, `testing.pyi` beside it that of what only tests call.

/// Under a name of its own, so that `native/models` can put others in their place.
mod atomic {
    pub use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
}
mod compile;
mod counters;
mod epoll;
mod fields;
mod guard;
mod https;
mod https_counts;
mod late_answers;
mod lives;
mod mailbox;
mod py_cache;
mod py_core;
mod py_plane;
mod py_policy;
mod py_records;
mod py_steps;
mod py_testing;
mod py_upstreams;
mod py_wire;
mod ring;
mod server_names;
mod shared;
mod shared_flow;
mod signals;
mod slab;
mod stream_asks;
mod stream_state;
mod streams;
mod sys;
mod timers;
mod tls;
mod tls_counts;
mod tls_session;
#[cfg(test)]
mod tls_tests;
mod udp_pool;
mod udp_socket;
mod upstream_authorities;
mod upstream_queries;
mod upstream_server;
mod upstream_streams;
mod wake_flag;
mod worker;

use pyo3::prelude::*;

/// Number of what the stub file says; the same stands in `resolver/plane.py`.  One more with every change.
const INTERFACE: u32 = 17;

#[pymodule]
fn resolver_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add("INTERFACE", INTERFACE)?;
    module.add_class::<py_cache::Cache>()?;
    module.add_class::<py_core::Core>()?;
    module.add_class::<py_plane::Plane>()?;
    module.add_class::<py_records::Records>()?;
    module.add_class::<py_records::RecordLook>()?;
    compile::register(module)?;
    py_testing::register(module)
}
