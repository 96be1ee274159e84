//! Who asks, and the way back to them.
//!
//! Knows: what the shell fills in and reads again.  Does not know: what is asked, sockets.

use std::net::IpAddr;

/// Who asks, over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address; IPv4 as such, never mapped into IPv6.
    pub address: IpAddr,
    /// TCP, or any transport whose clients cannot forge their address.
    pub is_stream: bool,
}

/// Octets of a `sockaddr`: `sockaddr_in6` is the longest.
pub const SOCKET_NAME_OCTETS: usize = 28;
/// Octets of control message kept with a query: one `IPV6_PKTINFO`.
pub const CONTROL_OCTETS: usize = 40;

/// The way back to a client; the shell fills it in and reads it, the flow only carries it.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The worker whose socket the query came in on.
    pub worker: u16,
    /// Which of the worker's sockets.
    pub socket: u16,
    /// Used octets of `name`.
    pub name_length: u8,
    /// Used octets of `control`.
    pub control_length: u8,
    /// The client's socket address as the kernel spells it.
    pub name: [u8; SOCKET_NAME_OCTETS],
    /// The local address to answer from, as the kernel spells it.
    pub control: [u8; CONTROL_OCTETS],
    /// The shell's own mark; a test's number for its client.
    pub token: u64,
}

impl Route {
    /// A way back that only the one who set `token` understands.
    pub fn by_token(token: u64) -> Route {
        Route {
            worker: 0,
            socket: 0,
            name_length: 0,
            control_length: 0,
            name: [0; SOCKET_NAME_OCTETS],
            control: [0; CONTROL_OCTETS],
            token,
        }
    }
}
