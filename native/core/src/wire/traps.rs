//! The traps hostile octets set, one short story each.

use super::*;
use crate::wire::walk::{POINTER_TARGETS_MAX, RECORD_OCTETS_MIN};

const WWW: &[u8] = b"\x03www\x07example\x03org\0";
const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
const QNAME: &[u8] = b"\xc0\x0c";
const ADDRESS: &[u8] = &[192, 0, 2, 1];

fn message(flags: u16, counts: [u16; 4], parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0x12, 0x34];
    out.extend(flags.to_be_bytes());
    out.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    out.extend(parts.concat());
    out
}

fn question(qname: &[u8], qtype: u16) -> Vec<u8> {
    [qname, &qtype.to_be_bytes(), &[0, 1]].concat()
}

fn rr(owner: &[u8], rtype: u16, ttl_s: u32, rdata: &[u8]) -> Vec<u8> {
    let rdlength = (rdata.len() as u16).to_be_bytes();
    [owner, &rtype.to_be_bytes(), &[0, 1], &ttl_s.to_be_bytes(), &rdlength, rdata].concat()
}

fn soa_rdata(minimum_s: u32) -> Vec<u8> {
    [&b"\x02ns\0\0"[..], &[0; 16], &minimum_s.to_be_bytes()].concat()
}

/// The reply to a question for `qtype` at `qname`, records in sections.
fn reply(qname: &[u8], qtype: u16, rcode: u16, answer: &[Vec<u8>], authority: &[Vec<u8>]) -> Vec<u8> {
    let counts = [1, answer.len() as u16, authority.len() as u16, 0];
    message(0x8180 | rcode, counts, &[&question(qname, qtype), &answer.concat(), &authority.concat()])
}

fn sent(qname: &[u8], qtype: u16, dnssec_ok: bool) -> SentQuery {
    SentQuery::over_udp(0x1234, qname, qtype, true, dnssec_ok).expect("a name")
}

fn judge(octets: &[u8], qname: &[u8], qtype: u16) -> Accepted {
    accept_response(octets, &sent(qname, qtype, false))
}

