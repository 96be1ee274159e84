//! The policy image: one immutable file that holds a whole compiled blocklist (format version 4).
//!
//! Knows: where each section stands, how a record is spelt.  Does not know: which rule wins, time, how the
//! octets came into memory.
//! The header's layout is told at the head of the Python package's `policy/image.py`.  Nothing that stands
//! in the file is trusted: sections are cut once at opening, and every offset within them is checked when it
//! is used, so that a damaged image is refused or, at worst, matches nothing.

use std::fmt;
use std::ops::Range;

use xxhash_rust::xxh3::{xxh3_64_with_seed, Xxh3};

use super::image_format::{u32_at, u64_at, unusable, ImageUnusable, INTERVAL_OCTETS, REF_OCTETS};
use super::rules::{read_classes, read_rules, RuleClass};
use crate::verdict::Rule;

/// What every image starts with.
pub const MAGIC: &[u8; 8] = b"XRPOLICY";
/// The only format that is read.
pub const FORMAT_VERSION: u32 = 5;
/// Octets of the header.
pub const HEADER_OCTETS: usize = 256;
/// Where the checksum stands in the header, up to its end.
pub const CHECKSUM_OFFSET: usize = 240;
/// Flag: some rule is owned by a top-level domain; elsewhere look-ups need not try that suffix.
pub const FLAG_TOP_LEVEL_OWNER: u32 = 1;
/// Flag: some rule is owned by the root.
pub const FLAG_ROOT_OWNER: u32 = 2;
const DIRECTORY_OFFSET: usize = 32;
const HOMES_OFFSET: usize = 176;

/// The sections in the order of the header's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    /// What the rules of one form and effect of one source have in common.
    Classes = 0,
    /// The sources of rules, a record for each time.
    Rules = 1,
    /// Where networks begin.
    Intervals = 2,
    /// The networks within an interval.
    Refs = 3,
    /// Texts and local data.
    Strings = 4,
    /// Words for people, JSON.
    Meta = 5,
    /// One octet of hash for each slot.
    Tags = 6,
    /// One offset into BLOB for each slot.
    Places = 7,
    /// Names and their references.
    Blob = 8,
}

const SECTION_COUNT: usize = 9;

/// An image in memory: its sections, and what every table over it shares.
///
/// Opening checks the header and the sizes, which catches truncation; `verify` reads everything.
pub struct Image {
    octets: Box<dyn AsRef<[u8]> + Send + Sync>,
    sections: [Range<usize>; SECTION_COUNT],
    seed: u64,
    homes: Divisor,
    /// Some rule is owned by a top-level domain.
    pub has_top_level_owner: bool,
    /// Some rule is owned by the root.
    pub has_root_owner: bool,
    pub(super) rules: Box<[Rule]>,
    pub(super) classes: Box<[RuleClass]>,
}

impl fmt::Debug for Image {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Image({} rules, {} classes)", self.rules.len(), self.classes.len())
    }
}

impl Image {
    /// Read the header and the small sections.  Fails with the reason why the octets cannot be served.
    pub fn open(octets: Box<dyn AsRef<[u8]> + Send + Sync>) -> Result<Image, ImageUnusable> {
        let whole = (*octets).as_ref();
        if whole.len() < HEADER_OCTETS {
            return unusable(format!("{} octets are too few for a header", whole.len()));
        }
        if !whole.starts_with(MAGIC) {
            return unusable("no policy image");
        }
        let version = u32_at(whole, 8).unwrap_or(0);
        if version != FORMAT_VERSION {
            return unusable(format!("format version {version}, this program reads {FORMAT_VERSION}"));
        }
        let stated = u64_at(whole, 16).unwrap_or(0);
        if stated != whole.len() as u64 {
            return unusable(format!("{} octets, its header says {stated}", whole.len()));
        }
        let sections = read_directory(whole)?;
        let of = |section: Section| whole.get(sections[section as usize].clone()).unwrap_or(&[]);
        let tags = of(Section::Tags);
        let homes = u64_at(whole, HOMES_OFFSET).unwrap_or(0);
        let is_fitting = 0 < homes
            && homes < tags.len() as u64
            && of(Section::Places).len() as u64 == 4 * tags.len() as u64
            && tags.last() == Some(&0);
        if !is_fitting {
            return unusable(format!("{} slots do not fit {homes} homes", tags.len()));
        }
        if of(Section::Intervals).len() % INTERVAL_OCTETS != 0 {
            return unusable("damaged: a part of an interval");
        }
        let (rules, file_count) = read_rules(of(Section::Rules), of(Section::Strings), of(Section::Meta))?;
        let classes = read_classes(of(Section::Classes), &rules, file_count)?;
        let flags = u32_at(whole, 12).unwrap_or(0);
        let seed = u64_at(whole, 24).unwrap_or(0);
        Ok(Image {
            seed,
            homes: Divisor::new(homes),
            has_top_level_owner: flags & FLAG_TOP_LEVEL_OWNER != 0,
            has_root_owner: flags & FLAG_ROOT_OWNER != 0,
            rules,
            classes,
            sections,
            octets,
        })
    }

