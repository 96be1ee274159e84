//! DNS over HTTPS (RFC 8484): threads that speak TLS, HTTP/2 and HTTP/1.1 through libraries, and answer by the flow.
//!
//! Knows: `thread` accepts and looks at the time, `connection` is one client's, `life` its way from the handshake to
//! its end, `service` one request, `desk` answers a query, `waiting` has those that wait; `guarded_io` and
//! `turnstile` are what the libraries leave to us.  Does not know: why an answer is what it is.
//! Theory: rustls, hyper and h2 under tokio's one-threaded runtime; each thread has its own listening sockets and
//! connections, and shares with others what the threads of TCP and TLS share.

use std::time::Duration;

mod answer_body;
mod connection;
mod desk;
mod executor;
mod guarded_io;
mod life;
mod service;
mod thread;
mod turnstile;
mod waiting;

pub use thread::run;

/// For a handshake, from the connection on.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// For a request's body, once its head is there.
const BODY_TIME: Duration = Duration::from_secs(5);

/// A client that takes nothing of its answers for so long is cut off.
const STALL_S: f64 = 10.0;

/// What was asked before a connection is to end has so long for its answers.
const GRACE_S: f64 = 5.0;

/// How often all connections are looked at for their time.
const LOOK_TIME: Duration = Duration::from_millis(500);

/// Octets that a session keeps of what the kernel does not take.
const SESSION_OCTETS_MAX: usize = 16_384;

/// Octets of answers that HTTP/2 takes from a stream before its client has taken those before.
const STREAM_SEND_OCTETS_MAX: usize = 65_536;

/// What a client may send on one stream, and on all of a connection, before we have looked at it.
const STREAM_WINDOW_OCTETS: u32 = 65_535;
const CONNECTION_WINDOW_OCTETS: u32 = 131_070;

/// Headers of one request over HTTP/1.1; over HTTP/2 their octets bound them.
const HEADERS_MAX: usize = 64;

/// After a refusal what still comes is read away for so long, so that it reaches a client that is still sending.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Pause after connections could not be accepted: no descriptor is left, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