#[track_caller]
fn accepted(octets: &[u8], sent: &SentQuery) -> Response {
    match accept_response(octets, sent) {
        Accepted::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

fn malformed() -> Accepted {
    Accepted::Refused { reason: RefusedReason::Malformed, near_miss: true }
}

fn reason_of(octets: &[u8]) -> MalformedReason {
    parse_query(octets).expect_err("no query").reason
}

/// A name of `octets` octets, made of short labels.
fn long_name(octets: usize) -> Vec<u8> {
    let mut name = b"\x01a".repeat((octets - 1) / 2);
    if octets % 2 == 0 {
        name.splice(..2, *b"\x02aa");
    }
    name.push(0);
    assert_eq!(name.len(), octets);
    name
}

// --- Queries.

#[test]
fn a_name_of_255_octets_is_read_and_one_of_256_is_not() {
    let longest = message(0x0100, [1, 0, 0, 0], &[&question(&long_name(255), 1)]);
    assert_eq!(parse_query(&longest).map(|query| query.qname.len()), Ok(255));
    let longer = message(0x0100, [1, 0, 0, 0], &[&question(&long_name(256), 1)]);
    assert_eq!(reason_of(&longer), MalformedReason::Name);
}

#[test]
fn label_types_01_and_10_and_pointers_are_no_question() {
    for first in [0x40, 0x7f, 0x80, 0xbf, 0xc0, 0xff] {
        let octets = message(0x0100, [1, 0, 0, 0], &[&[first, 0x0c], &[b'a'; 70], &question(b"\0", 1)]);
        assert_eq!(reason_of(&octets), MalformedReason::Name);
    }
}

#[test]
fn an_opt_comes_once_and_from_the_root() {
    let asked = question(WWW, 1);
    assert!(parse_query(&message(0x0100, [1, 0, 0, 1], &[&asked, OPT])).is_ok());
    let twice = message(0x0100, [1, 0, 0, 2], &[&asked, OPT, OPT]);
    assert_eq!(reason_of(&twice), MalformedReason::Opt);
    let owned = message(0x0100, [1, 0, 0, 1], &[&asked, b"\x01a", OPT]);
    assert_eq!(reason_of(&owned), MalformedReason::Opt);
}

#[test]
fn an_opt_behind_a_signature_is_found() {
    let signature = rr(b"\0", TYPE_TSIG, 0, b"anything");
    let octets = message(0x0100, [1, 0, 0, 2], &[&question(WWW, 1), &signature, OPT]);
    assert!(parse_query(&octets).expect("a query").has_opt);
    // A pointer to the question's root octet is the root as well.
    let pointed = [&[0xc0, 28], &OPT[1..]].concat();
    let octets = message(0x0100, [1, 0, 0, 1], &[&question(WWW, 1), &pointed]);
    assert!(parse_query(&octets).expect("a query").has_opt);
}

#[test]
fn counts_beyond_the_octets_are_not_walked() {
    for additional in [3, 256, 0xffff] {
        let octets = message(0x0100, [1, 0, 0, additional], &[&question(WWW, 1), OPT]);
        assert_eq!(reason_of(&octets), MalformedReason::Counts);
    }
    let octets = message(0x0100, [1, 0, 0, 0], &[&question(WWW, 1), OPT]);
    assert_eq!(reason_of(&octets), MalformedReason::Trailing);
}

#[test]
fn options_that_overrun_their_opt_are_no_options() {
    let with = |options: &[u8]| {
        let length = (options.len() as u16).to_be_bytes();
        let octets = message(0x0100, [1, 0, 0, 1], &[&question(WWW, 1), &OPT[..9], &length, options]);
        parse_query(&octets).map(|query| query.options_iter().count()).map_err(|malformed| malformed.reason)
    };
    assert_eq!(with(b""), Ok(0));
    assert_eq!(with(b"\0\x0a\0\x02ab\0\x0b\0\0"), Ok(2));
    assert_eq!(with(b"\0\x0a\0\x03ab"), Err(MalformedReason::Opt));
    assert_eq!(with(b"\0\x0a\0"), Err(MalformedReason::Opt));
}

// --- Replies.

#[test]
fn what_does_not_fit_gives_way_in_order_and_the_question_stays() {
    let octets = message(0x0100, [1, 0, 0, 1], &[&question(WWW, 1), OPT]);
    let query = parse_query(&octets).expect("a query");
    let body = vec![7; 512 - query.question_end - 11];
    let mut out = Vec::new();
    let ede = [(15, "why")];
    let reply = Reply { body: &body, ancount: 1, limit: 512, ede: &ede, ..Reply::default() };
    assert_eq!(encode_response(&query, &reply, &mut out), body.len());
    assert_eq!((out.len(), out[2] & 2), (512, 0));
    let body = vec![7; body.len() + 1];
    let reply = Reply { body: &body, ..reply };
    assert_eq!(encode_response(&query, &reply, &mut out), 0);
    assert_eq!((out.len(), out[2] & 2), (query.question_end + 11, 2));
    assert_eq!(&out[6..8], [0, 0]);
}

// --- Compression in responses.

#[test]
fn pointers_that_do_not_lead_backwards_are_refused() {
    let end = (12 + WWW.len() + 4) as u16;
    // Itself, forwards, the header, and a run of labels that ends in a pointer to its own start.
    for target in [end, end + 2, 0, 11] {
        let owner = (0xC000 | target).to_be_bytes();
        assert_eq!(judge(&reply(WWW, 1, 0, &[rr(&owner, 1, 300, ADDRESS)], &[]), WWW, 1), malformed());
    }
    let looped = [&b"\x01a"[..], &(0xC000 | end).to_be_bytes()].concat();
    assert_eq!(judge(&reply(WWW, 1, 0, &[rr(&looped, 1, 300, ADDRESS)], &[]), WWW, 1), malformed());
}

#[test]
fn pointers_that_lead_to_each_other_are_refused() {
    let start = (12 + WWW.len() + 4) as u16;
    // Opaque RDATA with a pointer to the next owner, which points back into it.
    let rdata_at = start + 12;
    let first = rr(QNAME, 16, 300, &(0xC000 | (rdata_at + 2)).to_be_bytes());
    let second = rr(&(0xC000 | rdata_at).to_be_bytes(), 16, 300, b"");
    assert_eq!(judge(&reply(WWW, 16, 0, &[first, second], &[]), WWW, 16), malformed());
}

#[test]
fn as_many_pointer_targets_are_followed_as_names_are_in_reach() {
    // A chain of pointers in opaque RDATA, each to the one before; then an owner at its end.
    let chain = |targets: usize| {
        let start = 12 + WWW.len() + 4 + 12;
        let pointer = |target: usize| (0xC000 | target as u16).to_be_bytes();
        let mut rdata = QNAME.to_vec();
        rdata.extend((0..targets - 2).flat_map(|number| pointer(start + 2 * number)));
        let last = rr(&pointer(start + 2 * (targets - 2)), 16, 300, b"");
        judge(&reply(WWW, 16, 0, &[rr(QNAME, 16, 300, &rdata), last], &[]), WWW, 16)
    };
    // Header, question and the record's fixed part take the room of a few.
    let most = POINTER_TARGETS_MAX - (WWW.len() + 4 + 12) / 2;
    for targets in [100, 1000, most] {
        assert!(matches!(chain(targets), Accepted::Response(_)), "{targets}");
    }
}

#[test]
fn an_answer_of_thousands_of_names_passes() {
    let qname = b"\x011\x012\x010\x03192\x07in-addr\x04arpa\0";
    let host = |number: usize| format!("h{number:05}").into_bytes();
    let mut records = vec![rr(qname, 12, 300, b"\x05hosts\x07example\x03org\0")];
    let suffix = 12 + qname.len() + 4 + qname.len() + 10;
    let suffix = (0xC000 | suffix as u16).to_be_bytes();
    records.extend((0..3000).map(|number| rr(QNAME, 12, 300, &[&[6][..], &host(number), &suffix].concat())));
    let response = accepted(&reply(qname, 12, 0, &records, &[]), &sent(qname, 12, false));
    assert_eq!(response.ancount, 3001);
}

#[test]
fn a_name_grown_over_255_octets_by_a_pointer_is_refused() {
    let qname = long_name(254);
    let over = rr(b"\x01b\xc0\x0c", 1, 300, ADDRESS);
    assert_eq!(judge(&reply(&qname, 1, 0, &[over], &[]), &qname, 1), malformed());
    let qname = long_name(253);
    let fits = rr(b"\x01b\xc0\x0c", 1, 300, ADDRESS);
    assert!(matches!(judge(&reply(&qname, 1, 0, &[fits], &[]), &qname, 1), Accepted::Response(_)));
}

#[test]
fn names_rebuilt_past_the_reach_of_pointers_are_written_whole() {
    // The last link and the answer behind it come first, so everything is written anew.
    let far = b"\x03far\x07example\x03net\0";
    let padding = rr(QNAME, TYPE_RRSIG, 300, &[&[0, 5][..], &[0; 16500]].concat());
    let near = b"\x04near\x07example\x03net\0";
    let answer =
        [rr(far, 1, 300, ADDRESS), rr(near, TYPE_CNAME, 300, far), rr(QNAME, TYPE_CNAME, 300, near), padding];
    let response = accepted(&reply(WWW, 1, 0, &answer, &[]), &sent(WWW, 1, true));
    assert_eq!(response.ancount, 4);
    let tail = rr(far, 1, 300, ADDRESS);
    assert!(response.body.ends_with(&tail), "no pointer reaches over 0x3FFF");
    let link = &response.links[1];
    assert_eq!((&link.target[..], usize::from(link.end)), (&far[..], response.body.len() - tail.len()));
}

#[test]
fn a_body_that_expands_over_its_limit_is_refused() {
    let qname = long_name(250);
    // RDATA of 4 octets becomes one of 252.
    let mx = |count: usize| -> Vec<Vec<u8>> {
        let mut records = vec![rr(b"\x01x\0", 1, 300, ADDRESS)];
        records.extend((0..count).map(|_| rr(QNAME, 15, 300, b"\0\x01\xc0\x0c")));
        records
    };
    let fitting = (STREAM_OCTETS_MAX - 12 - qname.len() - 4) / (12 + 252);
    let response = accepted(&reply(&qname, 15, 0, &mx(fitting), &[]), &sent(&qname, 15, false));
    assert_eq!(response.body.len(), fitting * 264);
    assert_eq!(judge(&reply(&qname, 15, 0, &mx(fitting + 1), &[]), &qname, 15), malformed());
}

// --- Counts, TTLs, chains.

#[test]
fn counts_that_lie_are_refused() {
    let record = rr(QNAME, 1, 300, ADDRESS);
    let with = |counts| judge(&message(0x8180, counts, &[&question(WWW, 1), &record]), WWW, 1);
    let counts = Accepted::Refused { reason: RefusedReason::Counts, near_miss: true };
    assert_eq!(with([1, 0xffff, 0xffff, 0xffff]), counts);
    assert_eq!(with([1, 2, 0, 0]), counts);
    assert!(matches!(with([1, 1, 0, 0]), Accepted::Response(_)));
    let least = rr(b"\0", 16, 300, b"");
    assert_eq!(least.len(), RECORD_OCTETS_MIN);
    let many = vec![least; (STREAM_OCTETS_MAX - 12 - WWW.len() - 4) / RECORD_OCTETS_MIN];
    assert!(matches!(judge(&reply(WWW, 16, 0, &many, &[]), WWW, 16), Accepted::Response(_)));
}

#[test]
fn a_ttl_with_its_top_bit_set_is_zero_and_the_lowest_of_a_set_counts() {
    let lying = [rr(QNAME, 1, 0x8000_0000, ADDRESS), rr(QNAME, 1, 300, &[192, 0, 2, 2])];
    let response = accepted(&reply(WWW, 1, 0, &lying, &[]), &sent(WWW, 1, false));
    assert_eq!((response.ttl_s, response.ttls[0].ttl_s, response.ttls[1].ttl_s), (0, 0, 0));
    assert_eq!(&response.body[6..10], [0; 4]);
    for count in [2, 40] {
        let mut records = vec![rr(QNAME, 1, 300, ADDRESS); count];
        records[count - 1] = rr(b"\x03WWW\xc0\x10", 1, 60, ADDRESS);
        let response = accepted(&reply(WWW, 1, 0, &records, &[]), &sent(WWW, 1, false));
        assert!(response.ttls.iter().all(|ttl| ttl.ttl_s == 60), "{count} records");
    }
}

#[test]
fn a_negative_answer_lives_as_long_as_its_soa_says() {
    for (ttl_s, minimum_s, due_s) in [(300, 60, 60), (30, 60, 30), (300, 0x8000_0000, 0)] {
        let soa = rr(b"\xc0\x10", TYPE_SOA, ttl_s, &soa_rdata(minimum_s));
        for dnssec_ok in [false, true] {
            let octets = reply(WWW, 1, 3, &[], std::slice::from_ref(&soa));
            let response = accepted(&octets, &sent(WWW, 1, dnssec_ok));
            assert_eq!((response.negative, response.ttl_s), (Some(NegativeKind::Nxdomain), due_s));
        }
    }
    let response = accepted(&reply(WWW, 1, 3, &[], &[]), &sent(WWW, 1, false));
    assert_eq!((response.nscount, response.ttl_s), (0, 0));
}

#[test]
fn a_chain_has_at_most_eleven_links_and_never_comes_back() {
    let name = |step: usize| [&[2, b'n', b'a' + step as u8][..], b"\x03net\0"].concat();
    let chain = |links: usize| {
        let mut records = vec![rr(QNAME, TYPE_CNAME, 300, &name(1))];
        records.extend((1..links).map(|step| rr(&name(step), TYPE_CNAME, 300, &name(step + 1))));
        records.push(rr(&name(links), 1, 300, ADDRESS));
        records
    };
    let failure = Accepted::UpstreamFailure { rcode: RCODE_SERVFAIL, edns_refused: false };
    let response = accepted(&reply(WWW, 1, 0, &chain(CHAIN_LINKS_MAX), &[]), &sent(WWW, 1, false));
    assert_eq!(response.links.len(), CHAIN_LINKS_MAX);
    assert_eq!(response.name_at_end.as_deref(), Some(&name(CHAIN_LINKS_MAX)[..]));
    assert_eq!(judge(&reply(WWW, 1, 0, &chain(CHAIN_LINKS_MAX + 1), &[]), WWW, 1), failure);
    let back = [rr(QNAME, TYPE_CNAME, 300, &name(1)), rr(&name(1), TYPE_CNAME, 300, b"\xc0\x0c")];
    assert_eq!(judge(&reply(WWW, 1, 0, &back, &[]), WWW, 1), failure);
}

#[test]
fn a_dname_that_makes_a_name_too_long_is_refused() {
    let qname = [&b"\x03www"[..], &long_name(200)].concat();
    let dname = |octets| rr(&long_name(200), TYPE_DNAME, 300, &long_name(octets));
    assert_eq!(judge(&reply(&qname, 1, 0, &[dname(252)], &[]), &qname, 1), malformed());
    let response = accepted(&reply(&qname, 1, 0, &[dname(251)], &[]), &sent(&qname, 1, false));
    assert_eq!((response.ancount, response.links[0].target.len()), (2, 255));
}

#[test]
fn the_nearest_dname_is_followed_and_the_roots_reaches_every_name() {
    let lead = |dnames: &[Vec<u8>], target: &[u8]| {
        let answer = [dnames, &[rr(target, 1, 300, ADDRESS)]].concat();
        let response = accepted(&reply(WWW, 1, 0, &answer, &[]), &sent(WWW, 1, false));
        assert_eq!((response.links.len(), response.name_at_end.as_deref()), (1, Some(target)));
    };
    let at_root = rr(b"\0", TYPE_DNAME, 300, b"\x03far\0");
    lead(std::slice::from_ref(&at_root), b"\x03www\x07example\x03org\x03far\0");
    let nearer = rr(b"\x03ORG\0", TYPE_DNAME, 300, b"\x04near\0");
    lead(&[at_root.clone(), nearer], b"\x03www\x07example\x04near\0");
    // With no end to it the root's DNAME makes ever longer names.
    let failure = Accepted::UpstreamFailure { rcode: RCODE_SERVFAIL, edns_refused: false };
    assert_eq!(judge(&reply(WWW, 1, 0, &[at_root], &[]), WWW, 1), failure);
}

#[test]
fn service_records_are_read_to_their_end_or_refused() {
    let read = |rdata: &[u8]| {
        let answer = [rr(QNAME, TYPE_HTTPS, 300, rdata)];
        accept_response(&reply(WWW, TYPE_HTTPS, 0, &answer, &[]), &sent(WWW, TYPE_HTTPS, false))
    };
    let Accepted::Response(good) = read(b"\0\x01\x03SVC\0\0\x04\0\x04\xc0\0\x02\x01") else {
        panic!("refused");
    };
    assert_eq!(&*good.service_targets, [Box::from(&b"\x03svc\0"[..])]);
    assert_eq!(&good.addresses[..], [std::net::IpAddr::from([192, 0, 2, 1])]);
    let broken: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\0\x01",
        b"\0\x01\xc0\x0c",
        b"\0\x01\0\0\x04\0\x03\xc0\0\x02",
        b"\0\x01\0\0\x04\0\0",
        b"\0\x01\0\0\x04\0\x05\xc0\0\x02\x01",
        b"\0\x01\0\0\x03\0\0\0\x03\0\0",
    ];
    for rdata in broken {
        assert_eq!(read(rdata), malformed(), "{rdata:?}");
    }
}

#[test]
fn more_octets_than_a_message_can_have_are_refused() {
    let mut octets = reply(WWW, 1, 0, &[rr(QNAME, 1, 300, ADDRESS)], &[]);
    octets.resize(STREAM_OCTETS_MAX, 0);
    assert!(matches!(judge(&octets, WWW, 1), Accepted::Response(_)));
    octets.push(0);
    assert_eq!(judge(&octets, WWW, 1), malformed());
}
