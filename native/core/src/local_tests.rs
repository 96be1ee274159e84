//! The site's own records and the special names.

use super::*;
use crate::wire::parse_query;

fn names() -> LocalNames {
    let own = |name: &str, addresses: &[&str]| {
        (name_from_text(name), addresses.iter().map(|text| text.parse().unwrap()).collect())
    };
    LocalNames::new(&[
        own("router.home.arpa", &["192.168.1.1", "fd00::1"]),
        own("printer.example", &["192.168.1.7"]),
        own("deep.a.local", &["10.0.0.9"]),
    ])
}

fn ask(
    names: &LocalNames,
    qname: &[u8],
    qtype: u16,
    is_forwarded: bool,
    is_filtering: bool,
) -> Option<LocalAnswer> {
    let mut octets = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0".to_vec();
    octets.extend_from_slice(qname);
    octets.extend_from_slice(&qtype.to_be_bytes());
    octets.extend_from_slice(&[0, 1]);
    let query = parse_query(&octets).unwrap_or_else(|_| panic!("{qname:?} is no query"));
    names.find(&query, &|_| is_forwarded, is_filtering)
}

fn find(text: &str, qtype: u16) -> Option<LocalAnswer> {
    ask(&names(), &name_from_text(text), qtype, false, true)
}

const TYPE_TXT: u16 = 16;
const TYPE_MX: u16 = 15;
const TYPE_NS: u16 = 2;

fn rdata_of_one(answer: &LocalAnswer) -> &[u8] {
    assert_eq!((answer.rcode, answer.ancount, answer.nscount), (0, 1, 0));
    &answer.body[12..]
}

#[test]
fn own_names_are_answered_here() {
    let expected: [(&str, u16, &[u8]); 9] = [
        ("router.home.arpa", TYPE_A, &[192, 168, 1, 1]),
        ("ROUTER.home.arpa", TYPE_AAAA, &[0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("printer.example", TYPE_A, &[192, 168, 1, 7]),
        ("printer.example", TYPE_ANY, &[192, 168, 1, 7]),
        ("7.1.168.192.in-addr.arpa", TYPE_PTR, b"\x07printer\x07example\0"),
        (
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa",
            TYPE_PTR,
            b"\x06router\x04home\x04arpa\0",
        ),
        ("localhost", TYPE_A, &LOOPBACK_IPV4),
        ("a.b.localhost", TYPE_AAAA, &LOOPBACK_IPV6),
        ("1.0.0.127.in-addr.arpa", TYPE_PTR, LOCALHOST),
    ];
    for (text, qtype, rdata) in expected {
        assert_eq!(rdata_of_one(&find(text, qtype).unwrap()), rdata, "{text}");
    }
    assert_eq!(find("router.home.arpa", TYPE_ANY).unwrap().ancount, 2);
}

#[test]
fn the_octets_of_an_own_record_are_as_they_should_be() {
    let answer = find("printer.example", TYPE_A).unwrap();
    assert_eq!(answer.body, b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\xa8\x01\x07");
}

#[test]
fn a_name_that_exists_without_the_type_is_nodata_with_soa() {
    for (text, qtype) in [
        ("printer.example", TYPE_AAAA),
        ("router.home.arpa", TYPE_TXT),
        ("localhost", TYPE_MX),
        ("home.arpa", TYPE_NS),
        ("10.in-addr.arpa", TYPE_NS),
        ("_dns.resolver.arpa", 64),
        // The site's own deep.a.local lies below: NXDOMAIN would deny it (RFC 8020).
        ("a.local", TYPE_A),
        ("local", TYPE_A),
    ] {
        let answer = find(text, qtype).unwrap();
        assert_eq!((answer.rcode, answer.ancount, answer.nscount), (0, 0, 1), "{text}");
    }
}

#[test]
fn special_names_do_not_exist() {
    for (text, apex) in [
        ("invalid", 0),
        ("www.test", 4),
        ("hidden.onion", 7),
        ("x.alt", 2),
        ("tv.local", 3),
        ("nas.home.arpa", 4),
        ("4.3.2.10.in-addr.arpa", 6),
        ("1.0.16.172.in-addr.arpa", 4),
        ("9.9.64.100.in-addr.arpa", 4),
        ("0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", 8),
        ("1.d.f.ip6.arpa", 2),
        ("use-application-dns.net", 0),
    ] {
        let answer = find(text, TYPE_A).unwrap();
        assert_eq!((answer.rcode, answer.ancount, answer.nscount), (3, 0, 1), "{text}");
        assert_eq!(answer.body[..2], (0xC00C_u16 + apex).to_be_bytes(), "{text}");
    }
    let soa = b"\xc0\x0c\0\x06\0\x01\0\0\x2a\x30\0\x2f\x09localhost\0\x06nobody\x07invalid\0\
                \0\0\0\x01\0\0\x0e\x10\0\0\x04\xb0\0\x09\x3a\x80\0\0\x2a\x30";
    assert_eq!(find("invalid", TYPE_A).unwrap().body, soa);
}

#[test]
fn ordinary_names_are_not_ours() {
    for text in [
        "example.com",
        "test.example",
        "mylocalhost",
        "notlocal",
        "example.arpa",
        "8.8.8.8.in-addr.arpa",
        "1.0.32.172.in-addr.arpa",
        "1.0.128.100.in-addr.arpa",
        "x.printer.example",
        "example.net",
    ] {
        assert_eq!(find(text, TYPE_A), None, "{text}");
    }
    assert_eq!(ask(&names(), b"\0", TYPE_NS, false, true), None);
}

#[test]
fn a_label_that_ends_like_a_special_name_is_ordinary() {
    assert_eq!(ask(&LocalNames::new(&[]), b"\x07ab\x04test\0", TYPE_A, false, true), None);
}

#[test]
fn an_upstream_named_for_a_special_name_gets_the_question() {
    let reverse = name_from_text("4.3.2.10.in-addr.arpa");
    assert_eq!(ask(&names(), &reverse, TYPE_PTR, true, true), None);
}

#[test]
fn own_records_win_over_a_named_upstream() {
    let own = name_from_text("router.home.arpa");
    assert_eq!(rdata_of_one(&ask(&names(), &own, TYPE_A, true, true).unwrap()), [192, 168, 1, 1]);
}

#[test]
fn browsers_learn_of_filtering_only_while_there_is_some() {
    let canary = name_from_text("use-application-dns.net");
    assert_eq!(ask(&names(), &canary, TYPE_A, false, false), None);
    assert!(ask(&names(), &canary, TYPE_A, false, true).is_some());
}

#[test]
fn localhost_is_never_forwarded() {
    for text in ["localhost", "a.b.localhost"] {
        for qtype in [TYPE_A, TYPE_AAAA, TYPE_TXT] {
            assert!(ask(&names(), &name_from_text(text), qtype, true, true).is_some(), "{text}");
        }
    }
    assert!(ask(&names(), &name_from_text("localhost.example"), TYPE_A, true, true).is_none());
}
