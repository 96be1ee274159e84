//! Proxies that say for whom they ask: which may, and for whom a datagram of theirs is.
//!
//! Knows: their networks, the head before what they pass on.  Does not know: sockets, what is asked.
//! Theory: who may say that he is another may be anybody, so a head is taken from these networks alone; and from them
//! nothing else, or what a proxy forgot to say would count as the proxy's own.

use std::net::IpAddr;

use super::clients::Networks;
use crate::wire::proxy::{parse_proxy, ProxyHead, SIGNATURE};

/// The networks of proxies that must send a head.
#[derive(Default)]
pub struct Proxies(Networks);

impl Proxies {
    /// From networks, each an address in it and the length of its prefix in bits.
    #[must_use]
    pub fn new(networks: &[(IpAddr, u8)]) -> Self {
        Proxies(Networks::new(networks))
    }

    /// Whether there is none, so that nobody sends a head.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this address is a proxy's: whatever it sends begins with a head.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(address)
    }

    /// Who sent a datagram, and where its query begins; None: it is refused for its head, or the lack of one.
    #[must_use]
    pub fn sender_of(&self, address: IpAddr, datagram: &[u8]) -> Option<(IpAddr, usize)> {
        if !self.has(address) {
            return (!datagram.starts_with(SIGNATURE)).then_some((address, 0));
        }
        match parse_proxy(datagram) {
            ProxyHead::Whole(head) => Some((head.source.map_or(address, |source| source.ip()), head.length)),
            ProxyHead::NeedMore | ProxyHead::Bad(_) => None,
        }
    }
}
