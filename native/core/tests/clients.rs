//! Who the clients are and how their queries come in: any engine must agree with these vectors.

use std::net::IpAddr;
use std::path::Path;

use resolver_core::flow::{client_key, ClientKey, ClientNames, Clients, Standing, Transport};
use serde::de::DeserializeOwned;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    standings: Vec<StandingCase>,
    keys: Vec<(IpAddr, String)>,
}

#[derive(Deserialize)]
struct StandingCase {
    name: String,
    networks: Vec<String>,
    clients: Vec<(IpAddr, u8, bool)>,
}

fn load<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(name);
    serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn network(text: &str) -> (IpAddr, u8) {
    let (address, bits) = text.split_once('/').unwrap();
    (address.parse().unwrap(), bits.parse().unwrap())
}

fn hex(key: ClientKey) -> String {
    match key {
        ClientKey::Ipv4(bits) => format!("{bits:08x}"),
        ClientKey::Ipv6(bits) => format!("{bits:016x}"),
    }
}

#[test]
fn clients_have_the_standing_that_the_vectors_say() {
    let vectors: Vectors = load("clients.yaml");
    assert!(!vectors.standings.is_empty());
    for case in vectors.standings {
        let networks: Vec<(IpAddr, u8)> = case.networks.iter().map(|text| network(text)).collect();
        let clients = Clients::new(&networks);
        for (address, group, is_allowed) in case.clients {
            let expected = Standing { group, is_allowed };
            assert_eq!(clients.standing(address), expected, "{}: {address}", case.name);
        }
    }
}

#[test]
fn clients_count_under_the_keys_that_the_vectors_say() {
    let vectors: Vectors = load("clients.yaml");
    assert!(!vectors.keys.is_empty());
    for (address, key) in vectors.keys {
        assert_eq!(hex(client_key(address)), key, "{address}");
    }
}

#[test]
fn the_transports_are_those_of_the_vectors() {
    let expected: Vec<(u8, String, bool, bool, bool)> = load("transports.yaml");
    let facts = |one: Transport| {
        (one as u8, one.label().to_owned(), one.is_stream(), one.is_encrypted(), one.has_keepalive())
    };
    let found = Transport::ALL.map(facts);
    assert_eq!(found.to_vec(), expected);
    assert!(Transport::ALL.iter().all(|&one| Transport::by_number(one as u8) == Some(one)));
    assert_eq!(Transport::by_number(Transport::ALL.len() as u8), None);
}

#[derive(Deserialize)]
struct NameVectors {
    paths: Vec<(String, String, Option<String>)>,
    server_names: Vec<(String, String, Option<String>)>,
}

#[test]
fn clients_are_named_as_the_vectors_say() {
    let vectors: NameVectors = load("client_names.yaml");
    assert!(!vectors.paths.is_empty() && !vectors.server_names.is_empty());
    let in_path = ClientNames::new(true, "");
    for (path, asked, name) in vectors.paths {
        let found = in_path.split_path(path.as_bytes(), b"/dns-query");
        assert_eq!(found, (asked.as_bytes(), name), "{path}");
        assert_eq!(
            ClientNames::default().split_path(path.as_bytes(), b"/dns-query"),
            (path.as_bytes(), None)
        );
    }
    for (below, server_name, name) in vectors.server_names {
        assert_eq!(ClientNames::new(false, &below).in_server_name(&server_name), name, "{server_name}");
    }
}
