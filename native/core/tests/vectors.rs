//! The golden wire cases: octets in, facts or octets out; any engine must agree with them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use resolver_core::wire::carried_addresses::{carried_addresses, Nat64Prefix};
use resolver_core::wire::{
    accept_response, age_body, encode_malformed, encode_response, lower, parse_query, Accepted,
    MalformedReason, NameBuf, NegativeKind, RefusedReason, Reply, Response, SentQuery,
};
use serde::de::DeserializeOwned;
use serde::Deserialize;

#[derive(Deserialize)]
struct QueryCase {
    name: String,
    octets: String,
    query: Option<QueryFacts>,
    malformed: Option<MalformedFacts>,
    reply: Option<String>,
}

#[derive(Deserialize, PartialEq, Debug)]
struct QueryFacts {
    flags: u16,
    qname: String,
    qtype: u16,
    qclass: u16,
    question_end: usize,
    has_opt: bool,
    edns_version: u8,
    payload_octets: u16,
    dnssec_ok: bool,
    options: Vec<(u16, String)>,
}

#[derive(Deserialize)]
struct MalformedFacts {
    reason: String,
    rcode: Option<u8>,
}

#[derive(Deserialize)]
struct ReplyCase {
    name: String,
    query: String,
    rcode: u16,
    #[serde(default)]
    body: String,
    #[serde(default)]
    ancount: u16,
    #[serde(default)]
    nscount: u16,
    limit: usize,
    #[serde(default)]
    ede: Vec<(u16, String)>,
    #[serde(default)]
    options: Vec<(u16, String)>,
    #[serde(default)]
    pads: bool,
    ra: Option<bool>,
    #[serde(default)]
    aa: bool,
    #[serde(default)]
    ad: bool,
    #[serde(default)]
    truncated: bool,
    reply: String,
}

#[derive(Deserialize)]
struct ResponseCase {
    name: String,
    sent: Sent,
    octets: String,
    response: Option<ResponseFacts>,
    refused: Option<RefusedFacts>,
    failure: Option<FailureFacts>,
    truncated: Option<bool>,
}

#[derive(Deserialize)]
struct Sent {
    id: u16,
    qname: String,
    qtype: u16,
    qclass: u16,
    edns: bool,
    dnssec_ok: bool,
    is_stream: bool,
}

#[derive(Deserialize)]
struct RefusedFacts {
    reason: String,
    near_miss: bool,
}

#[derive(Deserialize)]
struct FailureFacts {
    rcode: u16,
    edns_refused: bool,
}

#[derive(Deserialize, PartialEq, Debug)]
struct ResponseFacts {
    rcode: u16,
    authentic_data: bool,
    body: String,
    ancount: u16,
    nscount: u16,
    ttl_offsets: Vec<u16>,
    ttls: Vec<u32>,
    negative: Option<String>,
    ttl_s: u32,
    links: Vec<(String, u16, u16)>,
    service_targets: Vec<String>,
    addresses: Vec<String>,
    name_at_end: String,
    aged_5_s: String,
}

fn cases<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors").join(file);
    let text = std::fs::read_to_string(path).expect("the vectors stand beside the Python tests");
    let loaded: Vec<T> = serde_norway::from_str(&text).expect("the vectors have the fields named here");
    assert!(!loaded.is_empty());
    loaded
}

