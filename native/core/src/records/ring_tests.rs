//! The buffer between two threads; apart from it, since `native/models` includes its source.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ring::{each_record, ring, Consumer, Ended};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

fn ended(kind: u32, address: IpAddr, at: f64, octets: &[u8]) -> Ended<'_> {
    Ended { kind, has_hit: kind % 2 == 1, address, name: "", at, octets, why: &[], answer: None }
}

fn all(consumer: &mut Consumer) -> Vec<(u32, IpAddr, f64, Vec<u8>)> {
    let (mut words, mut found) = (Vec::new(), Vec::new());
    while consumer.take(&mut words, 1).0 > 0 {
        each_record(&words, |raw| found.push((raw.kind, raw.address, raw.at, raw.octets.to_vec())));
        words.clear();
    }
    found
}

#[test]
fn what_is_put_down_is_taken_in_order_whatever_its_length() {
    let (mut producer, mut consumer) = ring(1 << 16);
    let octets: Vec<u8> = (0..=255).collect();
    for length in 0..100 {
        let address = if length % 3 == 0 { V6 } else { V4 };
        producer.put(&ended(length as u32, address, length as f64 / 8.0, &octets[..length]));
    }
    let found = all(&mut consumer);
    assert_eq!(found.len(), 100);
    for (length, record) in found.into_iter().enumerate() {
        let address = if length % 3 == 0 { V6 } else { V4 };
        assert_eq!(record, (length as u32, address, length as f64 / 8.0, octets[..length].to_vec()));
    }
    assert_eq!(consumer.lost(false), 0);
}

#[test]
fn a_full_buffer_loses_what_comes_and_keeps_what_is_there() {
    let (mut producer, mut consumer) = ring(8 * 12); // 8 words: two records of four
    for kind in 0..5 {
        producer.put(&ended(kind, V4, 1.0, b"8 octets"));
    }
    assert_eq!((consumer.lost(false), consumer.lost(true)), (3, 1));
    assert_eq!(all(&mut consumer).iter().map(|record| record.0).collect::<Vec<_>>(), [0, 1]);
    producer.put(&ended(9, V4, 1.0, b"8 octets"));
    assert_eq!(all(&mut consumer), [(9, V4, 1.0, b"8 octets".to_vec())]);
    assert_eq!(consumer.lost(false), 3);
}

#[test]
fn what_is_longer_than_the_buffer_is_lost_and_nothing_else() {
    let (mut producer, mut consumer) = ring(64);
    producer.put(&ended(1, V4, 1.0, &[7; 100]));
    producer.put(&ended(2, V4, 1.0, b"short"));
    assert_eq!(consumer.lost(false), 1);
    assert_eq!(all(&mut consumer), [(2, V4, 1.0, b"short".to_vec())]);
}

#[test]
fn it_goes_round_and_round_and_loses_nothing_that_is_taken_in_time() {
    let (mut producer, mut consumer) = ring(512);
    let mut wanted = 0;
    for round in 0..1000usize {
        for number in 0..3 {
            producer.put(&ended((round * 3 + number) as u32, V6, 0.5, &vec![round as u8; round % 30]));
        }
        for record in all(&mut consumer) {
            assert_eq!(record, (wanted, V6, 0.5, vec![(wanted / 3) as u8; wanted as usize / 3 % 30]));
            wanted += 1;
        }
    }
    assert_eq!((wanted, consumer.lost(false)), (3000, 0));
}

#[test]
fn a_thread_that_takes_while_another_puts_sees_each_record_once() {
    const RECORDS: u32 = 200_000;
    let (mut producer, mut consumer) = ring(4096);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..RECORDS {
                producer.put(&ended(number, V4, f64::from(number), &number.to_le_bytes().repeat(5)));
            }
        });
        let (mut last, mut seen) = (None, 0u64);
        while seen + consumer.lost(false) < u64::from(RECORDS) {
            for (kind, address, at, octets) in all(&mut consumer) {
                assert!(last < Some(kind));
                assert_eq!((address, at, octets), (V4, f64::from(kind), kind.to_le_bytes().repeat(5)));
                last = Some(kind);
                seen += 1;
            }
        }
        assert!(seen > 0);
    });
}

#[test]
fn why_and_answer_come_back_as_they_were_put_down() {
    let (mut producer, mut consumer) = ring(1 << 16);
    let octets: Vec<u8> = (0..=255).collect();
    let mut wanted = Vec::new();
    for length in 0..100 {
        let answer = (length % 4 != 0).then_some(&octets[length..2 * length]);
        let address = if length % 3 == 0 { V6 } else { V4 };
        let put = Ended { why: &octets[..length % 20], answer, ..ended(7, address, 1.0, &octets[..length]) };
        producer.put(&put);
        wanted.push((
            address,
            octets[..length].to_vec(),
            octets[..length % 20].to_vec(),
            answer.map(<[u8]>::to_vec),
        ));
    }
    let (mut words, mut found) = (Vec::new(), Vec::new());
    assert_eq!(consumer.take(&mut words, usize::MAX), (100, 7));
    each_record(&words, |raw| {
        found.push((raw.address, raw.octets.to_vec(), raw.why.to_vec(), raw.answer.map(<[u8]>::to_vec)));
    });
    assert_eq!(found, wanted);
}

#[test]
fn what_no_record_can_hold_is_lost() {
    let (mut producer, mut consumer) = ring(1 << 20);
    let long = vec![0; 1 << 16];
    producer.put(&ended(1, V4, 1.0, &long));
    producer.put(&Ended { answer: Some(&long), ..ended(1, V4, 1.0, b"") });
    producer.put(&Ended { why: &long[..1024], ..ended(1, V4, 1.0, b"") });
    producer.put(&ended(2, V4, 1.0, &long[1..]));
    assert_eq!(consumer.lost(false), 3);
    assert_eq!(all(&mut consumer).len(), 1);
}

#[test]
fn a_client_s_name_is_taken_as_it_was_put_down_whatever_stands_around_it() {
    let (mut producer, mut consumer) = ring(1 << 14);
    let longest = "x".repeat(63);
    let names = ["", "a", "phones", "12345678", &longest];
    for (number, name) in names.iter().enumerate() {
        for address in [V4, V6] {
            for answer in [None, Some(&b"an answer"[..])] {
                let why = &b"because"[..number];
                producer.put(&Ended { name, why, answer, ..ended(number as u32, address, 1.0, b"a query") });
            }
        }
    }
    let (mut words, mut found) = (Vec::new(), Vec::new());
    while consumer.take(&mut words, 1).0 > 0 {
        each_record(&words, |raw| {
            assert_eq!(raw.octets, b"a query");
            assert_eq!(raw.why, &b"because"[..raw.kind as usize]);
            assert_eq!(raw.answer.unwrap_or(b"an answer"), b"an answer");
            found.push((raw.kind, raw.name.to_owned(), raw.address));
        });
        words.clear();
    }
    let expected: Vec<_> = (0..20)
        .map(|number| {
            (number / 4, names[number as usize / 4].to_owned(), if number % 4 < 2 { V4 } else { V6 })
        })
        .collect();
    assert_eq!(found, expected);
}
