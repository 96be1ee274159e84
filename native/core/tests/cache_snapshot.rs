//! A cache written down and read again knows what it knew; whatever is read does no harm.

use resolver_core::cache::{Cache, CacheConfig, Loaded, SnapshotPlace};
use resolver_core::wire::{accept_response, Accepted, Question, Response, SentQuery};

fn cache(octets_max: usize) -> Cache {
    Cache::new(CacheConfig { octets_max, ..CacheConfig::default() })
}

fn name(number: u32) -> Vec<u8> {
    let label = format!("n{number:07}");
    [&[label.len() as u8], label.as_bytes(), b"\x07example\x03org\0"].concat()
}

fn answer(qname: &[u8], number: u32) -> Response {
    let header = b"\0\0\x80\x80\0\x01\0\x01\0\0\0\0";
    let record = b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04";
    let octets = [header, qname, b"\0\x01\0\x01", record, &number.to_be_bytes()].concat();
    let sent = SentQuery::over_udp(0, qname, 1, false, false).unwrap();
    match accept_response(&octets, &sent) {
        Accepted::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

fn filled(octets_max: usize, count: u32) -> Cache {
    let cache = cache(octets_max);
    for number in 0..count {
        let qname = name(number);
        cache.store(Question::plain(&qname, 1), answer(&qname, number), 0.0, |_| ());
    }
    cache
}

/// All records, so many octets at a time.
fn written(cache: &Cache, octets_max: usize) -> (Vec<u8>, u32) {
    let (mut octets, mut steps) = (Vec::new(), 0);
    let mut place = Some(SnapshotPlace::default());
    while let Some(at) = place {
        // It crosses to Python as a number.
        let at = SnapshotPlace::from_bits(at.to_bits());
        place = cache.snapshot(at, octets_max, 1.0, &mut octets);
        steps += 1;
    }
    (octets, steps)
}

#[test]
fn all_of_a_large_cache_is_written_in_small_steps_and_read_again() {
    let before = filled(16 << 20, 20_000);
    let (octets, steps) = written(&before, 10_000);
    // 20,000 records of some 70 octets; a step is over within a few seats of its bound.
    assert!(steps > 100, "{steps}");
    let after = cache(16 << 20);
    assert_eq!(after.load(&octets, 10.0, 100.0), Loaded { kept: 20_000, refused: 0 });
    assert_eq!(after.audit(), None);
    for number in (0..20_000).step_by(97) {
        let qname = name(number);
        let same = after.lookup(Question::plain(&qname, 1), 100.0, |entry| {
            let entry = entry.expect("it is known");
            // Stored at 0, written at 1, read 10 s later at 100.
            assert!((entry.stored_at - 89.0).abs() < 1e-6 && (entry.expires_at - 389.0).abs() < 1e-6);
            entry.response.as_ref() == Some(&answer(&qname, number))
        });
        assert!(same);
    }
}

#[test]
fn a_smaller_cache_takes_what_fits() {
    let (octets, _) = written(&filled(16 << 20, 20_000), 100_000);
    let after = cache(1 << 20);
    assert_eq!(after.load(&octets, 0.0, 1.0).kept, 20_000);
    let counters = after.counters();
    assert!(counters.octets <= 1 << 20 && counters.entries > 1000 && counters.evictions > 0);
    assert_eq!(after.audit(), None);
}

#[test]
fn a_cache_that_is_off_writes_and_keeps_nothing() {
    assert_eq!(written(&filled(0, 10), 1000).0, b"");
    let (octets, _) = written(&filled(1 << 20, 10), 1000);
    assert_eq!(cache(0).load(&octets, 0.0, 1.0), Loaded { kept: 0, refused: 10 });
}

#[test]
fn it_may_be_written_while_others_store() {
    let cache = filled(4 << 20, 1000);
    std::thread::scope(|scope| {
        let storing = scope.spawn(|| {
            for number in 1000..40_000 {
                let qname = name(number);
                cache.store(Question::plain(&qname, 1), answer(&qname, number), 0.0, |_| ());
            }
        });
        while !storing.is_finished() {
            let (octets, _) = written(&cache, 5000);
            let after = Cache::new(*cache.config());
            assert_eq!(after.load(&octets, 0.0, 1.0).refused, 0);
        }
    });
    assert_eq!(cache.audit(), None);
}
