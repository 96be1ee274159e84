//! The cache beside a model of it that has no limits and no cleverness.

use proptest::prelude::*;
use resolver_core::cache::{Cache, CacheConfig, Entry};
use resolver_core::wire::{ChainLink, NegativeKind, Question, Response, Ttl};
use smallvec::smallvec;
use std::collections::HashMap;

const DENIAL: u32 = 1 << 16;

/// What is answered; the TTLs are seconds.
#[derive(Clone, Debug)]
enum Answer {
    Positive(Vec<u32>),
    Nodata(u32),
    Nxdomain(u32),
    NxdomainBehindCname(u32, u32),
    WithoutSoa(NegativeKind),
}

#[derive(Clone, Debug)]
enum Step {
    Look(Asked),
    Store(Asked, Answer, usize),
    Fail(Asked, &'static str),
    Wait(f64),
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    name: u16,
    qtype: u16,
    dnssec_ok: bool,
    checking_disabled: bool,
}

impl Asked {
    fn qname(self) -> Vec<u8> {
        let label = format!("name{}", self.name);
        [&[label.len() as u8], label.as_bytes(), b"\x07example\0"].concat()
    }

    fn with<'q>(self, qname: &'q [u8]) -> Question<'q> {
        let Asked { qtype, dnssec_ok, checking_disabled, .. } = self;
        Question { qname, qtype, dnssec_ok, checking_disabled }
    }

    fn key(self, qtype: u32) -> (u16, u32) {
        (self.name, qtype << 2 | u32::from(self.dnssec_ok) << 1 | u32::from(self.checking_disabled))
    }
}

/// `mark` stands behind the records, to tell answers apart.
fn response(answer: &Answer, mark: &[u8]) -> Response {
    let (ttls_s, negative, links) = match answer {
        Answer::Positive(ttls_s) => (ttls_s.clone(), None, 0),
        Answer::Nodata(ttl_s) => (vec![*ttl_s], Some(NegativeKind::Nodata), 0),
        Answer::Nxdomain(ttl_s) => (vec![*ttl_s], Some(NegativeKind::Nxdomain), 0),
        Answer::NxdomainBehindCname(one, two) => (vec![*one, *two], Some(NegativeKind::Nxdomain), 1),
        Answer::WithoutSoa(kind) => (vec![], Some(*kind), 0),
    };
    let mut body = Vec::new();
    let mut ttls = smallvec![];
    for &ttl_s in &ttls_s {
        body.extend_from_slice(b"\xc0\x0c\0\x01\0\x01");
        ttls.push(Ttl { offset: body.len() as u16, ttl_s });
        body.extend_from_slice(&ttl_s.to_be_bytes());
        body.extend_from_slice(b"\0\x04\xc0\0\x02\x01");
    }
    body.extend_from_slice(mark);
    let target: Box<[u8]> = b"\x03end\x07example\0"[..].into();
    Response {
        rcode: if negative == Some(NegativeKind::Nxdomain) { 3 } else { 0 },
        authentic_data: false,
        body: body.into(),
        ancount: ttls_s.len() as u16,
        nscount: 0,
        ttls,
        negative,
        ttl_s: ttls_s.iter().copied().min().unwrap_or(0),
        links: (0..links).map(|_| ChainLink { target: target.clone(), end: 16, ancount: 1 }).collect(),
        service_targets: Box::default(),
        addresses: smallvec!["192.0.2.1".parse().unwrap(); ttls_s.len()],
        name_at_end: (links > 0).then_some(target),
    }
}

/// Body, TTLs, lifetime, and which denial.
type SeenResponse = (Vec<u8>, Vec<u32>, u32, Option<NegativeKind>);

/// An entry as far as anyone can tell.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    response: Option<SeenResponse>,
    stored_at: f64,
    expires_at: f64,
    stale_until: f64,
    failed_until: f64,
    failure_ttl_s: f64,
    failure: Option<(u16, String)>,
}

