//! Well-formed messages to break, and cases that once broke something.
//!
//! Knows: the files in `corpus`, written by `tests/fuzz/write_corpus.py`.  Does not know: who reads messages.

use crate::names;

/// ID that every answer of the corpus carries.
pub const ANSWER_ID: u16 = 0x1234;
/// Cached for ever, and never answered again by an upstream.
pub const CANARY: &[u8] = b"\x06canary\x07example\x03org\0";
/// Its address.
pub const CANARY_ADDRESS: [u8; 4] = [192, 0, 2, 53];
/// Blocked by `canary.policy`, with everything below it.
pub const BLOCKED: &[u8] = b"\x07blocked\x07example\x03net\0";
/// A name of the site.
pub const PRINTER: &[u8] = b"\x07printer\x07example\x03org\0";
/// Its address.
pub const PRINTER_ADDRESS: [u8; 4] = [192, 0, 2, 77];
/// A policy that blocks `BLOCKED`.
pub const POLICY: &[u8] = include_bytes!("../corpus/canary.policy");

/// One upstream answer and the question it belongs to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Wire form, as sent.
    pub qname: Vec<u8>,
    /// The type asked.
    pub qtype: u16,
    /// The DO bit.
    pub dnssec_ok: bool,
    /// The whole message.
    pub octets: Vec<u8>,
}

/// Queries as clients send them, and rarer ones.
#[must_use]
pub fn queries() -> Vec<Vec<u8>> {
    lines(include_str!("../corpus/queries.hex")).map(from_hex).collect()
}

/// Answers of every shape, most with poison in some section.
#[must_use]
pub fn answers() -> Vec<Answer> {
    let answer = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [qname, qtype, dnssec_ok, octets] = words[..] else { panic!("four words a line: {line}") };
        Answer {
            qname: from_hex(qname),
            qtype: qtype.parse().expect("a number"),
            dnssec_ok: dnssec_ok == "1",
            octets: from_hex(octets),
        }
    };
    lines(include_str!("../corpus/answers.hex")).map(answer).collect()
}

/// Cases of a target that once broke something.
#[must_use]
pub fn found(target: &str) -> Vec<Vec<u8>> {
    let text = match target {
        names::QUERIES => include_str!("../corpus/found/queries.hex"),
        names::ANSWERS => include_str!("../corpus/found/answers.hex"),
        names::LISTS => include_str!("../corpus/found/lists.hex"),
        names::CACHE => include_str!("../corpus/found/cache.hex"),
        _ => "",
    };
    lines(text).map(from_hex).collect()
}

/// Texts of lists, one of each format.
#[must_use]
pub fn lists() -> Vec<&'static [u8]> {
    vec![
        include_bytes!("../../../tests/golden/lists/plain.domains.txt"),
        include_bytes!("../../../tests/golden/lists/people.domains.txt"),
        include_bytes!("../../../tests/golden/lists/blocker.hosts.txt"),
        include_bytes!("../../../tests/golden/lists/wild.wildcard.txt"),
        include_bytes!("../../../tests/golden/lists/ads.adblock.txt"),
        include_bytes!("../../../tests/golden/lists/servers.dnsmasq.txt"),
        include_bytes!("../../../tests/golden/lists/zone.rpz.txt"),
    ]
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The octets of a line of hex digits.
#[must_use]
pub fn from_hex(text: &str) -> Vec<u8> {
    let digit = |place: u8| (place as char).to_digit(16).expect("a hex digit") as u8;
    text.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Octets as hex digits.
#[must_use]
pub fn to_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
