//! The plane's lock-free parts under loom, which runs them in every order that threads and the memory model allow.
//!
//! Knows: the source files themselves, with loom's atomics in place of the standard library's.  Does not know:
//! descriptors, DNS.  What the queue between the threads does is left out: each thing put down is a flag of its own,
//! written and read with the weakest ordering that a queue must have.
#![cfg(test)]

mod atomic {
    pub use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

#[path = "../../core/src/records/ring.rs"]
mod ring;
#[path = "../../binding/src/summons.rs"]
mod summons;

use std::net::{IpAddr, Ipv4Addr};

use loom::sync::Arc;
use loom::thread;

use atomic::{AtomicBool, Ordering};
use ring::{each_record, ring, Consumer};
use summons::Summons;

const PUSHERS: usize = 2;

struct Border {
    summons: Summons,
    bell: AtomicBool,
    put_down: [AtomicBool; PUSHERS],
}

impl Border {
    fn new() -> Arc<Border> {
        Arc::new(Border {
            summons: Summons::new(),
            bell: AtomicBool::new(false),
            put_down: [AtomicBool::new(false), AtomicBool::new(false)],
        })
    }

    fn push(&self, number: usize) {
        self.put_down[number].store(true, Ordering::Release);
        if self.summons.call() {
            // An eventfd is written and read by system calls, which order nothing for the threads.
            self.bell.store(true, Ordering::Relaxed);
        }
    }

    /// How many things were found.
    fn drain(&self, answer: impl Fn(&Summons)) -> usize {
        self.bell.swap(false, Ordering::Relaxed);
        answer(&self.summons);
        self.put_down
            .iter()
            .filter(|flag| flag.load(Ordering::Acquire) && flag.swap(false, Ordering::AcqRel))
            .count()
    }
}

fn nothing_waits_unheard(answer: fn(&Summons)) {
    loom::model(move || {
        let border = Border::new();
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|number| {
                let border = Arc::clone(&border);
                thread::spawn(move || border.push(number))
            })
            .collect();
        let mut found = border.drain(answer);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        if border.bell.load(Ordering::Relaxed) {
            found += border.drain(answer);
        }
        assert_eq!(found, PUSHERS, "something waits, and the bell is silent");
    });
}

#[test]
fn what_is_put_down_is_found_or_rings() {
    nothing_waits_unheard(Summons::answer);
}

#[test]
#[should_panic(expected = "the bell is silent")]
fn a_look_that_says_nothing_loses_things() {
    nothing_waits_unheard(|_| {});
}

/// Words that the buffer holds: two records of four.
const RING_OCTETS: usize = 8 * 8;
const RECORDS: u32 = 3;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// The numbers of the records that wait, each of which must be whole.
fn taken(consumer: &mut Consumer) -> Vec<u32> {
    let (mut words, mut kinds) = (Vec::new(), Vec::new());
    consumer.take(&mut words, usize::MAX);
    each_record(&words, |raw| {
        let number = u64::from(raw.kind);
        assert_eq!((raw.address, raw.at), (CLIENT, number as f64), "a record is not whole");
        assert_eq!(raw.octets, number.to_le_bytes(), "a record is not whole");
        kinds.push(raw.kind);
    });
    kinds
}

#[test]
fn a_record_is_taken_whole_and_once_or_counted_as_lost() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(RING_OCTETS);
        let answering = thread::spawn(move || {
            for number in 1..=RECORDS {
                producer.put(number, CLIENT, f64::from(number), &u64::from(number).to_le_bytes());
            }
        });
        let mut found = taken(&mut consumer);
        found.extend(taken(&mut consumer));
        answering.join().unwrap();
        found.extend(taken(&mut consumer));
        assert!(found.windows(2).all(|two| two[0] < two[1]), "out of order: {found:?}");
        assert_eq!(found.len() as u64 + consumer.lost(), u64::from(RECORDS));
    });
}