    /// Read the whole file against its checksum: XXH3-128 of all but the checksum.
    ///
    /// Costs about 0.1 ms per MB plus what the disk takes.
    pub fn verify(&self) -> Result<(), ImageUnusable> {
        let whole = (*self.octets).as_ref();
        let mut digest = Xxh3::new();
        digest.update(whole.get(..CHECKSUM_OFFSET).unwrap_or(&[]));
        digest.update(whole.get(HEADER_OCTETS..).unwrap_or(&[]));
        let stated = whole.get(CHECKSUM_OFFSET..HEADER_OCTETS).unwrap_or(&[]);
        if digest.digest128().to_be_bytes() != stated {
            return unusable("checksum differs: the file is damaged");
        }
        Ok(())
    }

    /// The octets of a section.
    pub fn section(&self, section: Section) -> &[u8] {
        (*self.octets).as_ref().get(self.sections[section as usize].clone()).unwrap_or(&[])
    }

    /// The sections that looking for a name needs.
    pub(super) fn names(&self) -> Names<'_> {
        let whole = (*self.octets).as_ref();
        let of = |section: Section| whole.get(self.sections[section as usize].clone()).unwrap_or(&[]);
        Names {
            tags: of(Section::Tags),
            places: of(Section::Places),
            blob: of(Section::Blob),
            seed: self.seed,
            homes: self.homes,
        }
    }
}

fn read_directory(whole: &[u8]) -> Result<[Range<usize>; SECTION_COUNT], ImageUnusable> {
    let mut sections: [Range<usize>; SECTION_COUNT] = std::array::from_fn(|_| 0..0);
    for (number, section) in sections.iter_mut().enumerate() {
        let place = DIRECTORY_OFFSET + 16 * number;
        let offset = u64_at(whole, place).unwrap_or(0);
        let end = u64_at(whole, place + 8).and_then(|length| offset.checked_add(length));
        match end {
            Some(end) if offset >= HEADER_OCTETS as u64 && end <= whole.len() as u64 => {
                *section = offset as usize..end as usize;
            }
            _ => return unusable("a section lies outside the file"),
        }
    }
    Ok(sections)
}

/// The table of names.
#[derive(Clone, Copy)]
pub(super) struct Names<'i> {
    tags: &'i [u8],
    pub(super) places: &'i [u8],
    pub(super) blob: &'i [u8],
    seed: u64,
    homes: Divisor,
}

/// A look-up under way: the first tags are there once it was sighted.
#[derive(Clone, Copy)]
pub(super) struct Probe {
    digest: u64,
    slot: u64,
    tags: u64,
}

/// Each octet 1.
const ONES: u64 = 0x0101_0101_0101_0101;
/// Each octet's highest bit.
const HIGHS: u64 = 0x8080_8080_8080_8080;

impl Probe {
    /// The first of the tags read that agrees, if it stands before a free slot.
    #[inline(always)]
    pub(super) fn candidate(&self) -> Option<usize> {
        let (free, alike) = self.marks();
        let before_free = free ^ free.wrapping_sub(1);
        let first = if free == 0 { alike } else { alike & before_free };
        (first != 0).then(|| self.slot as usize + (first.trailing_zeros() / 8) as usize)
    }

    /// Eight slots at once: the lowest bit of the first word marks the first free one (the marks above it may
    /// be wrong, those below are not), and those of the second below it mark tags that agree.
    #[inline(always)]
    fn marks(&self) -> (u64, u64) {
        let free = self.tags.wrapping_sub(ONES) & !self.tags & HIGHS;
        let other = self.tags ^ u64::from(tag_of(self.digest)).wrapping_mul(ONES);
        (free, other.wrapping_sub(ONES) & !other & HIGHS)
    }
}

impl<'i> Names<'i> {
    /// Begin to look for `name` (wire form, lower case, root octet included): where its search starts.
    #[inline(always)]
    pub(super) fn probe(&self, name: &[u8]) -> Probe {
        let digest = xxh3_64_with_seed(name, self.seed);
        Probe { digest, slot: self.homes.remainder(digest), tags: 0 }
    }

    /// The second step: read the first tags.
    #[inline(always)]
    pub(super) fn sight(&self, probe: &mut Probe) {
        // Where fewer than eight tags follow, a word without a free slot sends `find` the long way.
        probe.tags = u64_at(self.tags, probe.slot as usize).unwrap_or(u64::MAX);
    }

