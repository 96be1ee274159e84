//! A bounded buffer of records between one thread that answers and one that reads.
//!
//! Knows: how a record lies in words.  Does not know: what its numbers stand for, who reads it.
//! Theory: one writes, one reads, and neither ever waits.  The words are relaxed atomics, so that they need no
//! `unsafe`; `written` is released behind a record and acquired before it is read, `read` the other way round
//! before its words are written again.  `native/models` tries every order in which the two can meet, as far as
//! loom can.
//!
//! A record: the kind's number and lengths; the time; the answer's length, if that is kept; the address, one word
//! or two; the client's name, if it has one, in a word for its length and eight for its octets; the query, why it was
//! blocked, and the answer, eight octets in a word each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::atomic::{AtomicU64, Ordering};

/// In the first word, above the lengths: the address is IPv6, the answer is kept, the client has a name.
const IS_IPV6: u64 = 1 << 63;
const HAS_ANSWER: u64 = 1 << 62;
const HAS_NAME: u64 = 1 << 61;
const LENGTH_AT: u32 = 32;
const LENGTH_MAX: usize = (1 << 16) - 1;
const WHY_LENGTH_AT: u32 = 48;
const WHY_LENGTH_MAX: usize = (1 << 10) - 1;

/// Words before the address, without the answer's length.
const HEAD_WORDS: usize = 2;
const WORD_OCTETS: usize = 8;
/// Of a name, whatever its length: nearly no client has one.
const NAME_WORDS: usize = 9;
const NAME_LENGTH_MAX: usize = (NAME_WORDS - 1) * WORD_OCTETS;

/// On cache lines of its own: the other thread writes next door.
#[repr(align(128))]
struct Apart(AtomicU64);

struct Ring {
    words: Box<[AtomicU64]>,
    /// Words written, and words read, since the beginning.
    written: Apart,
    read: Apart,
    /// Records that found no room, and those of them that a rule blocked, or would have.
    lost: AtomicU64,
    lost_hits: AtomicU64,
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
        lost_hits: AtomicU64::new(0),
    });
    (Producer { ring: Arc::clone(&ring), written: 0, read: 0 }, Consumer { ring, read: 0 })
}

/// One query that ended, as it is put down.
#[derive(Clone, Copy)]
pub struct Ended<'e> {
    /// The number of its kind.
    pub kind: u32,
    /// Whether a rule blocked it, or would have.
    pub has_hit: bool,
    /// The client's.
    pub address: IpAddr,
    /// The one it gave itself; empty: none.
    pub name: &'e str,
    /// Monotonic seconds.
    pub at: f64,
    /// The query, whole.
    pub octets: &'e [u8],
    /// Why it was blocked: `Why` in octets; empty: it was not, or nobody wants to know.
    pub why: &'e [u8],
    /// The answer, whole; None: there is none, or nobody wants it.
    pub answer: Option<&'e [u8]>,
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
    pub fn put(&mut self, ended: &Ended) {
        let (address, address_words, mut marks) = match ended.address {
            IpAddr::V4(address) => ([u64::from(u32::from(address)), 0], 1, 0),
            IpAddr::V6(address) => {
                let bits = u128::from(address);
                ([(bits >> 64) as u64, bits as u64], 2, IS_IPV6)
            }
        };
        let (octets, why, answer) = (ended.octets, ended.why, ended.answer.unwrap_or_default());
        let name = ended.name.as_bytes();
        let is_sound = octets.len() <= LENGTH_MAX
            && why.len() <= WHY_LENGTH_MAX
            && answer.len() <= LENGTH_MAX
            && name.len() <= NAME_LENGTH_MAX;
        marks |= if ended.answer.is_some() { HAS_ANSWER } else { 0 };
        marks |= if name.is_empty() { 0 } else { HAS_NAME };
        let words = HEAD_WORDS
            + usize::from(ended.answer.is_some())
            + address_words
            + if name.is_empty() { 0 } else { NAME_WORDS }
            + octets.len().div_ceil(WORD_OCTETS)
            + why.len().div_ceil(WORD_OCTETS)
            + answer.len().div_ceil(WORD_OCTETS);
        if !is_sound || !self.has_room(words as u64) {
            self.lose(ended.has_hit);
            return;
        }
        let mut next = self.written;
        let mut push = |word: u64| {
            self.ring.word(next).store(word, Ordering::Relaxed);
            next += 1;
        };
        let lengths = (octets.len() as u64) << LENGTH_AT | (why.len() as u64) << WHY_LENGTH_AT;
        push(u64::from(ended.kind) | lengths | marks);
        push(ended.at.to_bits());
        if ended.answer.is_some() {
            push(answer.len() as u64);
        }
        address[..address_words].iter().for_each(|&word| push(word));
        if !name.is_empty() {
            push(name.len() as u64);
            let mut padded = [0; NAME_LENGTH_MAX];
            padded[..name.len()].copy_from_slice(name);
            push_octets(&padded, &mut push);
        }
        for octets in [octets, why, answer] {
            push_octets(octets, &mut push);
        }
        self.written = next;
        self.ring.written.0.store(next, Ordering::Release);
    }

    /// Nobody else writes these counts.
    fn lose(&self, has_hit: bool) {
        for (count, more) in [(&self.ring.lost, 1), (&self.ring.lost_hits, u64::from(has_hit))] {
            let lost = count.load(Ordering::Relaxed);
            count.store(lost + more, Ordering::Relaxed);
        }
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

/// Push octets, eight in a word, the last word padded.
#[inline]
fn push_octets(octets: &[u8], push: &mut impl FnMut(u64)) {
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
            let third = self.ring.word(self.read + HEAD_WORDS as u64).load(Ordering::Relaxed);
            let end = self.read + Shape::of(first, third).words() as u64;
            into.extend((self.read..end).map(|at| self.ring.word(at).load(Ordering::Relaxed)));
            self.read = end;
            count += 1;
            kind_max = kind_max.max(first as u32);
        }
        self.ring.read.0.store(self.read, Ordering::Release);
        (count, kind_max)
    }

    /// Records that found no room, since the beginning; `only_hits`: those that a rule blocked, or would have.
    pub fn lost(&self, only_hits: bool) -> u64 {
        let count = if only_hits { &self.ring.lost_hits } else { &self.ring.lost };
        count.load(Ordering::Relaxed)
    }
}