impl Seen {
    const NOTHING: Seen = Seen {
        response: None,
        stored_at: f64::NEG_INFINITY,
        expires_at: f64::NEG_INFINITY,
        stale_until: f64::NEG_INFINITY,
        failed_until: f64::NEG_INFINITY,
        failure_ttl_s: 0.0,
        failure: None,
    };

    fn of(entry: &mut Entry) -> Seen {
        let response = entry.response.as_ref();
        Seen {
            response: response.map(|response| {
                let ttls_s = response.ttls.iter().map(|ttl| ttl.ttl_s).collect();
                (response.body.to_vec(), ttls_s, response.ttl_s, response.negative)
            }),
            stored_at: entry.stored_at,
            expires_at: entry.expires_at,
            stale_until: entry.stale_until,
            failed_until: entry.failed_until,
            failure_ttl_s: entry.failure_ttl_s,
            failure: entry.failure.as_ref().map(|(code, text)| (*code, text.to_string())),
        }
    }

    fn is_usable(&self, now: f64) -> bool {
        self.response.is_some() && now < self.stale_until
    }
}

/// A table without limits.
struct Model {
    config: CacheConfig,
    table: HashMap<(u16, u32), Seen>,
    hits: u64,
    misses: u64,
}

impl Model {
    /// Where the answer may be: a denial is none beside records of the type, for it is another type's.
    fn keys(&self, question: Asked) -> Vec<(u16, u32)> {
        let mut keys = vec![question.key(question.qtype.into()), question.key(DENIAL)];
        let typed = self.table.get(&keys[0]).and_then(|seen| seen.response.as_ref());
        if typed.is_some_and(|(_, _, _, negative)| negative.is_none()) {
            keys.pop();
        }
        keys
    }

    fn usable(&self, question: Asked, now: f64) -> Option<(u16, u32)> {
        let keys = self.keys(question);
        let usable = |key: &&(u16, u32)| self.table.get(*key).is_some_and(|seen| seen.is_usable(now));
        // Of two learned at once the answer of the type is preferred.
        let newest = |one: (u16, u32), other: (u16, u32)| {
            if self.table[&other].stored_at > self.table[&one].stored_at {
                other
            } else {
                one
            }
        };
        keys.iter().filter(usable).copied().reduce(newest)
    }

    fn lookup(&mut self, question: Asked, now: f64) -> Option<Seen> {
        let keys = self.keys(question);
        let fresh = keys.iter().find(|key| self.table.get(key).is_some_and(|seen| now < seen.expires_at));
        let failing =
            || keys[..1].iter().find(|key| self.table.get(key).is_some_and(|s| now < s.failed_until));
        let found = fresh.copied().or_else(|| self.usable(question, now)).or_else(|| failing().copied());
        let seen = found.map(|key| self.table[&key].clone());
        if fresh.is_some() || seen.as_ref().is_some_and(|seen| now < seen.failed_until) {
            self.hits += 1;
        } else {
            self.misses += 1;
        }
        seen
    }

    fn store(&mut self, question: Asked, answer: &Answer, mark: &[u8], now: f64) -> Option<Seen> {
        let plain = response(answer, mark);
        let config = &self.config;
        let is_positive = plain.negative.is_none();
        let bounded_s = |ttl_s: u32| {
            if is_positive {
                ttl_s.max(config.ttl_min_s).min(config.ttl_max_s)
            } else {
                ttl_s.min(config.negative_ttl_max_s)
            }
        };
        let ttl_s = bounded_s(plain.ttl_s);
        if ttl_s == 0 {
            return None;
        }
        let bounded = match answer {
            Answer::Positive(ttls_s) => Answer::Positive(ttls_s.iter().map(|&ttl| bounded_s(ttl)).collect()),
            Answer::Nodata(ttl) => Answer::Nodata(bounded_s(*ttl)),
            Answer::Nxdomain(ttl) => Answer::Nxdomain(bounded_s(*ttl)),
            Answer::NxdomainBehindCname(one, two) => {
                Answer::NxdomainBehindCname(bounded_s(*one), bounded_s(*two))
            }
            Answer::WithoutSoa(kind) => Answer::WithoutSoa(*kind),
        };
        let bounded = response(&bounded, mark);
        let mut keys = [question.key(question.qtype.into()), question.key(DENIAL)];
        if matches!(answer, Answer::Nxdomain(_)) {
            keys.reverse();
        }
        self.table.entry(keys[1]).and_modify(|seen| *seen = Seen::NOTHING);
        let ttls_s = bounded.ttls.iter().map(|ttl| ttl.ttl_s).collect();
        let seen = Seen {
            response: Some((bounded.body.to_vec(), ttls_s, ttl_s, bounded.negative)),
            stored_at: now,
            expires_at: now + f64::from(ttl_s),
            stale_until: now + f64::from(ttl_s) + f64::from(config.stale_max_s),
            ..Seen::NOTHING
        };
        self.table.insert(keys[0], seen.clone());
        Some(seen)
    }

