//! Finds, among many names, the few under which strangers have theirs.
//!
//! Knows: a set of names, top-level domains of which every name is in it.  Does not know: where they come from.
//! Theory: nearly no name is one, so a small filter that fits the CPU's first cache says no at once.

use std::collections::HashSet;

use ahash::RandomState;

const FILTER_BITS: usize = 1 << 17;

/// A set of names to look for.
#[derive(Debug)]
pub struct SharedNames {
    filter: Box<[u64]>,
    known: HashSet<Box<[u8]>, RandomState>,
    above: HashSet<Box<[u8]>, RandomState>,
}

impl SharedNames {
    /// `known`: names in wire form; `above`: top-level domains directly under which every name is shared.
    pub fn new<'a>(
        known: impl IntoIterator<Item = &'a [u8]>,
        above: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let mut filter = vec![0; FILTER_BITS / 64].into_boxed_slice();
        let known: HashSet<Box<[u8]>, RandomState> = known.into_iter().map(Into::into).collect();
        for name in &known {
            let (word, bit) = place(name);
            filter[word] |= bit;
        }
        Self { filter, known, above: above.into_iter().map(Into::into).collect() }
    }

    /// Whether strangers have their names under `name` (wire form, lower case).
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        let (word, bit) = place(name);
        (self.filter[word] & bit != 0 && self.known.contains(name))
            || parent_top_level(name).is_some_and(|parent| self.above.contains(parent))
    }
}

/// The parent of a name of two labels.
fn parent_top_level(name: &[u8]) -> Option<&[u8]> {
    let parent = name.get(1 + usize::from(*name.first()?)..)?;
    (usize::from(*parent.first()?) + 2 == parent.len()).then_some(parent)
}

/// Where the filter has a name: a word and a bit of it.
fn place(name: &[u8]) -> (usize, u64) {
    let word = |octets: Option<&[u8]>| octets?.try_into().ok().map(u64::from_le_bytes);
    let (first, last) =
        match (word(name.get(..8)), word(name.len().checked_sub(8).and_then(|at| name.get(at..)))) {
            (Some(first), Some(last)) => (first, last),
            _ => (name.iter().fold(0, |sum, &octet| sum << 8 | u64::from(octet)), 0),
        };
    let mixed = (first.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ last.rotate_left(29) ^ name.len() as u64)
        .wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    let bit = (mixed >> (64 - FILTER_BITS.trailing_zeros())) as usize % FILTER_BITS;
    (bit / 64, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_names_and_all_under_a_wildcard_top_level_are_found() {
        let shared = SharedNames::new([&b"\x02co\x02uk\0"[..], b"\x06github\x02io\0"], [&b"\x02bd\0"[..]]);
        for name in [&b"\x02co\x02uk\0"[..], b"\x06github\x02io\0", b"\x03any\x02bd\0"] {
            assert!(shared.contains(name));
        }
        for name in [
            &b""[..],
            b"\0",
            b"\x02bd\0",
            b"\x01x\x02co\x02uk\0",
            b"\x01x\x03any\x02bd\0",
            b"\x07example\x02uk\0",
        ] {
            assert!(!shared.contains(name));
        }
    }
}
