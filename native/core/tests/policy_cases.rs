//! The golden policy cases: an image, then names, answers and messages; every engine must agree with them.
//!
//! Knows: the spelling of `tests/vectors/policy.yaml`.  Does not know: what is right, beyond the file.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use resolver_core::cache::{Cache, CacheConfig};
use resolver_core::flow::{
    ClientNames, Clients, Flow, FlowConfig, Networks, Outcome, Peer, Proxies, Standing, Tallies, Transport,
};
use resolver_core::local::LocalNames;
use resolver_core::policy::{
    policy_answer, AnswerForm, Exemption, Image, Judgement, PolicyAction, PolicyAnswer, PolicyTable,
    StructuredErrors, Verdict,
};
use resolver_core::wire::encode::AskedOptions;
use resolver_core::wire::is_at_or_below;
use resolver_core::wire::outcomes::{ChainLink, Response};
use resolver_core::wire::query::parse_query;
use resolver_core::wire::Question;
use serde::Deserialize;

#[derive(Deserialize)]
struct Policy {
    name: String,
    image: String,
    tables: Vec<Table>,
}

#[derive(Deserialize)]
struct Table {
    wall: f64,
    monotonic: f64,
    group: u8,
    is_filtering: bool,
    names: Option<Vec<NameFact>>,
    responses: Option<Vec<ResponseFact>>,
    answers: Option<Vec<AnswerFact>>,
}

#[derive(Deserialize)]
struct NameFact {
    qname: String,
    #[serde(flatten)]
    verdict: VerdictFact,
}

#[derive(Debug, Deserialize)]
struct VerdictFact {
    action: String,
    rule: Option<u16>,
    form: Option<String>,
    owner: Option<String>,
    shadow: Option<u16>,
    #[serde(default)]
    exemption: u8,
    denied: Option<String>,
    #[serde(default)]
    nxdomain_ok: bool,
    valid_until: Option<f64>,
    #[serde(default)]
    kept_links: u16,
    over_stream: Option<Box<VerdictFact>>,
}

#[derive(Deserialize)]
struct ResponseFact {
    qname: String,
    links: Vec<String>,
    services: Vec<String>,
    addresses: Vec<String>,
    end: Option<String>,
    #[serde(default)]
    over_stream: bool,
    judgement: Option<VerdictFact>,
}

#[derive(Deserialize)]
struct AnswerFact {
    query: String,
    response: Option<usize>,
    kept: Option<(String, u16)>,
    limit: usize,
    later_s: f64,
    structured: Option<(u16, u8, String, String)>,
    answer: Option<String>,
}

fn policies() -> Vec<Policy> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/policy.yaml");
    serde_norway::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn from_base64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        bits = bits << 6 | LETTERS.iter().position(|&known| known == letter).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

fn open(policy: &Policy) -> Arc<Image> {
    let image = Image::open(Box::new(from_base64(&policy.image))).unwrap();
    image.verify().unwrap();
    Arc::new(image)
}

fn assert_agrees(verdict: &Verdict, fact: &VerdictFact, qname: &[u8], context: &str) {
    assert_eq!(verdict.action.label(), fact.action, "{context}");
    assert_eq!(verdict.matched.map(|known| known.rule), fact.rule, "{context}");
    let form = verdict.matched.and_then(|known| known.form).map(|form| form.label().to_owned());
    assert_eq!(form, fact.form, "{context}");
    assert_eq!(verdict.shadow, fact.shadow, "{context}");
    assert_eq!(verdict.exemption as u8, fact.exemption, "{context}");
    assert_eq!(verdict.nxdomain_ok, fact.nxdomain_ok, "{context}");
    assert_eq!(verdict.valid_until, fact.valid_until.unwrap_or(f64::INFINITY), "{context}");
    assert_eq!(verdict.kept_links, fact.kept_links, "{context}");
    let base = verdict.denied.as_deref().unwrap_or(qname);
    if let Some(denied) = &fact.denied {
        assert_eq!(base, octets(denied), "{context}");
    }
    if let (Some(matched), Some(owner)) = (verdict.matched, &fact.owner) {
        let owner = octets(owner);
        if matched.form.is_some() && is_at_or_below(base, &owner) {
            assert_eq!(base[usize::from(matched.owner_offset)..], owner, "{context}");
        } else {
            assert_eq!(matched.owner_offset, 0, "{context}");
        }
    }
    assert_eq!(verdict.over_stream.is_some(), fact.over_stream.is_some(), "{context}");
    if let (Some(verdict), Some(fact)) = (&verdict.over_stream, &fact.over_stream) {
        assert_agrees(verdict, fact, qname, context);
    }
}

