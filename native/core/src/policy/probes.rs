//! Judging many names at once, so that their waits for memory overlap.
//!
//! Knows: the steps of a look-up, each of which needs what the one before it read.  Does not know: whose names
//! they are, which rule wins.
//! Theory: a table of a million names fits no cache, so a name that is listed costs three waits for memory one
//! after the other: its tag, its place, its record.  Whoever takes each step for a handful of names before the
//! next step waits once for all of them, as long as the step is so short that the CPU, which goes on while it
//! waits for a read, reaches the reads of the next names.

use std::hint::black_box;
use std::ops::Range;

use arrayvec::ArrayVec;

use super::image::Probe;
use super::image_format::u32_at;
use super::suffixes::SUFFIXES_AT_ONCE;
use super::table::PolicyTable;
use crate::verdict::Verdict;

/// Names looked up together: enough that their waits overlap, few enough for the nearest cache.
pub const NAMES_ABREAST: usize = 16;

/// The suffixes of at most `NAMES_ABREAST` names on their way through a look-up.
#[derive(Default)]
pub struct Probes {
    suffixes: ArrayVec<(u8, Probe), { NAMES_ABREAST * SUFFIXES_AT_ONCE }>,
}

/// Where one name's suffixes stand in a `Probes`; None: it has too many, and is judged alone.
pub type Place = Option<Range<u8>>;

impl PolicyTable {
    /// Begin to judge a name (wire form, lower case): its suffixes are hashed.
    #[inline]
    pub fn probe(&self, qname: &[u8], probes: &mut Probes) -> Place {
        let start = probes.suffixes.len();
        let is_whole = self.push_probes(qname, &mut probes.suffixes);
        is_whole.then_some(start as u8..probes.suffixes.len() as u8)
    }

    /// The steps that follow: after them the memory that judging the names reads is near.
    #[inline]
    pub fn approach(&self, probes: &mut Probes) {
        let names = self.names();
        for (_, probe) in &mut probes.suffixes {
            names.sight(probe);
        }
        let mut records: ArrayVec<u32, { NAMES_ABREAST * SUFFIXES_AT_ONCE }> = ArrayVec::new();
        for (_, probe) in &probes.suffixes {
            if let Some(place) = probe.candidate().and_then(|slot| u32_at(names.places, 4 * slot)) {
                records.push(place);
            }
        }
        for place in records {
            black_box(names.blob.get(place as usize).copied());
        }
    }

    /// What `judge_name` says of the same name; after `approach`.
    #[inline]
    pub fn judge_probed(&self, qname: &[u8], probes: &Probes, place: &Place, now: f64) -> Verdict {
        let range = place.as_ref().map(|place| usize::from(place.start)..usize::from(place.end));
        match range.and_then(|range| probes.suffixes.get(range)) {
            Some(suffixes) => self.judge_suffixes(qname, suffixes),
            None => self.judge_name(qname, now),
        }
    }
}