    fn fail(&mut self, question: Asked, text: &str, now: f64) -> Seen {
        let typed = question.key(question.qtype.into());
        let key = self.usable(question, now).unwrap_or(typed);
        let seen = self.table.entry(key).or_insert(Seen::NOTHING);
        if !seen.is_usable(now) && seen.response.is_some() {
            *seen = Seen::NOTHING;
        }
        if now >= seen.failed_until {
            let in_a_row = now < seen.failed_until + seen.failure_ttl_s;
            seen.failure_ttl_s = if in_a_row { (seen.failure_ttl_s * 2.0).min(5.0) } else { 1.0 };
            seen.failed_until = now + seen.failure_ttl_s;
            seen.failure = Some((22, text.to_owned()));
        }
        seen.clone()
    }
}

fn questions(names: u16) -> impl Strategy<Value = Asked> {
    let qtypes = prop_oneof![Just(1u16), Just(28), Just(16), Just(65_280)];
    (0..names, qtypes, prop::bool::weighted(0.2), prop::bool::weighted(0.1)).prop_map(
        |(name, qtype, dnssec_ok, checking_disabled)| Asked { name, qtype, dnssec_ok, checking_disabled },
    )
}

fn answers() -> impl Strategy<Value = Answer> {
    let ttl = || {
        prop_oneof![
            Just(0u32),
            Just(1),
            Just(5),
            Just(59),
            Just(60),
            Just(100),
            Just(3600),
            Just(86_401),
            Just(u32::MAX)
        ]
    };
    prop_oneof![
        4 => prop::collection::vec(ttl(), 1..4).prop_map(Answer::Positive),
        1 => ttl().prop_map(Answer::Nodata),
        2 => ttl().prop_map(Answer::Nxdomain),
        1 => (ttl(), ttl()).prop_map(|(one, two)| Answer::NxdomainBehindCname(one, two)),
        1 => prop_oneof![Just(NegativeKind::Nxdomain), Just(NegativeKind::Nodata)]
            .prop_map(Answer::WithoutSoa),
    ]
}

fn steps(names: u16, octets_max: usize) -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![Just(0.0), Just(0.5), Just(1.0), Just(3.0), Just(55.0), Just(100.0), Just(4000.0)];
    let step = prop_oneof![
        4 => questions(names).prop_map(Step::Look),
        4 => (questions(names), answers(), 0..octets_max)
            .prop_map(|(question, answer, octets)| Step::Store(question, answer, octets)),
        2 => (questions(names), prop_oneof![Just(""), Just("no upstream answered, all of them were asked")])
            .prop_map(|(question, text)| Step::Fail(question, text)),
        2 => wait.prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..300)
}