fn response_of(fact: &ResponseFact) -> Response {
    let link = |target: &String| ChainLink { target: octets(target).into(), end: 0, ancount: 0 };
    let address = |packed: &String| -> IpAddr {
        let packed = octets(packed);
        match <[u8; 4]>::try_from(&*packed) {
            Ok(ipv4) => ipv4.into(),
            Err(_) => <[u8; 16]>::try_from(&*packed).unwrap().into(),
        }
    };
    Response {
        rcode: 0,
        authentic_data: false,
        body: Box::new([]),
        ancount: 0,
        nscount: 0,
        ttls: Default::default(),
        negative: None,
        ttl_s: 300,
        links: fact.links.iter().map(link).collect(),
        service_targets: fact.services.iter().map(|name| octets(name).into()).collect(),
        addresses: fact.addresses.iter().map(address).collect(),
        name_at_end: fact.end.as_ref().map(|name| octets(name).into()),
    }
}

fn judge(table: &PolicyTable, fact: &ResponseFact, now: f64) -> (Verdict, Judgement) {
    let qname = octets(&fact.qname);
    let mut verdict = table.judge_name(&qname, now);
    if fact.over_stream {
        verdict = verdict.over_stream();
    }
    let judgement = table.judge_response(&verdict, &qname, &response_of(fact), now);
    (verdict, judgement)
}

fn told_answer(table: &PolicyTable, fact: &AnswerFact, judgements: &[Verdict], now: f64) -> Option<String> {
    let message = octets(&fact.query);
    let query = parse_query(&message).unwrap();
    let verdict = match fact.response {
        Some(place) => judgements[place].clone(),
        None => table.judge_name(&query.qname, now),
    };
    let kept = fact.kept.as_ref().map(|(chain, count)| (octets(chain), *count));
    let kept = kept.as_ref().map(|(chain, count)| (&**chain, *count));
    let structured = fact.structured.clone().map(|(option_code, sub_error, organization, language)| {
        let form = StructuredErrors { option_code, sub_error, organization, language };
        assert!(form.is_asked_by(&query));
        form
    });
    let form = AnswerForm {
        limit: fact.limit,
        kept,
        structured: structured.as_ref(),
        asked: AskedOptions::default(),
    };
    let mut out = b"left over".to_vec();
    match policy_answer(table, &query, &verdict, form, now + fact.later_s, &mut out) {
        PolicyAnswer::Drop => None,
        PolicyAnswer::Redirect => Some("redirect".to_owned()),
        PolicyAnswer::Written { rcode } => {
            assert_eq!(out[3] & 0xF, rcode);
            Some(out.iter().map(|octet| format!("{octet:02x}")).collect())
        }
    }
}

#[test]
fn a_policy_says_what_the_vector_says() {
    for policy in policies() {
        let image = open(&policy);
        for facts in &policy.tables {
            let now = facts.monotonic;
            let table = PolicyTable::new(image.clone(), 1, facts.wall, now).for_group(facts.group);
            assert_eq!(table.is_filtering(), facts.is_filtering);
            for fact in facts.names.iter().flatten() {
                let qname = octets(&fact.qname);
                let context = format!("{} at {}: {}", policy.name, facts.wall, qname.escape_ascii());
                let verdict = table.judge_name(&qname, now);
                assert_agrees(&verdict, &fact.verdict, &qname, &context);
            }
            let mut judgements = Vec::new();
            for (place, fact) in facts.responses.iter().flatten().enumerate() {
                let context = format!("{} at {}: response {place}", policy.name, facts.wall);
                let (verdict, judgement) = judge(&table, fact, now);
                match (&judgement, &fact.judgement) {
                    (Judgement::Same, None) => {}
                    (Judgement::Other(verdict), Some(told)) => {
                        assert_agrees(verdict, told, &octets(&fact.qname), &context)
                    }
                    (_, told) => panic!("{context}: {judgement:?} is not {told:?}"),
                }
                judgements.push(match judgement {
                    Judgement::Same => verdict,
                    Judgement::Other(verdict) => *verdict,
                });
            }
            for (place, fact) in facts.answers.iter().flatten().enumerate() {
                let context = format!("{} at {}: answer {place}", policy.name, facts.wall);
                assert_eq!(told_answer(&table, fact, &judgements, now), fact.answer, "{context}");
            }
        }
    }
}

/// A flow whose cache knows all answers of a policy's facts.
fn flow_over(policy: &Policy, wall: f64, now: f64) -> Flow {
    let config = FlowConfig {
        clients: Clients::new(&[]),
        limiter: None,
        rotate_addresses: true,
        local: LocalNames::new(&[]),
        structured_errors: None,
        keepalive_units: [0, 100],
        nsid: Vec::new(),
        proxies: Proxies::default(),
        client_names: ClientNames::default(),
        trusted_proxies: Networks::default(),
        in_flight_max: 8,
        waiters_max: 8,
        waiting_max: 8,
        audit_secret: None,
    };
    let flow = Flow::new(config, Arc::new(Cache::new(CacheConfig::default())));
    flow.publish(PolicyTable::new(open(policy), 1, wall, now));
    for fact in policy.tables.iter().flat_map(|facts| facts.responses.iter().flatten()) {
        let qname = octets(&fact.qname);
        flow.cache().store(Question::plain(&qname, 1), response_of(fact), now, |kept| assert!(kept.is_ok()));
    }
    flow
}

