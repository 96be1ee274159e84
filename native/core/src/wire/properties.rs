//! What holds for any octets at all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::wire::walk::{read_section, Names};

const WWW: &[u8] = b"\x03www\x07example\x03org\0";

/// Octets that often look like parts of a message.
fn parts() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        vec(any::<u8>(), 0..12),
        (0u8..64).prop_map(|target| vec![0xC0, target]),
        select(vec![WWW.to_vec(), b"\x01a\0".to_vec(), b"\x03net\0".to_vec(), b"\0".to_vec()]),
        (select(vec![1u16, 2, 5, 6, 15, 28, 39, 41, 46, 47, 65]), any::<u32>(), 0u16..24).prop_map(
            |(rtype, ttl_s, rdlength)| {
                let (rtype, rdlength) = (rtype.to_be_bytes(), rdlength.to_be_bytes());
                [&rtype[..], &[0, 1], &ttl_s.to_be_bytes(), &rdlength].concat()
            }
        ),
    ];
    vec(part, 0..24).prop_map(|parts| parts.concat())
}

fn headed(flags: u16, counts: [u8; 4], rest: &[&[u8]]) -> Vec<u8> {
    let [questions, answers, authority, additional] = counts;
    let flags = flags.to_be_bytes();
    let header = [0x12, 0x34, flags[0], flags[1], 0, questions, 0, answers, 0, authority, 0, additional];
    [&header, &rest.concat()[..]].concat()
}

/// The query's facts come out again when it is asked for an empty reply.
fn check_query(octets: &[u8]) {
    let Ok(query) = parse_query(octets) else {
        return;
    };
    let mut out = Vec::new();
    for is_stream in [false, true] {
        let limit = response_limit(&query, is_stream);
        assert_eq!(encode_response(&query, &Reply { limit, ..Reply::default() }, &mut out), 0);
        assert_eq!(&out[..2], &octets[..2]);
        assert_eq!(&out[12..query.question_end], query.question_octets());
        // A reply with QR taken off is a query again, for the same.
        out[2] &= 0x7F;
        let again = parse_query(&out).expect("our own octets");
        assert_eq!((&again.qname, again.qtype, again.qclass), (&query.qname, query.qtype, query.qclass));
        assert_eq!((again.has_opt, again.dnssec_ok), (query.has_opt, query.dnssec_ok));
    }
    encode_question(
        7,
        query.question_octets(),
        query.dnssec_ok,
        query.checking_disabled(),
        query.has_opt,
        &mut out,
    );
    let again = parse_query(&out).expect("our own octets");
    assert_eq!((&again.qname, again.checking_disabled()), (&query.qname, query.checking_disabled()));
}

/// What was accepted is small enough, and its TTLs stand where it says.
fn check_response(octets: &[u8], sent: &SentQuery) {
    let Accepted::Response(response) = accept_response(octets, sent) else {
        return;
    };
    let records = usize::from(response.ancount + response.nscount);
    assert_eq!(response.ttls.len(), records);
    assert!(response.links.len() <= CHAIN_LINKS_MAX);
    assert_eq!(response.name_at_end.as_deref(), response.links.last().map(|link| &*link.target));
    for ttl in &response.ttls {
        let at = usize::from(ttl.offset);
        assert_eq!(response.body.get(at..at + 4), Some(&ttl.ttl_s.to_be_bytes()[..]));
        assert!(response.ttl_s <= ttl.ttl_s && ttl.ttl_s < 1 << 31);
    }
    // Behind the question asked, the records as they are kept fill the body and have their TTLs there.
    let asked = [&sent.qname[..], &sent.qtype.to_be_bytes(), &sent.qclass.to_be_bytes()].concat();
    let kept = headed(0x8180, [1, 0, 0, 0], &[&asked, &response.body]);
    let body_start = 12 + asked.len();
    let mut names = Names::with_question(&sent.qname);
    let (read, end) = read_section(&kept, body_start, records, &mut names).expect("records");
    assert_eq!(end, kept.len());
    for (record, ttl) in read.iter().zip(&response.ttls) {
        assert_eq!((record.ttl_s, record.rdata_start - 6 - body_start), (ttl.ttl_s, ttl.offset.into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_octets_may_be_read_as_a_query(octets in vec(any::<u8>(), 0..200)) {
        check_query(&octets);
    }

    #[test]
    fn any_parts_may_stand_behind_a_query(
        parts in parts(), additional in 0u8..4, flags in select(vec![0u16, 0x0100, 0x0110]),
    ) {
        check_query(&headed(flags, [1, 0, 0, additional], &[WWW, &[0, 1, 0, 1], &parts]));
        check_query(&headed(flags, [1, 0, 0, additional], &[&parts]));
    }

    #[test]
    fn any_octets_may_come_from_an_upstream(octets in vec(any::<u8>(), 0..200)) {
        check_response(&octets, &SentQuery::over_udp(0x1234, WWW, 1, true, true).expect("a name"));
    }

    #[test]
    fn any_parts_may_stand_behind_the_question_asked(
        parts in parts(),
        counts in (0u8..5, 0u8..3, 0u8..3),
        qtype in select(vec![1u16, 5, 15, 16, 28, 39, 46, 65, 255]),
        rcode in select(vec![0u16, 3]),
        dnssec_ok: bool,
    ) {
        let (answers, authority, additional) = counts;
        let asked = [&qtype.to_be_bytes()[..], &[0, 1]].concat();
        let octets = headed(0x8180 | rcode, [1, answers, authority, additional], &[WWW, &asked, &parts]);
        check_response(&octets, &SentQuery::over_udp(0x1234, WWW, qtype, true, dnssec_ok).expect("a name"));
    }

    #[test]
    fn any_octets_may_be_a_bare_error_over_a_stream(octets in vec(any::<u8>(), 0..14)) {
        let sent = SentQuery::over_udp(0x1234, WWW, 1, true, true).expect("a name");
        accept_response(&octets, &SentQuery { is_stream: true, ..sent });
    }
}
