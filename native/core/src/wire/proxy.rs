//! The head that a proxy puts before what it passes on: the PROXY protocol, version 2.
//!
//! Knows: the head's layout.  Does not know: who may send one, sockets, what follows it.
//! Source: HAProxy, "The PROXY protocol", section 2.2.  Version 1, a line of text, is not taken: it has no length,
//! and nobody who speaks it to a DNS server lacks version 2.
//! Theory: nothing follows from a head that is not whole; of one that is, only the addresses are kept.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::walk::u16_at;

/// What every head begins with; as DNS it is nothing that is answered, over a datagram or a stream.
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and protocol, length of the rest.
const PROXY_HEAD_OCTETS_MIN: usize = 16;
/// Addresses and extensions; more is refused.  Proxies send a few dozen octets, and read no more themselves.
pub const REST_OCTETS_MAX: usize = 512;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPEC: u8 = 0x00;
/// Type and length.
const EXTENSION_HEAD_OCTETS: usize = 3;

/// What octets are as a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHead {
    /// All right so far, and not whole.
    NeedMore,
    /// A whole head.
    Whole(Proxied),
    /// No head, or one that cannot be taken.
    Bad(BadHead),
}

/// Who asks through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Who asks; None: the proxy itself, or whoever it does not name.
    pub source: Option<SocketAddr>,
    /// Where that client's query was sent to.
    pub destination: Option<SocketAddr>,
    /// Octets of the head; what is passed on begins behind it.
    pub length: usize,
}

/// Why octets are no head; a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BadHead {
    /// They begin otherwise.
    Signature,
    /// Not version 2.
    Version,
    /// Neither LOCAL nor PROXY.
    Command,
    /// Neither TCP nor UDP over IPv4 or IPv6.
    Family,
    /// Too long, or too short for its addresses.
    Length,
    /// Extensions that do not fill it.
    Extension,
}

impl BadHead {
    /// Every reason.
    pub const ALL: [BadHead; 6] = [
        BadHead::Signature,
        BadHead::Version,
        BadHead::Command,
        BadHead::Family,
        BadHead::Length,
        BadHead::Extension,
    ];

    /// The short word for it.
    pub fn label(self) -> &'static str {
        ["signature", "version", "command", "family", "length", "extension"][self as usize]
    }
}

/// Read the head that `octets` begin with; at most `REST_OCTETS_MAX` octets are looked at.
pub fn parse_proxy(octets: &[u8]) -> ProxyHead {
    let begun = octets.len().min(SIGNATURE.len());
    if octets[..begun] != SIGNATURE[..begun] {
        return ProxyHead::Bad(BadHead::Signature);
    }
    let Some((fixed, rest)) = octets.split_at_checked(PROXY_HEAD_OCTETS_MIN) else {
        return ProxyHead::NeedMore;
    };
    let (command, family) = (fixed[12], fixed[13]);
    let rest_octets = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if command & 0xF0 != LOCAL & 0xF0 {
        return ProxyHead::Bad(BadHead::Version);
    }
    if !matches!(command, LOCAL | PROXY) {
        return ProxyHead::Bad(BadHead::Command);
    }
    if rest_octets > REST_OCTETS_MAX {
        return ProxyHead::Bad(BadHead::Length);
    }
    // What a proxy says of itself means nothing, whatever its family; so does what it leaves unsaid.
    let address_octets = match (command, family) {
        (LOCAL, _) | (_, UNSPEC) => 0,
        (_, 0x11 | 0x12) => 4,
        (_, 0x21 | 0x22) => 16,
        _ => return ProxyHead::Bad(BadHead::Family),
    };
    if address_octets > 0 && rest_octets < 2 * address_octets + 4 {
        return ProxyHead::Bad(BadHead::Length);
    }
    let Some(rest) = rest.get(..rest_octets) else { return ProxyHead::NeedMore };
    let length = PROXY_HEAD_OCTETS_MIN + rest_octets;
    if address_octets == 0 {
        return ProxyHead::Whole(Proxied { source: None, destination: None, length });
    }
    let (addresses, rest) = rest.split_at(2 * address_octets);
    let (ports, extensions) = rest.split_at(4);
    if !are_extensions(extensions) {
        return ProxyHead::Bad(BadHead::Extension);
    }
    let (source, destination) = addresses.split_at(address_octets);
    ProxyHead::Whole(Proxied {
        source: place(source, [ports[0], ports[1]]),
        destination: place(destination, [ports[2], ports[3]]),
        length,
    })
}

/// Octets that a head which begins with `octets` lacks, as far as these tell: none of what stands behind it.
///
/// 0: it is whole, or too long to be taken.
pub fn octets_to_come(octets: &[u8]) -> usize {
    let rest_octets = match octets.get(14..PROXY_HEAD_OCTETS_MIN) {
        Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])).min(REST_OCTETS_MAX),
        _ => 0,
    };
    (PROXY_HEAD_OCTETS_MIN + rest_octets).saturating_sub(octets.len())
}

/// Whether extensions (type, length, value) fill `octets` exactly.
fn are_extensions(mut octets: &[u8]) -> bool {
    while !octets.is_empty() {
        let Ok(value_octets) = u16_at(octets, 1) else { return false };
        let Some(rest) = octets.get(EXTENSION_HEAD_OCTETS + usize::from(value_octets)..) else {
            return false;
        };
        octets = rest;
    }
    true
}

/// An address and a port; an IPv4 address as such, however it is written.
fn place(address: &[u8], port: [u8; 2]) -> Option<SocketAddr> {
    let address = match <[u8; 4]>::try_from(address) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(address).ok()?)).to_canonical(),
    };
    Some(SocketAddr::new(address, u16::from_be_bytes(port)))
}
