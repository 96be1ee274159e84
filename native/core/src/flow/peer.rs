//! Who asks, and over what.
//!
//! Knows: the transports, and what the gates need to know of each.  Does not know: sockets, what is asked.

use std::net::IpAddr;

use super::client_names::ClientName;
use super::clients::Standing;

/// How a query comes in; `flow/peer.py` has the same numbers and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transport {
    /// Plain datagrams.
    Udp,
    /// Plain streams (RFC 7766).
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484).
    Https,
    /// DNS over QUIC (RFC 9250).
    Quic,
    /// DNS over HTTP/3.
    H3,
}

impl Transport {
    /// All of them, in the order of their numbers.
    pub const ALL: [Transport; 6] =
        [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic, Transport::H3];

    /// The one of this number.
    pub fn by_number(number: u8) -> Option<Transport> {
        Transport::ALL.get(usize::from(number)).copied()
    }

    /// The metric label.
    pub fn label(self) -> &'static str {
        ["udp", "tcp", "tls", "https", "quic", "h3"][self as usize]
    }

    /// Whether no datagram bounds its messages, and its clients have shown that their address is theirs.
    ///
    /// If not, answers are cut to what the client can take (TC=1), and clients are limited in rate.
    #[inline]
    pub fn is_stream(self) -> bool {
        self != Transport::Udp
    }

    /// Whether nobody reads along, so that padding hides something (RFC 8467 §3).
    #[inline]
    pub fn is_encrypted(self) -> bool {
        !matches!(self, Transport::Udp | Transport::Tcp)
    }

    /// Whether the message tells how long its connection may rest (RFC 7828 §3.2, RFC 9250 §5.5.2).
    #[inline]
    pub fn has_keepalive(self) -> bool {
        matches!(self, Transport::Tcp | Transport::Tls)
    }
}

/// Who asks, over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The client's address; IPv4 as such, never mapped into IPv6.
    pub address: IpAddr,
    /// How its query came in.
    pub transport: Transport,
    /// What the client is to this server.
    pub standing: Standing,
    /// The name it gave itself: an identity for people, of which nobody has proof.
    pub name: Option<ClientName>,
}
