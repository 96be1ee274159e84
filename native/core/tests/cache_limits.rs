//! A full cache keeps what is used, takes no more memory than it says, and serves many threads at once.

use resolver_core::cache::{Cache, CacheConfig};
use resolver_core::wire::{NegativeKind, Question, Response, Ttl};
use smallvec::smallvec;
use std::net::{IpAddr, Ipv4Addr};

/// Debug builds are some twenty times slower and test the same.
const SCANNED: u32 = if cfg!(debug_assertions) { 200_000 } else { 2_000_000 };

fn cache(octets_max: usize) -> Cache {
    Cache::new(CacheConfig { octets_max, ..CacheConfig::default() })
}

fn name(kind: &str, number: u32) -> Vec<u8> {
    let label = format!("{kind}{number:07}");
    [&[label.len() as u8], label.as_bytes(), b"\x07example\x03org\0"].concat()
}

/// An A record, the number its address, and octets behind it.
fn answer(number: u32, octets: usize) -> Response {
    let mut body = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04".to_vec();
    body.extend_from_slice(&number.to_be_bytes());
    body.resize(16 + octets, 0);
    Response {
        rcode: 0,
        authentic_data: false,
        body: body.into(),
        ancount: 1,
        nscount: 0,
        ttls: smallvec![Ttl { offset: 6, ttl_s: 300 }],
        negative: None,
        ttl_s: 300,
        links: Box::default(),
        service_targets: Box::default(),
        addresses: smallvec![IpAddr::V4(Ipv4Addr::from(number))],
        name_at_end: None,
    }
}

fn is_known(cache: &Cache, qname: &[u8]) -> bool {
    cache.lookup(Question::plain(qname, 1), 1.0, |entry| entry.is_some())
}

fn store(cache: &Cache, qname: &[u8], response: Response) -> bool {
    cache.store(Question::plain(qname, 1), response, 0.0, |kept| kept.is_ok())
}

/// One client's question: from the cache, or fetched and kept.
fn ask(cache: &Cache, qname: &[u8]) -> bool {
    is_known(cache, qname) || !store(cache, qname, answer(1, 0))
}

#[test]
fn a_hot_set_survives_a_scan_of_one_time_names() {
    // Room for about twice the hot set; it is used twice while the scan goes on.
    let octets_max = 8 << 20;
    let cache = cache(octets_max);
    let hot: Vec<_> = (0..10_000).map(|number| name("hot", number)).collect();
    for _ in 0..3 {
        for qname in &hot {
            ask(&cache, qname);
        }
    }
    for number in 0..SCANNED {
        ask(&cache, &name("scan", number));
        if number % (SCANNED / 2) == SCANNED / 4 {
            for qname in &hot {
                ask(&cache, qname);
            }
        }
        if number % 4096 == 0 {
            assert!(cache.counters().octets <= octets_max as u64);
        }
    }
    let survivors = hot.iter().filter(|qname| is_known(&cache, qname)).count();
    assert!(survivors >= 9_900, "{survivors} of 10000 left");
    assert!(cache.counters().evictions > u64::from(SCANNED) * 9 / 10);
    assert_eq!(cache.audit(), None);
}

#[test]
fn one_time_names_do_not_survive_a_scan() {
    let cache = cache(1 << 20);
    for number in 0..500 {
        ask(&cache, &name("cold", number));
    }
    for number in 0..10_000 {
        ask(&cache, &name("scan", number));
    }
    assert!((0..500).all(|number| !is_known(&cache, &name("cold", number))));
}

#[test]
fn octets_stay_within_the_bound_whatever_the_sizes() {
    let cache = cache(300_000);
    for number in 0..6000 {
        // Small ones first, then large ones: seats must not be kept for those that were.
        let most = if number < 3000 { 100 } else { 4000 };
        store(&cache, &name("any", number % 900), answer(1, number as usize * 7919 % most));
        assert!(cache.counters().octets <= 300_000);
    }
    assert!(cache.counters().evictions > 0);
    assert_eq!(cache.audit(), None);
    // 2,000 octets an answer: room for 140 or so were nothing else in the way.
    assert!(cache.counters().entries > 90, "{:?}", cache.counters());
}

#[test]
fn the_smallest_caches_stay_within_their_bounds_too() {
    for octets_max in (0..64).map(|number| 1 + number * 1031) {
        let cache = cache(octets_max);
        for number in 0..300 {
            store(&cache, &name("tiny", number), answer(1, number as usize % 100));
            cache.store_failure(Question::plain(&name("fail", number), 1), (22, ""), 0.0);
            assert!(cache.counters().octets <= octets_max as u64, "{octets_max}: {:?}", cache.counters());
        }
        assert_eq!(cache.audit(), None);
        let entries = cache.counters().entries;
        assert!(if octets_max < 8 << 10 { entries == 0 } else { entries >= 8 }, "{octets_max}: {entries}");
    }
}

