//! Heads of the PROXY protocol: any engine must read them as the vectors say.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use resolver_core::flow::Proxies;
use resolver_core::wire::proxy::{parse_proxy, BadHead, Proxied, ProxyHead, SIGNATURE};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    octets: String,
    #[serde(default)]
    then: usize,
    head: Option<Head>,
    bad: Option<String>,
    more: Option<bool>,
}

#[derive(Deserialize)]
struct Head {
    source: Option<(IpAddr, u16)>,
    destination: Option<(IpAddr, u16)>,
    length: usize,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/proxy.yaml");
    let loaded: Vec<Case> = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(loaded.len() > 40);
    loaded
}

fn octets_of(case: &Case) -> Vec<u8> {
    let octet = |at: usize| u8::from_str_radix(&case.octets[at..at + 2], 16).unwrap();
    let mut octets: Vec<u8> = (0..case.octets.len()).step_by(2).map(octet).collect();
    octets.resize(octets.len() + case.then, 0);
    octets
}

#[test]
fn a_head_is_read_as_the_vector_says() {
    for case in cases() {
        let octets = octets_of(&case);
        let found = parse_proxy(&octets);
        let place = |told: Option<(IpAddr, u16)>| told.map(SocketAddr::from);
        match (&case.head, &case.bad, case.more) {
            (Some(head), None, None) => {
                let (source, destination) = (place(head.source), place(head.destination));
                let expected = Proxied { source, destination, length: head.length };
                assert_eq!(found, ProxyHead::Whole(expected), "{}", case.name);
                for end in 0..head.length {
                    assert_eq!(parse_proxy(&octets[..end]), ProxyHead::NeedMore, "{}: {end}", case.name);
                }
            }
            (None, Some(why), None) => match found {
                ProxyHead::Bad(bad) => assert_eq!(bad.label(), why, "{}", case.name),
                _ => panic!("{}: {found:?}", case.name),
            },
            (None, None, Some(true)) => assert_eq!(found, ProxyHead::NeedMore, "{}", case.name),
            _ => panic!("{}: says no one thing", case.name),
        }
    }
}

#[test]
fn every_reason_has_a_vector() {
    let told: BTreeSet<String> = cases().into_iter().filter_map(|case| case.bad).collect();
    assert_eq!(told, BadHead::ALL.iter().map(|bad| bad.label().to_owned()).collect());
}

#[test]
fn only_proxies_say_for_whom_they_ask_and_they_must() {
    let proxies = Proxies::new(&[("192.0.2.0".parse().unwrap(), 24)]);
    let (proxy, other): (IpAddr, IpAddr) = ("192.0.2.9".parse().unwrap(), "198.51.100.9".parse().unwrap());
    let client: IpAddr = "203.0.113.5".parse().unwrap();
    let head = [&SIGNATURE[..], b"\x21\x12\0\x0c\xcb\0\x71\x05\x7f\0\0\x01\x12\x34\0\x35"].concat();
    let itself = [&SIGNATURE[..], b"\x20\0\0\0"].concat();
    assert!(!proxies.is_empty() && Proxies::default().is_empty());
    assert_eq!(proxies.sender_of(proxy, &head), Some((client, 28)));
    assert_eq!(proxies.sender_of(proxy, &itself), Some((proxy, 16)));
    for datagram in [&b"a query"[..], b"", &head[..27], &SIGNATURE[..]] {
        assert_eq!(proxies.sender_of(proxy, datagram), None);
    }
    assert_eq!(proxies.sender_of(other, &head), None);
    for datagram in [&b"a query"[..], b"", &SIGNATURE[..11]] {
        assert_eq!(proxies.sender_of(other, datagram), Some((other, 0)));
    }
}
