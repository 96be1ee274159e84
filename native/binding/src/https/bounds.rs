//! How much of everything a connection over HTTPS may have, beside the settings.
//!
//! Knows: times and octets.  Does not know: who keeps to them.

use std::time::Duration;

/// For a handshake, from the connection on.
pub const HANDSHAKE_S: f64 = 5.0;

/// So long a request's body may be on its way, and an answer wait for its client to take more of it.
pub const STALL_S: f64 = 10.0;

/// What was asked before a connection is to end has so long for its answers.
pub const ENDING_S: f64 = 5.0;

/// A connection of HTTP/2 that was quiet for so long is taken from the library, until its client says something.
/// To begin anew costs some 5 µs.
pub const REST_AFTER_S: f64 = 2.0;

/// After so many have been, their memory goes back to the system: some megabyte.
pub const RESTS_BEFORE_TRIM: u32 = 64;

/// How often all connections are looked at for their time.
pub const LOOK_TIME: Duration = Duration::from_millis(500);

/// Octets that a session keeps of what the kernel does not take.
pub const SESSION_OCTETS_MAX: usize = 16_384;

/// Octets of answers that HTTP/2 takes from a stream before its client has taken those before.
pub const STREAM_SEND_OCTETS_MAX: usize = 65_536;

/// What a client may send on one stream, and on all of a connection, before we have looked at it.
pub const STREAM_WINDOW_OCTETS: u32 = 65_535;
pub const CONNECTION_WINDOW_OCTETS: u32 = 131_070;

/// Headers of one request over HTTP/1.1; over HTTP/2 their octets bound them.
pub const HEADERS_MAX: usize = 64;

/// After a refusal what still comes is read away for so long, so that it reaches a client that is still sending.
pub const LINGER_TIME: Duration = Duration::from_secs(1);

/// Pause after connections could not be accepted: no descriptor is left, most likely.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