#[test]
fn no_store_pushes_out_many() {
    for (octets_max, octets) in [(1 << 20, 0), (2 << 20, 0), (3 << 20, 90), (2 << 20, 180), (3 << 20, 46)] {
        let cache = cache(octets_max);
        let (mut most, mut evictions) = (0, 0);
        for number in 0..40_000 {
            store(&cache, &name("small", number), answer(1, octets));
            let evicted = cache.counters().evictions - evictions;
            evictions += evicted;
            most = evicted.max(most);
        }
        assert!(most <= 4, "{octets_max}: {most} entries pushed out by one");
        let counters = cache.counters();
        assert!(counters.octets > octets_max as u64 * 15 / 16, "{octets_max}: {counters:?}");
    }
}

#[test]
fn an_answer_too_large_for_its_shard_is_given_back_and_voids_the_older_one() {
    let cache = cache(100_000);
    let qname = name("large", 0);
    assert!(store(&cache, &qname, answer(1, 0)));
    let back = cache.store(Question::plain(&qname, 1), answer(2, 20_000), 1.0, |kept| kept.err());
    assert_eq!(back.map(|response| response.body.len()), Some(20_016));
    assert!(!is_known(&cache, &qname));
    assert_eq!(cache.audit(), None);
}

#[test]
fn the_largest_message_fits_any_cache_of_some_megabytes() {
    for octets_max in [1 << 20, 5 << 20, 64 << 20, 4 << 30] {
        let cache = cache(octets_max);
        let octets = if octets_max < 4 << 20 { 60_000 } else { 65_535 };
        assert!(store(&cache, &name("large", 0), answer(1, octets - 16)), "{octets_max}");
    }
}

#[test]
fn a_cache_of_zero_octets_keeps_nothing() {
    let cache = cache(0);
    let qname = name("off", 0);
    assert!(!store(&cache, &qname, answer(1, 0)));
    let until =
        cache.store_failure_with(Question::plain(&qname, 1), (22, "why"), 5.0, |entry| entry.failed_until);
    assert_eq!(until, 6.0);
    assert!(!is_known(&cache, &qname));
    let counters = cache.counters();
    assert_eq!((counters.entries, counters.octets, counters.misses), (0, 0, 1));
}

#[test]
fn a_look_may_judge_and_the_judgement_goes_with_the_answer() {
    let cache = cache(1 << 20);
    let qname = name("judged", 0);
    cache.store(Question::plain(&qname, 1), answer(1, 0), 0.0, |kept| {
        kept.ok().unwrap().judged_generation = 7;
    });
    let generation =
        || cache.lookup(Question::plain(&qname, 1), 1.0, |entry| entry.unwrap().judged_generation);
    assert_eq!(generation(), 7);
    let before = cache.counters().octets;
    cache.lookup(Question::plain(&qname, 1), 1.0, |entry| {
        entry.unwrap().judgement = Some(Box::new(resolver_core::policy::Verdict::PASS));
    });
    assert!(cache.counters().octets > before);
    assert_eq!(cache.audit(), None);
    store(&cache, &qname, answer(2, 0));
    assert_eq!(generation(), resolver_core::cache::NOT_JUDGED);
    assert_eq!(cache.counters().octets, before);
}

#[test]
fn threads_never_see_each_others_names() {
    let octets_max = 600_000;
    let cache = cache(octets_max);
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let cache = &cache;
            scope.spawn(move || {
                let mut state = thread;
                for step in 0..50_000u32 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let number = (state >> 8) % 5000;
                    let qname = name("shared", number);
                    let now = f64::from(step) / 100.0;
                    match state >> 28 {
                        0..=3 => store(cache, &qname, answer(number, state as usize % 300)),
                        4 => {
                            let denial =
                                Response { negative: Some(NegativeKind::Nxdomain), ..answer(number, 0) };
                            store(cache, &qname, denial)
                        }
                        5 => {
                            cache.store_failure(
                                Question::plain(&qname, 1),
                                (22, "no upstream answered"),
                                now,
                            );
                            true
                        }
                        _ => cache.lookup(Question::plain(&qname, 1), now, |entry| {
                            let Some(response) = entry.and_then(|entry| entry.response.as_ref()) else {
                                return false;
                            };
                            assert_eq!(response.body[12..16], number.to_be_bytes());
                            true
                        }),
                    };
                    if step % 1000 == 0 {
                        assert!(cache.counters().octets <= octets_max as u64);
                    }
                }
            });
        }
    });
    assert_eq!(cache.audit(), None);
    let counters = cache.counters();
    assert!(counters.hits > 0 && counters.misses > 0 && counters.evictions > 0);
}
