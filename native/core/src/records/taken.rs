//! Records taken out of the buffers, together with what their numbers stand for.
//!
//! Knows: buffers and kinds.  Does not know: how either is made, what is done with a record.

use std::net::IpAddr;
use std::sync::Arc;

use super::kind::Kind;
use super::ring::{each_record, Consumer};

/// Words of one part, but for its last record: some 6,000 records of the usual length.
const PART_WORDS_MAX: usize = 1 << 16;

/// One thread's buffer, as its reader sees it.
pub struct Source {
    consumer: Consumer,
    kinds: Arc<Vec<Kind>>,
}

impl Source {
    /// Nothing read yet.
    pub fn new(consumer: Consumer) -> Source {
        Source { consumer, kinds: Arc::default() }
    }

    /// The records that wait, a part of them where they are many; None: there are none.
    ///
    /// `learn`: what the kinds from a number on are; asked only when records of new kinds have come.
    pub fn take(&mut self, learn: impl FnOnce(usize) -> Vec<Kind>) -> Option<Part> {
        let mut words = Vec::new();
        let (count, kind_max) = self.consumer.take(&mut words, PART_WORDS_MAX);
        if count == 0 {
            return None;
        }
        let known = self.kinds.len();
        if kind_max as usize >= known {
            Arc::make_mut(&mut self.kinds).extend(learn(known));
        }
        let mut part = Part { kinds: Arc::clone(&self.kinds), words, count, hits: 0 };
        let (mut told, mut hits) = (0, 0);
        part.each(|record| {
            told += 1;
            hits += usize::from(part.kinds.get(record.kind).is_some_and(Kind::has_hit));
        });
        (part.count, part.hits) = (told, hits);
        Some(part)
    }

    /// Records that found no room, since the beginning; `only_hits`: those that a rule blocked, or would have.
    pub fn lost(&self, only_hits: bool) -> u64 {
        self.consumer.lost(only_hits)
    }
}

/// Records of one thread, in their order.
pub struct Part {
    /// By number.
    pub kinds: Arc<Vec<Kind>>,
    words: Vec<u64>,
    count: usize,
    hits: usize,
}

/// One query and what became of it.
pub struct Record<'r> {
    /// The number of its kind in the part.
    pub kind: usize,
    /// The client's.
    pub address: IpAddr,
    /// The one it gave itself; empty: none.
    pub name: &'r str,
    /// When it was answered, monotonic seconds.
    pub at: f64,
    /// The query, whole.
    pub octets: &'r [u8],
    /// Why it was blocked, in octets; empty: it was not, or nobody wanted to know.
    pub why: &'r [u8],
    /// The answer, whole; None: it was dropped, or nobody wanted it.
    pub answer: Option<&'r [u8]>,
}

impl Part {
    /// Call `each` with every record but those of confidential rules.
    pub fn each(&self, mut each: impl FnMut(Record)) {
        each_record(&self.words, |raw| {
            if self.kinds.get(raw.kind as usize).is_some_and(Kind::is_confidential) {
                return;
            }
            each(Record {
                kind: raw.kind as usize,
                address: raw.address,
                name: raw.name,
                at: raw.at,
                octets: raw.octets,
                why: raw.why,
                answer: raw.answer,
            });
        });
    }
}

/// What was taken at one time from all threads.
#[derive(Default)]
pub struct Records {
    /// Thread by thread.
    pub parts: Vec<Part>,
}

impl Records {
    /// How many records; `only_hits`: that a rule blocked, or would have.
    pub fn count(&self, only_hits: bool) -> usize {
        self.parts.iter().map(|part| if only_hits { part.hits } else { part.count }).sum()
    }
}
