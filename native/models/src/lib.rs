//! The plane's lock-free parts under loom, which runs them in every order that threads and the memory model allow.
//!
//! Knows: the source files themselves, with loom's atomics in place of the standard library's.  Does not know:
//! descriptors, DNS.  What the queue between the threads does is left out: each thing put down is a flag of its own,
//! written and read with the weakest ordering that a queue must have.
#![cfg(test)]

mod atomic {
    pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
}

#[path = "../../core/src/records/ring.rs"]
mod ring;
#[path = "../../binding/src/signals.rs"]
mod signals;
#[path = "../../binding/src/wake_flag.rs"]
mod wake_flag;

use std::net::{IpAddr, Ipv4Addr};

use loom::sync::Arc;
use loom::thread;

use atomic::{AtomicBool, Ordering};
use ring::{each_record, ring, Consumer, Ended};
use signals::Signals;
use wake_flag::WakeFlag;

const PUSHERS: usize = 2;

struct Border {
    wake_flag: WakeFlag,
    wakeup: AtomicBool,
    put_down: [AtomicBool; PUSHERS],
}

impl Border {
    fn new() -> Arc<Border> {
        Arc::new(Border {
            wake_flag: WakeFlag::new(),
            wakeup: AtomicBool::new(false),
            put_down: [AtomicBool::new(false), AtomicBool::new(false)],
        })
    }

    fn push(&self, number: usize) {
        self.put_down[number].store(true, Ordering::Release);
        if self.wake_flag.set() {
            // An eventfd is written and read by system calls, which order nothing for the threads.
            self.wakeup.store(true, Ordering::Relaxed);
        }
    }

    /// How many things were found.
    fn drain(&self, clear: impl Fn(&WakeFlag)) -> usize {
        self.wakeup.swap(false, Ordering::Relaxed);
        clear(&self.wake_flag);
        self.put_down
            .iter()
            .filter(|flag| flag.load(Ordering::Acquire) && flag.swap(false, Ordering::AcqRel))
            .count()
    }
}

fn nothing_waits_unseen(clear: fn(&WakeFlag)) {
    loom::model(move || {
        let border = Border::new();
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|number| {
                let border = Arc::clone(&border);
                thread::spawn(move || border.push(number))
            })
            .collect();
        let mut found = border.drain(clear);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        if border.wakeup.load(Ordering::Relaxed) {
            found += border.drain(clear);
        }
        assert_eq!(found, PUSHERS, "something waits, and nobody is woken");
    });
}

#[test]
fn what_is_put_down_is_found_or_wakes() {
    nothing_waits_unseen(WakeFlag::clear);
}

#[test]
#[should_panic(expected = "nobody is woken")]
fn a_look_that_says_nothing_loses_things() {
    nothing_waits_unseen(|_| {});
}

const NEWS: u32 = 64;
const STOP: u32 = 4;

/// A thread's mailbox: news, each a flag of its own, what says so, and what the thread sleeps on.
struct Letters {
    signals: Signals,
    wakeup: AtomicBool,
    put_down: [AtomicBool; PUSHERS],
}

impl Letters {
    /// `StreamMailbox::put` and `ring`.
    fn put(&self, number: usize) {
        self.put_down[number].store(true, Ordering::Release);
        if self.signals.set(NEWS) {
            self.wakeup.store(true, Ordering::Relaxed);
        }
    }

    /// `StreamMailbox::take`: how many were found.
    fn take(&self) -> usize {
        self.signals.take(NEWS);
        let is_new = |flag: &&AtomicBool| flag.load(Ordering::Acquire) && flag.swap(false, Ordering::AcqRel);
        self.put_down.iter().filter(is_new).count()
    }

    /// `Mailbox::hear`, and what a thread does then: how many were found.
    fn hear(&self, look: fn(&Signals) -> u32) -> usize {
        self.wakeup.store(false, Ordering::Relaxed);
        if look(&self.signals) & NEWS != 0 {
            self.take()
        } else {
            0
        }
    }
}

fn no_letter_is_left(look: fn(&Signals) -> u32) {
    loom::model(move || {
        let letters = Arc::new(Letters {
            signals: Signals::new(),
            wakeup: AtomicBool::new(false),
            put_down: [AtomicBool::new(false), AtomicBool::new(false)],
        });
        let pushers: Vec<_> = (0..PUSHERS)
            .map(|number| {
                let letters = Arc::clone(&letters);
                thread::spawn(move || letters.put(number))
            })
            .collect();
        // A turn looks first, and hears of the wake-up that stands behind it.
        let mut found = letters.take();
        found += letters.hear(look);
        for pusher in pushers {
            pusher.join().unwrap();
        }
        if letters.wakeup.load(Ordering::Relaxed) {
            found += letters.hear(look);
            found += letters.take();
        }
        assert_eq!(found, PUSHERS, "a letter is left, and nobody is woken");
    });
}

#[test]
fn a_letter_is_found_or_wakes() {
    no_letter_is_left(Signals::look_again);
}

#[test]
#[should_panic(expected = "nobody is woken")]
fn who_does_not_look_behind_a_wake_up_loses_letters() {
    no_letter_is_left(|_| 0);
}

/// As it was found: the bit is there, and a mere load may not see it yet.
#[test]
#[should_panic(expected = "nobody is woken")]
fn who_only_loads_behind_a_wake_up_loses_letters() {
    no_letter_is_left(Signals::all);
}

#[test]
fn one_signal_wakes_for_itself_whatever_else_is_set() {
    loom::model(|| {
        let signals = Arc::new(Signals::new());
        signals.set(STOP);
        let other = Arc::clone(&signals);
        let ringing = thread::spawn(move || other.set(NEWS));
        signals.take(STOP);
        assert!(ringing.join().unwrap());
        assert!(signals.have(NEWS) && !signals.have(STOP));
    });
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

/// What it cannot show is that `read` must be released: loom lets no load of a thread happen after its own later
/// store, and that is what the release forbids.
#[test]
fn a_record_is_taken_whole_and_once_or_counted_as_lost() {
    loom::model(|| {
        let (mut producer, mut consumer) = ring(RING_OCTETS);
        let answering = thread::spawn(move || {
            for number in 1..=RECORDS {
                producer.put(&Ended {
                    kind: number,
                    has_hit: true,
                    address: CLIENT,
                    name: "",
                    at: f64::from(number),
                    octets: &u64::from(number).to_le_bytes(),
                    why: &[],
                    answer: None,
                });
            }
        });
        let mut found = taken(&mut consumer);
        found.extend(taken(&mut consumer));
        answering.join().unwrap();
        found.extend(taken(&mut consumer));
        assert!(found.windows(2).all(|two| two[0] < two[1]), "out of order: {found:?}");
        assert_eq!(found.len() as u64 + consumer.lost(true), u64::from(RECORDS));
    });
}