    /// The BLOB offset of the references of `name` (their count); None: the name is not there.
    #[inline(always)]
    pub(super) fn find(&self, probe: Probe, name: &[u8]) -> Option<usize> {
        let (free, alike) = probe.marks();
        if free != 0 && alike & (free ^ free.wrapping_sub(1)) == 0 {
            return None;
        }
        self.find_from(probe, name)
    }

    /// The same, slot by slot.
    #[inline(never)]
    fn find_from(&self, probe: Probe, name: &[u8]) -> Option<usize> {
        let tag = tag_of(probe.digest);
        let first = probe.slot as usize;
        for (step, &found) in self.tags.get(first..)?.iter().enumerate() {
            if found == 0 {
                return None;
            }
            if found == tag {
                let place = u32_at(self.places, 4 * (first + step))? as usize;
                let end = place + name.len();
                if self.blob.get(place..end) == Some(name) {
                    return Some(end);
                }
            }
        }
        None
    }

    /// `probe` and `find` in one.
    pub(super) fn look_up(&self, name: &[u8]) -> Option<usize> {
        let mut probe = self.probe(name);
        self.sight(&mut probe);
        self.find(probe, name)
    }

    /// The class of the record whose count stands at `offset` of BLOB, if it has only one reference.
    #[inline(always)]
    pub(super) fn only_class_at(&self, offset: usize) -> Option<usize> {
        match self.blob.get(offset..offset + 1 + REF_OCTETS) {
            Some(&[1, low, high, ..]) => Some(usize::from(u16::from_le_bytes([low, high]))),
            _ => None,
        }
    }

    /// The classes of the record whose count stands at `offset` of BLOB, in the order of preference.
    #[inline]
    pub(super) fn classes_at(&self, offset: usize) -> impl Iterator<Item = u16> + 'i {
        let count = self.blob.get(offset).copied().map_or(0, usize::from);
        let refs = self.blob.get(offset + 1..offset + 1 + REF_OCTETS * count).unwrap_or(&[]);
        refs.chunks_exact(REF_OCTETS).map(|octets| u16::from_le_bytes([octets[0], octets[1]]))
    }
}

/// The tag of a digest: its highest octet, but never that of a free slot.
#[inline(always)]
pub fn tag_of(digest: u64) -> u8 {
    ((digest >> 56) as u8).max(1)
}

/// A divisor whose remainders take two multiplications instead of a division.
///
/// Division by invariant integers (Granlund and Montgomery): the quotient is the high half of a product with
/// a reciprocal of 65 bits, whose highest bit is added by hand.
#[derive(Clone, Copy)]
struct Divisor {
    divisor: u64,
    reciprocal: u64,
    first_shift: u32,
    second_shift: u32,
}

impl Divisor {
    /// For a divisor of at least 1; 0 counts as 1.
    fn new(divisor: u64) -> Divisor {
        let divisor = divisor.max(1);
        let bits = 64 - (divisor - 1).leading_zeros();
        let excess = (1u128 << bits) - u128::from(divisor);
        let reciprocal = ((excess << 64) / u128::from(divisor) + 1) as u64;
        Divisor { divisor, reciprocal, first_shift: bits.min(1), second_shift: bits.saturating_sub(1) }
    }

    /// `number` modulo the divisor.
    #[inline(always)]
    fn remainder(self, number: u64) -> u64 {
        let high = ((u128::from(self.reciprocal) * u128::from(number)) >> 64) as u64;
        let quotient = (high + ((number - high) >> self.first_shift)) >> self.second_shift;
        number.wrapping_sub(quotient.wrapping_mul(self.divisor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_remainder_is_what_division_leaves(divisor in 1u64.., number: u64, bits in 0u32..64) {
            for divisor in [divisor, divisor >> bits, 1 << bits, (1 << bits) + 1, (1 << bits) - 1] {
                let divisor = divisor.max(1);
                for number in [number, number >> bits, divisor, divisor - 1, u64::MAX, 0] {
                    prop_assert_eq!(Divisor::new(divisor).remainder(number), number % divisor);
                }
            }
        }
    }

    #[test]
    fn octets_that_are_no_image_are_refused_with_a_reason() {
        let reason = |octets: Vec<u8>| Image::open(Box::new(octets)).map(|_| ()).unwrap_err().to_string();
        assert_eq!(reason(vec![0; 10]), "10 octets are too few for a header");
        assert_eq!(reason(vec![0; 300]), "no policy image");
        let mut octets = vec![0; 300];
        octets[..8].copy_from_slice(MAGIC);
        assert_eq!(reason(octets.clone()), "format version 0, this program reads 5");
        octets[8] = 5;
        assert_eq!(reason(octets.clone()), "300 octets, its header says 0");
        octets[16..18].copy_from_slice(&300u16.to_le_bytes());
        assert_eq!(reason(octets), "a section lies outside the file");
    }
}
