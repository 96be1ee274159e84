//! What proxies and clients say of who asks: heads before datagrams, headers of HTTP, names in paths.
//!
//! Knows: what must hold of each, whatever octets come.  Does not know: sockets, HTTP.

use std::net::IpAddr;

use resolver_core::flow::{client_behind, AwaitedHead, ClientNames, Networks, Proxies};
use resolver_core::wire::parse_query;
use resolver_core::wire::proxy::{parse_proxy, ProxyHead, REST_OCTETS_MAX, SIGNATURE};

use super::target::{claim, Target};
use crate::chance::Chance;
use crate::{corpus, mutate, names};

/// Headers as proxies write them, and what a client may have put before.
const HEADERS: [&[u8]; 8] = [
    b"for=192.0.2.60;proto=http;by=203.0.113.43",
    b"for=unknown, for=_hidden;by=\"[2001:db8::1]:443\"",
    b"for=\"[2001:db8:cafe::17]:4711\", for=198.51.100.17",
    b"host=\"a, b; c\\\"d\";for=192.0.2.1,,",
    b"203.0.113.5, 192.0.2.7",
    b"2001:db8::1, [2001:db8::2]:443 , 192.0.2.7:80",
    b"/dns-query/phones",
    b"phones.dns.example.net",
];
/// Addresses of the trusted network, one by one, and another: the walk over hops goes on, or ends.
const PROXY: &str = "192.0.2.1";
const STRANGER: &str = "203.0.113.1";

/// See the module's text.
pub struct Sayings {
    corpus: Vec<Vec<u8>>,
    proxies: Proxies,
    trusted: Networks,
    names: ClientNames,
    heads: u64,
    clients: u64,
}

impl Sayings {
    pub fn new() -> Sayings {
        let network = [(address(PROXY), 24)];
        Sayings {
            corpus: heads().into_iter().chain(HEADERS.map(<[u8]>::to_vec)).collect(),
            proxies: Proxies::new(&network),
            trusted: Networks::new(&network),
            names: ClientNames::new(true, "dns.example.net"),
            heads: 0,
            clients: 0,
        }
    }

    fn check_head(&mut self, case: &[u8]) -> Result<(), String> {
        let found = parse_proxy(case);
        if let ProxyHead::Whole(head) = found {
            self.heads += 1;
            claim((16..=16 + REST_OCTETS_MAX).contains(&head.length), "a head of another length")?;
            claim(head.length <= case.len(), "a head longer than what came")?;
            claim(head.source.is_some() == head.destination.is_some(), "half a pair of addresses")?;
            let is_plain = |address: IpAddr| address == address.to_canonical();
            claim(head.source.map_or(true, |place| is_plain(place.ip())), "IPv4 written as IPv6")?;
            claim(parse_proxy(&case[..head.length]) == found, "what follows a head changes it")?;
            claim(parse_proxy(&case[..head.length - 1]) == ProxyHead::NeedMore, "a head that is not whole")?;
        }
        if case.starts_with(SIGNATURE) {
            claim(parse_query(case).is_err(), "a head is a query")?;
        }
        self.check_pieces(case, PROXY, found)?;
        self.check_pieces(case, STRANGER, self.proxies.head_of(address(STRANGER), case))?;
        let sender = self.proxies.sender_of(address(PROXY), case);
        claim(sender.is_some() == matches!(found, ProxyHead::Whole(_)), "a proxy's datagram")?;
        let other = self.proxies.sender_of(address(STRANGER), case);
        claim(other.is_none() == case.starts_with(SIGNATURE), "another's datagram")
    }

    /// A connection that begins with these octets is the same client's in whatever pieces they come.
    fn check_pieces(&self, case: &[u8], peer: &str, whole: ProxyHead) -> Result<(), String> {
        for piece in [1, 3, 16, 17, 4096] {
            let (mut awaited, mut found, mut read) =
                (AwaitedHead::new(address(peer)), ProxyHead::NeedMore, 0);
            for part in case.chunks(piece) {
                let mut part = part;
                while !part.is_empty() && found == ProxyHead::NeedMore {
                    let count = awaited.octets_to_come(&self.proxies).min(part.len());
                    claim(count > 0, "a head is waited for in vain")?;
                    found = awaited.take(&part[..count], &self.proxies);
                    part = &part[count..];
                    read += count;
                }
            }
            claim(case.is_empty() || found == whole, "a head in pieces is another")?;
            match found {
                ProxyHead::Whole(head) if head.length > 0 => {
                    claim(read == head.length, "what stands behind a head is read")?;
                }
                ProxyHead::NeedMore => claim(read == case.len(), "a head is not read on")?,
                _ => claim(read <= 16 + REST_OCTETS_MAX, "too much is read of what is no head")?,
            }
            claim(awaited.into_octets() == case[..read], "what was read is not kept")?;
        }
        Ok(())
    }

    fn check_headers(&mut self, case: &[u8]) -> Result<(), String> {
        let peer = address(PROXY);
        let (one, other) = case.split_at(case.len() / 2);
        for (forwarded, listed) in
            [(vec![case], vec![]), (vec![], vec![case]), (vec![one, other], vec![]), (vec![one], vec![other])]
        {
            self.clients += u64::from(client_behind(peer, &forwarded, &listed, &self.trusted).is_ok());
            let stranger = address(STRANGER);
            let believed = client_behind(stranger, &forwarded, &listed, &self.trusted);
            claim(believed == Ok(stranger), "a stranger is believed")?;
        }
        Ok(())
    }

    fn check_names(&self, case: &[u8]) -> Result<(), String> {
        let is_name = |name: &str| {
            (1..=63).contains(&name.len())
                && name.bytes().all(|o| o.is_ascii_lowercase() || o.is_ascii_digit() || o == b'-')
        };
        let (path, name) = self.names.split_path(case, b"/dns-query");
        claim(name.as_deref().map_or(path == case, is_name), "no name in a path")?;
        let name = self.names.in_server_name(&String::from_utf8_lossy(case));
        claim(name.as_deref().map_or(true, is_name), "no name in a server name")
    }
}

/// Every kind of head, a query behind it.
fn heads() -> Vec<Vec<u8>> {
    let head = |command: u8, family: u8, rest: &[u8]| {
        let length = (rest.len() as u16).to_be_bytes();
        let query = corpus::queries().swap_remove(0);
        [&SIGNATURE[..], &[command, family], &length, rest, &query].concat()
    };
    let ipv4 = [203, 0, 113, 5, 192, 0, 2, 1, 0xC0, 1, 0, 53];
    let extended = [&ipv4[..], b"\x01\0\x02h2\xe0\0\0"].concat();
    vec![
        head(0x21, 0x11, &ipv4),
        head(0x21, 0x12, &extended),
        head(0x21, 0x21, &[0x20; 36]),
        head(0x21, 0x22, &[0; 36]),
        head(0x21, 0, &[]),
        head(0x20, 0, &[]),
        head(0x20, 0x11, &ipv4),
    ]
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}

impl Target for Sayings {
    fn name(&self) -> &'static str {
        names::PROXIES
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        let (place, other) = (chance.below(self.corpus.len()), chance.below(self.corpus.len()));
        mutate::mutated(&self.corpus[place], &self.corpus[other], chance)
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        self.corpus.clone()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        self.check_head(case)?;
        self.check_headers(case)?;
        self.check_names(case)
    }

    fn facts(&self) -> String {
        format!("{} heads, {} clients believed", self.heads, self.clients)
    }
}
