//! A bounded buffer of records between one thread that answers and one that reads.
//!
//! Knows: how a record lies in words.  Does not know: what its numbers stand for, who reads it.
//! Theory: one writes, one reads, and neither ever waits.  The words are relaxed atomics, so that they need no
//! `unsafe`; `written` is released behind a record and acquired before it is read, `read` the other way round
//! before its words are written again.  `native/models` tries every order in which the two can meet, as far as
//! loom can.
//!
//! A record: the kind's number and the octets' length; the time; the address, one word or two; the octets, eight
//! in a word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::atomic::{AtomicU64, Ordering};

/// In the first word, above the length: the address is IPv6.
const IS_IPV6: u64 = 1 << 63;
const LENGTH_AT: u32 = 32;
const LENGTH_MAX: u64 = (1 << 31) - 1;

/// Words before the address.
const HEAD_WORDS: usize = 2;
const WORD_OCTETS: usize = 8;

/// On cache lines of its own: the other thread writes next door.
#[repr(align(128))]
struct Apart(AtomicU64);

struct Ring {
    words: Box<[AtomicU64]>,
    /// Words written, and words read, since the beginning.
    written: Apart,
    read: Apart,
    /// Records that found no room.
    lost: AtomicU64,
}

impl Ring {
    fn word(&self, at: u64) -> &AtomicU64 {
        &self.words[at as usize & (self.words.len() - 1)]
    }
}

/// A buffer of at most `octets_max` octets: its two ends.
pub fn ring(octets_max: usize) -> (Producer, Consumer) {
    let words = (octets_max / WORD_OCTETS).max(1);
    let words = 1 << words.ilog2();
    let ring = Arc::new(Ring {
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        written: Apart(AtomicU64::new(0)),
        read: Apart(AtomicU64::new(0)),
        lost: AtomicU64::new(0),
    });
    (Producer { ring: Arc::clone(&ring), written: 0, read: 0 }, Consumer { ring, read: 0 })
}

/// The end of the thread that answers.
pub struct Producer {
    ring: Arc<Ring>,
    written: u64,
    /// As last looked at.
    read: u64,
}

impl Producer {
    /// Add a record; where there is no room for it, count it as lost.
    pub fn put(&mut self, kind: u32, address: IpAddr, at: f64, octets: &[u8]) {
        let (address, address_words, mark) = match address {
            IpAddr::V4(address) => ([u64::from(u32::from(address)), 0], 1, 0),
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                ([(bits >> 64) as u64, bits as u64], 2, IS_IPV6)
            }
        };
        let length = octets.len() as u64;
        let words = HEAD_WORDS + address_words + octets.len().div_ceil(WORD_OCTETS);
        if length > LENGTH_MAX || !self.has_room(words as u64) {
            // Nobody else writes it.
            let lost = self.ring.lost.load(Ordering::Relaxed);
            self.ring.lost.store(lost + 1, Ordering::Relaxed);
            return;
        }
        let mut next = self.written;
        let mut push = |word: u64| {
            self.ring.word(next).store(word, Ordering::Relaxed);
            next += 1;
        };
        push(u64::from(kind) | length << LENGTH_AT | mark);
        push(at.to_bits());
        address[..address_words].iter().for_each(|&word| push(word));
        for octets in octets.chunks(WORD_OCTETS) {
            push(match octets.try_into() {
                Ok(whole) => u64::from_le_bytes(whole),
                Err(_) => {
                    let mut padded = [0; WORD_OCTETS];
                    padded[..octets.len()].copy_from_slice(octets);
                    u64::from_le_bytes(padded)
                }
            });
        }
        self.written = next;
        self.ring.written.0.store(next, Ordering::Release);
    }

    fn has_room(&mut self, words: u64) -> bool {
        let capacity = self.ring.words.len() as u64;
        if self.written + words - self.read <= capacity {
            return true;
        }
        self.read = self.ring.read.0.load(Ordering::Acquire);
        self.written + words - self.read <= capacity
    }
}

/// The end of the reader.
pub struct Consumer {
    ring: Arc<Ring>,
    read: u64,
}

impl Consumer {
    /// Move what waits to the end of `into`, whole records, until that holds `words_max` words or more; how many
    /// records, and the largest number of a kind among them.
    pub fn take(&mut self, into: &mut Vec<u64>, words_max: usize) -> (usize, u32) {
        let written = self.ring.written.0.load(Ordering::Acquire);
        let (mut count, mut kind_max) = (0, 0);
        while self.read < written && into.len() < words_max {
            let first = self.ring.word(self.read).load(Ordering::Relaxed);
            let end = self.read + words_of(first) as u64;
            into.extend((self.read..end).map(|at| self.ring.word(at).load(Ordering::Relaxed)));
            self.read = end;
            count += 1;
            kind_max = kind_max.max(first as u32);
        }
        self.ring.read.0.store(self.read, Ordering::Release);
        (count, kind_max)
    }

    /// Records that found no room, since the beginning.
    pub fn lost(&self) -> u64 {
        self.ring.lost.load(Ordering::Relaxed)
    }
}

/// Words of the record that begins with `first`.
fn words_of(first: u64) -> usize {
    let address_words = if first & IS_IPV6 == 0 { 1 } else { 2 };
    HEAD_WORDS + address_words + length_of(first).div_ceil(WORD_OCTETS)
}

fn length_of(first: u64) -> usize {
    (first >> LENGTH_AT & LENGTH_MAX) as usize
}

/// A record as it was put down.
pub struct Raw<'w> {
    /// The number of its kind.
    pub kind: u32,
    /// The client's.
    pub address: IpAddr,
    /// Monotonic seconds.
    pub at: f64,
    /// The query, whole.
    pub octets: &'w [u8],
}

/// Call `each` with every record in `words`, which `Consumer::take` has filled.
pub fn each_record(words: &[u64], mut each: impl FnMut(Raw)) {
    let mut octets = Vec::new();
    let mut rest = words;
    while let [first, at, address, ..] = *rest {
        let end = words_of(first).min(rest.len());
        let (record, behind) = rest.split_at(end);
        rest = behind;
        let (address, head) = match record.get(HEAD_WORDS + 1) {
            Some(&second) if first & IS_IPV6 != 0 => {
                let bits = u128::from(address) << 64 | u128::from(second);
                (IpAddr::V6(Ipv6Addr::from(bits)), HEAD_WORDS + 2)
            }
            _ => (IpAddr::V4(Ipv4Addr::from(address as u32)), HEAD_WORDS + 1),
        };
        octets.clear();
        octets.extend(record[head..].iter().flat_map(|word| word.to_le_bytes()));
        octets.truncate(length_of(first));
        each(Raw { kind: first as u32, address, at: f64::from_bits(at), octets: &octets });
    }
}