fn octets(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let octet = |two: &[char]| u8::from_str_radix(&two.iter().collect::<String>(), 16).expect("hex");
    digits.chunks(2).map(octet).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn a_query_is_read_as_the_vector_says() {
    for case in cases::<QueryCase>("queries.yaml") {
        let message = octets(&case.octets);
        match (parse_query(&message), case.query, case.malformed) {
            (Ok(query), Some(facts), None) => {
                let found = QueryFacts {
                    flags: query.flags,
                    qname: hex(&query.qname),
                    qtype: query.qtype,
                    qclass: query.qclass,
                    question_end: query.question_end,
                    has_opt: query.has_opt,
                    edns_version: query.edns_version,
                    payload_octets: query.payload_octets,
                    dnssec_ok: query.dnssec_ok,
                    options: query.options_iter().map(|(code, value)| (code, hex(value))).collect(),
                };
                assert_eq!(found, facts, "{}", case.name);
                assert_eq!(query.octets, message, "{}", case.name);
            }
            (Err(malformed), None, Some(facts)) => {
                assert_eq!(malformed.reason.label(), facts.reason, "{}", case.name);
                assert_eq!(malformed.rcode, facts.rcode, "{}", case.name);
                let mut out = Vec::new();
                let reply = malformed.rcode.map(|rcode| {
                    encode_malformed(&message, rcode, &mut out);
                    hex(&out)
                });
                assert_eq!(reply, case.reply.map(|reply| hex(&octets(&reply))), "{}", case.name);
            }
            (parsed, _, _) => panic!("{}: {parsed:?}", case.name),
        }
    }
}

#[test]
fn a_reply_is_encoded_as_the_vector_says() {
    for case in cases::<ReplyCase>("replies.yaml") {
        let message = octets(&case.query);
        let query = parse_query(&message).expect("the vector's query is well-formed");
        let body = octets(&case.body);
        let ede: Vec<(u16, &str)> = case.ede.iter().map(|(code, text)| (*code, text.as_str())).collect();
        let values: Vec<(u16, Vec<u8>)> =
            case.options.iter().map(|(code, value)| (*code, octets(value))).collect();
        let options: Vec<(u16, &[u8])> =
            values.iter().map(|(code, value)| (*code, value.as_slice())).collect();
        let reply = Reply {
            rcode: case.rcode,
            body: &body,
            ancount: case.ancount,
            nscount: case.nscount,
            limit: case.limit,
            ede: &ede,
            options: &options,
            pads: case.pads,
            ra: case.ra.unwrap_or(true),
            aa: case.aa,
            ad: case.ad,
            truncated: case.truncated,
        };
        let mut out = b"left over".to_vec();
        let kept = encode_response(&query, &reply, &mut out);
        assert_eq!(hex(&out), hex(&octets(&case.reply)), "{}", case.name);
        assert!(out.len() <= case.limit, "{}", case.name);
        assert!(out[query.question_end..].starts_with(&body[..kept]), "{}", case.name);
    }
}

#[test]
fn a_response_is_accepted_as_the_vector_says() {
    for case in cases::<ResponseCase>("responses.yaml") {
        let sent = sent_query(&case.sent);
        let name = &case.name;
        match accept_response(&octets(&case.octets), &sent) {
            Accepted::Response(response) => {
                assert_eq!(Some(facts_of(&response, &sent)), case.response, "{name}");
            }
            Accepted::Truncated => assert_eq!(case.truncated, Some(true), "{name}"),
            Accepted::Refused { reason, near_miss } => {
                let facts = case.refused.unwrap_or_else(|| panic!("{name}: {reason:?}"));
                assert_eq!((reason.label(), near_miss), (facts.reason.as_str(), facts.near_miss), "{name}");
            }
            Accepted::UpstreamFailure { rcode, edns_refused } => {
                let facts = case.failure.unwrap_or_else(|| panic!("{name}: rcode {rcode}"));
                assert_eq!((rcode, edns_refused), (facts.rcode, facts.edns_refused), "{name}");
            }
        }
    }
}

#[test]
fn every_reason_has_a_vector() {
    let malformed: BTreeSet<String> = cases::<QueryCase>("queries.yaml")
        .into_iter()
        .filter_map(|case| case.malformed)
        .map(|facts| facts.reason)
        .collect();
    assert_eq!(malformed, MalformedReason::ALL.iter().map(|reason| reason.label().to_owned()).collect());
    let refused: BTreeSet<String> = cases::<ResponseCase>("responses.yaml")
        .into_iter()
        .filter_map(|case| case.refused)
        .map(|facts| facts.reason)
        .collect();
    assert_eq!(refused, RefusedReason::ALL.iter().map(|reason| reason.label().to_owned()).collect());
}

fn sent_query(sent: &Sent) -> SentQuery {
    let qname: NameBuf = octets(&sent.qname).into_iter().collect();
    SentQuery {
        id: sent.id,
        name: lower(&qname).expect("at most 255 octets"),
        qname,
        qtype: sent.qtype,
        qclass: sent.qclass,
        edns: sent.edns,
        dnssec_ok: sent.dnssec_ok,
        is_stream: sent.is_stream,
    }
}

fn facts_of(response: &Response, sent: &SentQuery) -> ResponseFacts {
    let mut aged = response.body.to_vec();
    age_body(&mut aged, 0, &response.ttls, 5, None);
    let address = |address: &IpAddr| match address {
        IpAddr::V4(four) => hex(&four.octets()),
        IpAddr::V6(six) => hex(&six.octets()),
    };
    ResponseFacts {
        rcode: response.rcode,
        authentic_data: response.authentic_data,
        body: hex(&response.body),
        ancount: response.ancount,
        nscount: response.nscount,
        ttl_offsets: response.ttls.iter().map(|ttl| ttl.offset).collect(),
        ttls: response.ttls.iter().map(|ttl| ttl.ttl_s).collect(),
        negative: response.negative.map(|kind| match kind {
            NegativeKind::Nxdomain => "nxdomain".to_owned(),
            NegativeKind::Nodata => "nodata".to_owned(),
        }),
        ttl_s: response.ttl_s,
        links: response.links.iter().map(|link| (hex(&link.target), link.end, link.ancount)).collect(),
        service_targets: response.service_targets.iter().map(|target| hex(target)).collect(),
        addresses: response.addresses.iter().map(address).collect(),
        name_at_end: hex(response.name_at_end.as_deref().unwrap_or(&sent.name)),
        aged_5_s: hex(&aged),
    }
}

#[derive(Deserialize)]
struct CarriedCase {
    name: String,
    #[serde(default)]
    prefixes: Vec<String>,
    address: Ipv6Addr,
    carried: Vec<Ipv4Addr>,
}

fn nat64_prefix(text: &str) -> Nat64Prefix {
    let (address, length) = text.split_once('/').expect("a prefix");
    let octets = address.parse::<Ipv6Addr>().expect("an address").octets();
    Nat64Prefix::new(octets, length.parse().expect("a length")).expect("one of RFC 6052")
}

#[test]
fn an_address_carries_what_the_vector_says() {
    for case in cases::<CarriedCase>("carried_addresses.yaml") {
        let prefixes: Vec<Nat64Prefix> = case.prefixes.iter().map(|text| nat64_prefix(text)).collect();
        assert_eq!(carried_addresses(&case.address, &prefixes).as_slice(), case.carried, "{}", case.name);
    }
}
