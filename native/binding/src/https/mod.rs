//! DNS over HTTPS (RFC 8484): threads that speak TLS, HTTP/2 and HTTP/1.1 through libraries, and answer by the flow.
//!
//! Knows: `thread` accepts and looks at the time, `entries` gives places, `state` is what its connections share, `connection` is one client's, `heads` finds out
//! whose a proxy's is, `life` its way from the handshake to its end, `service` one request, `desk` answers a query, `waiting` has those that wait; `tls_io` is its session, `guarded_io`
//! and `turnstile` are what the libraries leave to us.  Does not know: why an answer is what it is.
//! Theory: rustls, as for DNS over TLS, hyper and h2 under tokio's one-threaded runtime; each thread has its own listening sockets and
//! connections, and shares with others what the threads of TCP and TLS share.

mod answer_body;
mod bounds;
mod connection;
mod desk;
mod entries;
mod executor;
mod guarded_io;
mod heads;
mod life;
mod service;
mod state;
mod thread;
mod tls_io;
mod turnstile;
mod waiting;

pub use thread::run;
