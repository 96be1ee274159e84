//! Judging many names at once, so that their waits for memory overlap.
//!
//! Knows: the steps of a look-up, each of which needs what the one before it read.  Does not know: whose names
//! they are, which rule wins.
//! Theory: a table of a million names fits no cache, so a name that is listed costs three waits for memory one
//! after the other: its tag, its place, its record.  Whoever takes each step for a handful of names before the
//! next step waits once for all of them, as long as the step is so short that the CPU, which goes on while it
//! waits for a read, reaches the reads of the next names.

use std::hint::black_box;

use arrayvec::ArrayVec;

use super::image::{u32_at, Probe};
use super::table::{PolicyTable, SUFFIXES_AT_ONCE};
use super::verdict::Verdict;

/// A name on its way through a look-up.
#[derive(Clone)]
pub struct Probes {
    pub(super) suffixes: ArrayVec<(u8, Probe), SUFFIXES_AT_ONCE>,
    /// All of the name's suffixes are among them.
    pub(super) is_whole: bool,
    /// The BLOB offset of the first record that may be a suffix's.
    near: usize,
}

impl PolicyTable {
    /// Begin to judge a name (wire form, lower case): its suffixes are hashed.
    #[inline]
    pub fn probe(&self, qname: &[u8]) -> Probes {
        let mut probes = Probes { suffixes: ArrayVec::new(), is_whole: false, near: 0 };
        probes.is_whole = self.push_probes(qname, &mut probes.suffixes);
        probes
    }

    /// The second step: read the suffixes' tags.
    #[inline(always)]
    pub fn sight(&self, probes: &mut Probes) {
        let names = self.names();
        for (_, probe) in &mut probes.suffixes {
            names.sight(probe);
        }
    }

    /// The third step: find the place of what may be the name's record.
    #[inline]
    pub fn locate(&self, probes: &mut Probes) {
        let names = self.names();
        for (_, probe) in &probes.suffixes {
            if let Some(slot) = probe.candidate() {
                probes.near = u32_at(names.places, 4 * slot).unwrap_or(0) as usize;
                return;
            }
        }
    }

    /// The fourth step: send for the record.
    #[inline]
    pub fn approach(&self, probes: &Probes) {
        if probes.near != 0 {
            black_box(self.names().blob.get(probes.near).copied());
        }
    }

    /// What `judge_name` says of the same name, once its tags were read.
    #[inline]
    pub fn judge_probed(&self, qname: &[u8], probes: &Probes, now: f64) -> Verdict {
        if !probes.is_whole {
            return self.judge_name(qname, now);
        }
        self.judge_suffixes(qname, &probes.suffixes)
    }
}