fn configs(octets_max: usize) -> impl Strategy<Value = CacheConfig> {
    let stale = prop_oneof![Just(0u32), Just(50), Just(86_400)];
    let bounds = prop_oneof![Just((0u32, 86_400u32)), Just((60, 86_400)), Just((2, 90)), Just((5, 10))];
    (bounds, prop_oneof![Just(3600u32), Just(30), Just(0)], stale).prop_map(
        move |((ttl_min_s, ttl_max_s), negative_ttl_max_s, stale_max_s)| CacheConfig {
            octets_max,
            ttl_min_s,
            ttl_max_s,
            negative_ttl_max_s,
            stale_max_s,
        },
    )
}

fn look(cache: &Cache, question: Asked, now: f64) -> Option<Seen> {
    cache.lookup(question.with(&question.qname()), now, |entry| entry.map(Seen::of))
}

fn store(cache: &Cache, question: Asked, response: Response, now: f64) -> Option<Seen> {
    cache.store(question.with(&question.qname()), response, now, |kept| kept.ok().map(Seen::of))
}

fn fail(cache: &Cache, question: Asked, text: &str, now: f64) -> Seen {
    let ede = (22, text);
    cache.store_failure_with(question.with(&question.qname()), ede, now, Seen::of)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// With room for everything, each look-up, store and failure is what the model says.
    #[test]
    fn a_cache_with_room_does_as_the_model(config in configs(8 << 20), steps in steps(12, 40)) {
        let cache = Cache::new(config);
        let mut model = Model { config, table: HashMap::new(), hits: 0, misses: 0 };
        let mut now = 1000.0;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Look(question) => {
                    prop_assert_eq!(look(&cache, question, now), model.lookup(question, now));
                }
                Step::Store(question, answer, octets) => {
                    let mark = vec![number as u8; octets];
                    let kept = store(&cache, question, response(&answer, &mark), now);
                    prop_assert_eq!(kept, model.store(question, &answer, &mark, now));
                }
                Step::Fail(question, text) => {
                    prop_assert_eq!(fail(&cache, question, text, now), model.fail(question, text, now));
                }
                Step::Wait(wait_s) => now += wait_s,
            }
        }
        let counters = cache.counters();
        prop_assert_eq!((counters.hits, counters.misses), (model.hits, model.misses));
        prop_assert_eq!(counters.entries, model.table.len() as u64);
        prop_assert_eq!(counters.evictions, 0);
        prop_assert_eq!(cache.audit(), None);
    }

    /// A full one never serves another question's answer nor passes its limit, and its books are in order.
    #[test]
    fn a_full_cache_forgets_but_never_mixes_up(
        config in (8_000usize..40_000).prop_flat_map(configs), steps in steps(200, 900)
    ) {
        let cache = Cache::new(config);
        let mut now = 1000.0;
        for step in steps {
            match step {
                Step::Look(question) => {
                    if let Some((body, _, _, negative)) = look(&cache, question, now).and_then(|s| s.response) {
                        let denied = negative == Some(NegativeKind::Nxdomain);
                        let mark = body.iter().position(|&octet| octet == b'|').map(|at| &body[at..]);
                        let typed = mark_of(question, u32::from(question.qtype));
                        let denial = mark_of(question, DENIAL);
                        prop_assert!(mark.is_some_and(|mark| mark.starts_with(&typed)
                            || denied && mark.starts_with(&denial)));
                    }
                }
                Step::Store(question, answer, octets) => {
                    let is_denial = matches!(answer, Answer::Nxdomain(_));
                    let mut mark = mark_of(question, if is_denial { DENIAL } else { question.qtype.into() });
                    mark.resize(mark.len() + octets, b'-');
                    store(&cache, question, response(&answer, &mark), now);
                }
                Step::Fail(question, text) => {
                    prop_assert_eq!(fail(&cache, question, text, now).failure.map(|(code, _)| code), Some(22));
                }
                Step::Wait(wait_s) => now += wait_s,
            }
            prop_assert!(cache.counters().octets <= config.octets_max as u64);
        }
        prop_assert_eq!(cache.audit(), None);
    }
}

fn mark_of(question: Asked, qtype: u32) -> Vec<u8> {
    format!("|{:?}|", question.key(qtype)).into_bytes()
}