/// What a client of this group gets for a question of type A.
fn answer_to(flow: &Flow, group: u8, transport: Transport, qname: &[u8], now: f64) -> (Outcome, Vec<u8>) {
    let address = IpAddr::from([192, 0, 2, group]);
    let peer = Peer { address, transport, standing: Standing { group, is_allowed: true }, name: None };
    let query = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", qname, &[0, 1, 0, 1]].concat();
    let (mut out, mut tallies) = (Vec::new(), Tallies::new());
    let policy = flow.policy();
    let outcome = flow.answer_now(policy.as_deref().unwrap(), &query, &peer, now, &mut out, &mut tallies);
    (outcome, if outcome == Outcome::Respond { out } else { Vec::new() })
}

#[test]
fn groups_share_a_cache_and_get_the_answers_that_they_get_alone() {
    let mut unlike = 0;
    for policy in policies() {
        let Some(Table { wall, monotonic: now, .. }) = policy.tables.first() else { continue };
        let groups: Vec<u8> = policy.tables.iter().map(|facts| facts.group).collect();
        let qnames = policy.tables.iter().flat_map(|facts| facts.responses.iter().flatten());
        let qnames: Vec<Vec<u8>> = qnames.map(|fact| octets(&fact.qname)).collect();
        let shared = flow_over(&policy, *wall, *now);
        for transport in [Transport::Udp, Transport::Tcp] {
            let alone: Vec<(u8, Flow)> =
                groups.iter().map(|&group| (group, flow_over(&policy, *wall, *now))).collect();
            for qname in qnames.iter().chain(&qnames) {
                let mut first = None;
                for (group, flow) in &alone {
                    let expected = answer_to(flow, *group, transport, qname, *now);
                    let context = format!("{}: {} for {group}", policy.name, qname.escape_ascii());
                    assert_eq!(answer_to(&shared, *group, transport, qname, *now), expected, "{context}");
                    unlike += usize::from(*first.get_or_insert_with(|| expected.clone()) != expected);
                }
            }
        }
    }
    assert!(unlike > 0, "no group gets anything of its own");
}

#[test]
fn octets_that_are_no_name_match_nothing() {
    let policies = policies();
    let table = PolicyTable::new(open(&policies[0]), 1, 0.0, 0.0);
    for name in [&b""[..], b"\x05plain\x07example", b"\x05pl", b"\xff", &[1; 300], &[0; 300]] {
        assert!(table.judge_name(name, 0.0).is_pass());
        assert!(table.judge_target(name, 0.0).is_pass());
    }
}

#[test]
fn every_change_of_an_image_is_noticed_or_harmless() {
    let policies = policies();
    let octets = from_base64(&policies[1].image);
    for at in 0..octets.len() {
        let mut changed = octets.clone();
        changed[at] ^= 0x5A;
        if let Ok(image) = Image::open(Box::new(changed)) {
            assert!(image.verify().is_err());
            use_all(Arc::new(image), &policies[1]);
        }
    }
    for end in 0..octets.len() {
        assert!(Image::open(Box::new(octets[..end].to_vec())).is_err());
    }
}

/// Ask everything of a table that may say anything.
fn use_all(image: Arc<Image>, policy: &Policy) {
    for facts in &policy.tables {
        let now = facts.monotonic;
        let table = PolicyTable::new(image.clone(), 1, facts.wall, now).for_group(facts.group);
        let responses = facts.responses.iter().flatten();
        let mut judgements = Vec::new();
        for fact in responses {
            let (verdict, judgement) = judge(&table, fact, now);
            judgements.push(match judgement {
                Judgement::Same => verdict,
                Judgement::Other(verdict) => *verdict,
            });
        }
        for fact in facts.answers.iter().flatten() {
            told_answer(&table, fact, &judgements, now);
        }
        for fact in facts.names.iter().flatten() {
            let verdict = table.judge_target(&octets(&fact.qname), now);
            assert!(verdict.action != PolicyAction::Passthru || verdict.exemption <= Exemption::All);
            if let Some(matched) = verdict.matched {
                assert!(!table.rule(matched.rule).kind.label().is_empty());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn a_mutated_image_never_panics(
        place in 0usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0usize..4), 1..12),
    ) {
        thread_local! {
            static POLICIES: Vec<(Policy, Vec<u8>)> = policies().into_iter()
                .map(|policy| { let octets = from_base64(&policy.image); (policy, octets) })
                .collect();
        }
        POLICIES.with(|policies| {
            let (policy, octets) = &policies[place];
            let mut octets = octets.clone();
            for (at, value, region) in changes {
                // The header, the sections before META, anywhere; whole words as well as octets.
                let end = [256, 4096, octets.len(), octets.len()][region].min(octets.len());
                let at = at.index(end);
                octets[at] = value;
                if region == 3 && at + 4 <= octets.len() {
                    octets[at..at + 4].fill(0xFF);
                }
            }
            if let Ok(image) = Image::open(Box::new(octets)) {
                use_all(Arc::new(image), policy);
            }
        });
    }
}