/// How a record lies in words.
struct Shape {
    address_words: usize,
    name_words: usize,
    octets: usize,
    why: usize,
    answer: Option<usize>,
}

impl Shape {
    /// Of the record that begins with `first`; `third` holds its answer's length, if it has one.
    fn of(first: u64, third: u64) -> Shape {
        Shape {
            address_words: if first & IS_IPV6 == 0 { 1 } else { 2 },
            name_words: if first & HAS_NAME == 0 { 0 } else { NAME_WORDS },
            octets: (first >> LENGTH_AT) as usize & LENGTH_MAX,
            why: (first >> WHY_LENGTH_AT) as usize & WHY_LENGTH_MAX,
            answer: (first & HAS_ANSWER != 0).then_some(third as usize & LENGTH_MAX),
        }
    }

    /// Words before the address.
    fn head(&self) -> usize {
        HEAD_WORDS + usize::from(self.answer.is_some())
    }

    fn words(&self) -> usize {
        let lengths = [self.octets, self.why, self.answer.unwrap_or(0)];
        let octet_words = lengths.iter().map(|length| length.div_ceil(WORD_OCTETS)).sum::<usize>();
        self.head() + self.address_words + self.name_words + octet_words
    }
}

/// A record as it was put down.
pub struct Raw<'w> {
    /// The number of its kind.
    pub kind: u32,
    /// The client's.
    pub address: IpAddr,
    /// The one it gave itself; empty: none.
    pub name: &'w str,
    /// Monotonic seconds.
    pub at: f64,
    /// The query, whole.
    pub octets: &'w [u8],
    /// Why it was blocked; empty: it was not, or nobody wanted to know.
    pub why: &'w [u8],
    /// The answer, whole, if it was kept.
    pub answer: Option<&'w [u8]>,
}

/// Call `each` with every record in `words`, which `Consumer::take` has filled.
pub fn each_record(words: &[u64], mut each: impl FnMut(Raw)) {
    let (mut name, mut octets, mut why, mut answer) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut rest = words;
    while let [first, at, third, ..] = *rest {
        let shape = Shape::of(first, third);
        let (record, behind) = rest.split_at(shape.words().min(rest.len()));
        rest = behind;
        let head = shape.head();
        let address = match record.get(head..head + shape.address_words) {
            Some(&[upper, lower]) => IpAddr::V6(Ipv6Addr::from(u128::from(upper) << 64 | u128::from(lower))),
            Some(&[whole]) => IpAddr::V4(Ipv4Addr::from(whole as u32)),
            _ => return,
        };
        let mut from = head + shape.address_words;
        name.clear();
        if let Some([length, words @ ..]) = record.get(from..from + shape.name_words) {
            name.extend(words.iter().flat_map(|word| word.to_le_bytes()));
            name.truncate(*length as usize);
        }
        from += shape.name_words;
        for (into, length) in
            [(&mut octets, shape.octets), (&mut why, shape.why), (&mut answer, shape.answer.unwrap_or(0))]
        {
            let to = from + length.div_ceil(WORD_OCTETS);
            into.clear();
            let part = record.get(from..to).unwrap_or_default();
            into.extend(part.iter().flat_map(|word| word.to_le_bytes()));
            into.truncate(length);
            from = to;
        }
        each(Raw {
            kind: first as u32,
            address,
            name: std::str::from_utf8(&name).unwrap_or_default(),
            at: f64::from_bits(at),
            octets: &octets,
            why: &why,
            answer: shape.answer.is_some().then_some(&answer),
        });
    }
}
