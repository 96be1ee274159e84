//! A name's suffixes in the table of names: which of them own rules.
//!
//! Knows: labels, how to look up several suffixes at once.  Does not know: what the rules there say.

use arrayvec::ArrayVec;

use super::image::{Names, Probe};
use crate::wire::names::NAME_OCTETS_MAX;

/// More suffixes than a name of 255 octets has (127), and the root.
const SUFFIXES_MAX: usize = 128;
/// Suffixes looked for at once: more than nearly every name has.
pub(super) const SUFFIXES_AT_ONCE: usize = 8;

/// A record found at a suffix of a name.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// Where in the name the suffix starts; 0: the name itself.
    pub position: u8,
    /// BLOB offset of its references.
    pub refs: usize,
}

/// Those at all suffixes of a name.
pub(super) type AllFound = ArrayVec<Found, SUFFIXES_MAX>;

/// Give the records at the suffixes of a name, the longest first; the root's is not among them.
///
/// The suffixes are hashed and their tags read before any tag is looked at, so that the waits for memory overlap.
#[inline(always)]
pub(super) fn find_suffixes(names: &Names<'_>, qname: &[u8], skips_top: bool, mut take: impl FnMut(Found)) {
    let mut suffixes = Suffixes::of(qname, skips_top);
    while !suffixes.is_done() {
        let mut probes: ArrayVec<(u8, Probe), SUFFIXES_AT_ONCE> = ArrayVec::new();
        suffixes.probe(names, &mut probes);
        for (_, probe) in &mut probes {
            names.sight(probe);
        }
        for &(position, probe) in &probes {
            if let Some(refs) = names.find(probe, &qname[usize::from(position)..]) {
                take(Found { position, refs });
            }
        }
    }
}

/// A walk over the suffixes of a name that may own rules; the root is not among them.
pub(super) struct Suffixes<'n> {
    qname: &'n [u8],
    skips_top: bool,
    position: usize,
    /// Of the label at `position`; 0: done.
    length: u8,
}

impl<'n> Suffixes<'n> {
    /// Octets that are too long for a name have none.
    #[inline(always)]
    pub fn of(qname: &'n [u8], skips_top: bool) -> Suffixes<'n> {
        let is_name = qname.len() <= NAME_OCTETS_MAX;
        let length = if is_name { qname.first().copied().unwrap_or(0) } else { 0 };
        Suffixes { qname, skips_top, position: 0, length }
    }

    /// Whether no suffix is left.
    #[inline(always)]
    pub fn is_done(&self) -> bool {
        self.length == 0
    }

    /// Hash the next suffixes, `SUFFIXES_AT_ONCE` of them or as many as there is room for.
    #[inline(always)]
    pub fn probe<const ROOM: usize>(&mut self, names: &Names<'_>, probes: &mut ArrayVec<(u8, Probe), ROOM>) {
        let full_at = ROOM.min(probes.len() + SUFFIXES_AT_ONCE);
        while self.length != 0 && probes.len() < full_at {
            let following = self.position + usize::from(self.length) + 1;
            self.length = self.qname.get(following).copied().unwrap_or(0);
            // Without a following octet it is no name.  A top-level domain matters only where it owns a rule.
            if following >= self.qname.len() || (self.length == 0 && self.skips_top) {
                self.length = 0;
                return;
            }
            probes.push((self.position as u8, names.probe(&self.qname[self.position..])));
            self.position = following;
        }
    }
}

/// The records at the suffixes of a name, together.
pub(super) fn found_suffixes(names: &Names<'_>, qname: &[u8], skips_top: bool) -> AllFound {
    let mut found = AllFound::new();
    find_suffixes(names, qname, skips_top, |place| {
        let _ = found.try_push(place); // There are no more suffixes than it holds.
    });
    found
}
