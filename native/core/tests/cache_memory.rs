//! The cache's account of its memory beside the kernel's.  Alone in its process: nobody else may allocate.

#![cfg(target_os = "linux")]

use resolver_core::cache::{Cache, CacheConfig};
use resolver_core::wire::{ChainLink, Question, Response, Ttl};
use std::net::{IpAddr, Ipv4Addr};

const OCTETS_MAX: usize = 24 << 20;

fn resident_octets() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Answers as they come: most with a record or two, some with a chain, a few large.
fn answer(random: u32) -> Response {
    let records = [1, 1, 1, 2, 4, 1, 8, 3][random as usize % 8];
    let links = usize::from(random >> 3 & 3 == 0) * (1 + (random >> 5 & 1) as usize);
    let octets = if random >> 6 & 15 == 0 { (random >> 10) as usize % 2000 } else { 0 };
    let target: Box<[u8]> = b"\x03www\x03cdn\x07example\x03net\0"[..].into();
    Response {
        rcode: 0,
        authentic_data: false,
        body: vec![0; 16 * records + 40 * links + octets].into(),
        ancount: records as u16,
        nscount: 0,
        ttls: (0..records + links).map(|at| Ttl { offset: 16 * at as u16 + 6, ttl_s: 300 }).collect(),
        negative: None,
        ttl_s: 300,
        links: (0..links).map(|_| ChainLink { target: target.clone(), end: 16, ancount: 1 }).collect(),
        service_targets: Box::default(),
        addresses: (0..records as u32).map(|at| IpAddr::V4(Ipv4Addr::from(at))).collect(),
        name_at_end: (links > 0).then_some(target),
    }
}

fn fill(cache: &Cache, names: std::ops::Range<u32>) {
    let mut state = names.start;
    for number in names {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let label = format!("{number:0width$}", width = 3 + (state >> 12) as usize % 30);
        let qname = [&[label.len() as u8], label.as_bytes(), b"\x07example\0"].concat();
        cache.store(Question::plain(&qname, 1), answer(state >> 8), 0.0, |kept| assert!(kept.is_ok()));
    }
}

#[test]
fn what_it_says_it_takes_is_what_it_takes() {
    let before = resident_octets();
    let cache = Cache::new(CacheConfig { octets_max: OCTETS_MAX, ..CacheConfig::default() });
    // Half full; full; and after every entry was replaced several times over.
    for names in [0..20_000, 20_000..100_000, 100_000..300_000] {
        fill(&cache, names.clone());
        let grown = (resident_octets() - before) as f64;
        let counters = cache.counters();
        let ratio = grown / counters.octets as f64;
        println!("{} names: {counters:?}, grown by {grown}: {ratio:.3}", names.end);
        assert!((0.9..1.1).contains(&ratio), "{ratio:.3} after {} names", names.end);
    }
    assert!(cache.counters().octets > OCTETS_MAX as u64 * 9 / 10);
}
