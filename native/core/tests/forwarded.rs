//! Who asks through proxies of HTTP: any engine must agree with these vectors.

use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;
use resolver_core::flow::{client_behind, Networks};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    peer: Option<IpAddr>,
    #[serde(default)]
    forwarded: Vec<String>,
    #[serde(default)]
    xff: Vec<String>,
    repeat: Option<(String, usize)>,
    client: Option<IpAddr>,
}

/// A character stands for the octet of its number.
fn octets(text: &str) -> Vec<u8> {
    text.chars().map(|sign| u8::try_from(u32::from(sign)).unwrap()).collect()
}

fn trusted() -> Networks {
    Networks::new(&[("192.0.2.0".parse().unwrap(), 24), ("2001:db8:1::".parse().unwrap(), 48)])
}

#[test]
fn the_client_is_who_the_vector_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/forwarded.yaml");
    let cases: Vec<Case> = serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 60);
    for case in cases {
        let forwarded: Vec<Vec<u8>> = case.forwarded.iter().map(|line| octets(line)).collect();
        let mut listed: Vec<Vec<u8>> = case.xff.iter().map(|line| octets(line)).collect();
        if let Some((text, times)) = &case.repeat {
            listed[0] = [octets(&text.repeat(*times)), listed[0].clone()].concat();
        }
        let (forwarded, listed): (Vec<&[u8]>, Vec<&[u8]>) =
            (forwarded.iter().map(Vec::as_slice).collect(), listed.iter().map(Vec::as_slice).collect());
        let peer = case.peer.unwrap_or_else(|| "192.0.2.1".parse().unwrap());
        assert_eq!(client_behind(peer, &forwarded, &listed, &trusted()).ok(), case.client, "{}", case.name);
    }
}

proptest! {
    #[test]
    fn whatever_headers_hold_nothing_breaks(
        one in proptest::collection::vec(any::<u8>(), 0..80),
        other in "[ ,;=\"\\\\\\[\\]:._for192-]{0,60}",
    ) {
        let peer = "192.0.2.1".parse().unwrap();
        let _ = client_behind(peer, &[&one], &[], &trusted());
        let _ = client_behind(peer, &[other.as_bytes()], &[&one], &trusted());
    }
}
