//! Proxies that say for whom they ask: which may, and for whom a datagram or a connection of theirs is.
//!
//! Knows: their networks, the head before what they pass on.  Does not know: sockets, what is asked.
//! Theory: who may say that he is another may be anybody, so a head is taken from these networks alone; and from them
//! nothing else, or what a proxy forgot to say would count as the proxy's own.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use super::clients::Networks;
use crate::wire::proxy::{octets_to_come, parse_proxy, BadHead, Proxied, ProxyHead, SIGNATURE};

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

    /// What a connection begins with: of one that is no proxy's a head of no octets.
    #[must_use]
    pub fn head_of(&self, address: IpAddr, octets: &[u8]) -> ProxyHead {
        if self.has(address) {
            return parse_proxy(octets);
        }
        if octets.starts_with(SIGNATURE) {
            return ProxyHead::Bad(BadHead::Signature);
        }
        // No message over TCP or TLS ends within so few octets.
        if SIGNATURE.starts_with(octets) {
            return ProxyHead::NeedMore;
        }
        ProxyHead::Whole(Proxied { source: None, destination: None, length: 0 })
    }
}

/// The beginning of a connection, as it comes: a head, or octets that are none.
///
/// It tells how much to read, so that what stands behind a head stays with the socket, for whoever reads on.
#[derive(Debug)]
pub struct AwaitedHead {
    peer: IpAddr,
    held: Vec<u8>,
}

impl AwaitedHead {
    /// Nothing has come.  `peer`: who is connected.
    #[must_use]
    pub fn new(peer: IpAddr) -> AwaitedHead {
        AwaitedHead { peer, held: Vec::new() }
    }

    /// Who is connected.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Octets to read next at most; never 0 where more is needed, and never so many that some stand behind a head.
    #[must_use]
    pub fn octets_to_come(&self, proxies: &Proxies) -> usize {
        if proxies.has(self.peer) {
            return octets_to_come(&self.held);
        }
        SIGNATURE.len().saturating_sub(self.held.len())
    }

    /// So much more has come; see `Proxies::head_of`.
    #[must_use]
    pub fn take(&mut self, octets: &[u8], proxies: &Proxies) -> ProxyHead {
        self.held.extend_from_slice(octets);
        proxies.head_of(self.peer, &self.held)
    }

    /// Octets that are kept of it.
    #[must_use]
    pub fn held_octets(&self) -> usize {
        self.held.capacity()
    }

    /// Whether something has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !self.held.is_empty()
    }

    /// What has come, where it was no head.
    #[must_use]
    pub fn into_octets(self) -> Vec<u8> {
        self.held
    }
}

/// Addresses that no client has, each of another /64: a multicast group asks nothing (RFC 4291 §2.7).
///
/// Whose a proxy's connection is, it says only then: until it does, the connection counts as one of these.
#[derive(Default)]
pub struct Nobodies(AtomicU64);

impl Nobodies {
    /// Another one.
    pub fn another(&self) -> IpAddr {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        IpAddr::V6(Ipv6Addr::from_bits(0xFFFF << 112 | u128::from(number & (u64::MAX >> 16)) << 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::client_key;

    const PROXY: &str = "192.0.2.8";
    const STRANGER: &str = "192.0.2.9";
    const BEHIND: &[u8] = b"\0\x0cwhat follows";

    fn proxies() -> Proxies {
        Proxies::new(&[(PROXY.parse().unwrap(), 32)])
    }

    fn head(command: u8, rest: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[command, 0x11], &(rest.len() as u16).to_be_bytes(), rest].concat()
    }

    fn of_a_client(extensions: &[u8]) -> Vec<u8> {
        head(0x21, &[&[203, 0, 113, 5, 192, 0, 2, 1, 0xC0, 1, 0, 53], extensions].concat())
    }

    /// What is made of `octets` that come in such pieces, and how many were read of them.
    fn read(peer: &str, octets: &[u8], piece: usize) -> (ProxyHead, usize, AwaitedHead) {
        let proxies = proxies();
        let (mut awaited, mut at, mut come) = (AwaitedHead::new(peer.parse().unwrap()), 0, 0);
        loop {
            come = octets.len().min(come + piece);
            while at < come {
                let count = awaited.octets_to_come(&proxies).min(come - at);
                assert!(count > 0, "it would wait for ever");
                let found = awaited.take(&octets[at..at + count], &proxies);
                at += count;
                if found != ProxyHead::NeedMore {
                    return (found, at, awaited);
                }
            }
            if come == octets.len() {
                return (ProxyHead::NeedMore, at, awaited);
            }
        }
    }

    #[test]
    fn a_head_is_the_same_in_whatever_pieces_it_comes_and_nothing_behind_it_is_read() {
        let long = [&[0xE0, 1, 0xF1][..], &[7; 497]].concat();
        for whole in [of_a_client(b""), of_a_client(b"\x01\0\x02h2"), of_a_client(&long), head(0x20, b"")] {
            let octets = [&whole[..], BEHIND].concat();
            for piece in 1..=octets.len() {
                let (found, count, _) = read(PROXY, &octets, piece);
                assert_eq!((found, count), (parse_proxy(&octets), whole.len()));
            }
        }
    }

    #[test]
    fn what_is_no_head_is_refused_as_soon_as_it_is_known_and_never_waited_for() {
        let too_long = head(0x21, &[0; 513]);
        let cases: [(&[u8], BadHead); 4] = [
            (BEHIND, BadHead::Signature),
            (b"PROXY TCP4 203.0.113.5 192.0.2.1 49153 53\r\n", BadHead::Signature),
            (&[&SIGNATURE[..], &[0x11, 0x11, 0, 12], &[0; 12]].concat(), BadHead::Version),
            (&too_long, BadHead::Length),
        ];
        for (octets, why) in cases {
            for piece in [1, 5, 16, 600] {
                let (found, count, _) = read(PROXY, octets, piece);
                assert_eq!(found, ProxyHead::Bad(why));
                assert!(count <= 16, "{count}");
            }
        }
    }

    #[test]
    fn from_others_a_head_is_refused_and_what_is_none_is_given_back() {
        for piece in 1..=32 {
            let (found, count, _) = read(STRANGER, &of_a_client(b""), piece);
            assert_eq!((found, count), (ProxyHead::Bad(BadHead::Signature), SIGNATURE.len()));
            for octets in [BEHIND, b"\r\n\r\n\0\r\nQUIP"] {
                let (found, count, awaited) = read(STRANGER, octets, piece);
                assert!(matches!(found, ProxyHead::Whole(Proxied { source: None, length: 0, .. })));
                assert_eq!(awaited.into_octets(), octets[..count]);
            }
        }
    }

    #[test]
    fn a_connection_of_nobody_counts_as_no_other() {
        let nobodies = Nobodies::default();
        let (one, other) = (nobodies.another(), nobodies.another());
        assert!(one.is_multicast() && client_key(one) != client_key(other));
    }
}
