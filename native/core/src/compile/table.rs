//! The names of an image: gathers them with their rules, then lays TAGS, PLACES and BLOB.
//!
//! Knows: these three sections of the image and the order of preference within one name.  Does not know:
//! what a rule says, files, META.
//! Theory: a name leaves at once as a record of the blob, so ten million take a few hundred MB; the table is
//! filled by walking the blob once, in the order of adding, which decides where each name comes to stand.

use std::collections::HashMap;
use std::hint::black_box;

use ahash::RandomState;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::batch::NameBatch;

/// Offset 0 of the blob means 'no record', so nothing stands there.
pub const BLOB_PAD_OCTETS: usize = 8;
/// Homes for each name: seven in ten look-ups of absent names end at once.
pub const SLOTS_PER_NAME: usize = 3;
/// A place is an offset of 32 bits.
pub const BLOB_OCTETS_MAX: usize = u32::MAX as usize;
/// A record counts its references in one octet.
pub const REFS_PER_NAME_MAX: usize = 255;
/// What follows the name in nearly every record: a count of 1 and its reference.
const SINGLE_REF_OCTETS: usize = 7;
/// Names looked ahead for when the table is filled, so that the memory's answers overlap.
const AHEAD: usize = 32;

/// The code of an effect that blocks, as the image has it.
pub const EFFECT_BLOCK: u8 = 2;
/// The code of a mark: an exception stands below.
pub const EFFECT_MARKER: u8 = 3;

/// What decides the order of preference of a rule class, each as the image's CLASSES has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// A lower tier beats a higher one.
    pub tier: u8,
    /// What the class does with a name.
    pub effect: u8,
    /// Which names around its owner it reaches.
    pub form: u8,
    /// Files rank by first mention.
    pub file_index: u16,
}

/// A limit of the format was met: the text says which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFull(pub &'static str);

const OVER_4_GB: TableFull = TableFull("the names fill over 4 GB");
const TOO_MANY_REFS: TableFull = TableFull("over 255 rules for one name");

/// Why a table could not be laid.
#[derive(Debug)]
pub enum LayError<E> {
    /// A limit of the format was met.
    Full(TableFull),
    /// Whoever makes classes for marks failed.
    Marker(E),
}

impl<E> From<TableFull> for LayError<E> {
    fn from(full: TableFull) -> Self {
        Self::Full(full)
    }
}

type Ref = (u16, u32);

/// Gathers names; `lay` makes a `Laid` of it.
#[derive(Debug)]
pub struct NameTable {
    seed: u64,
    blob: Vec<u8>,
    record_count: usize,
    below: Below,
    /// Some owner is a top-level domain.
    pub has_top_level_owner: bool,
    /// Some owner is the root.
    pub has_root_owner: bool,
}

/// Names that exceptions stand below, in the order of first mention, each with its exceptions' classes.
#[derive(Debug, Default)]
struct Below {
    places: HashMap<Box<[u8]>, usize, RandomState>,
    names: Vec<(Box<[u8]>, Vec<u16>)>,
}

/// The three sections, and what came out beside them.
#[derive(Debug)]
pub struct Laid {
    /// One octet a slot.
    pub tags: Vec<u8>,
    /// One offset into the blob a slot.
    pub places: Vec<u32>,
    /// All records.
    pub blob: Vec<u8>,
    /// How many slots names are hashed to.
    pub homes: usize,
    /// Names dropped because their class has them already: how many of each class.
    pub duplicates: HashMap<u16, u64, RandomState>,
}

impl NameTable {
    /// `seed` of the hash: random, so that nobody can compose names that all meet in one place.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            blob: vec![0; BLOB_PAD_OCTETS],
            record_count: 0,
            below: Below::default(),
            has_top_level_owner: false,
            has_root_owner: false,
        }
    }

    /// Add a well-formed lower-case name (`is_name`) and its line.
    pub fn add(&mut self, class_id: u16, name: &[u8], line: u32) -> Result<(), TableFull> {
        if self.blob.len() + name.len() + SINGLE_REF_OCTETS > BLOB_OCTETS_MAX {
            return Err(OVER_4_GB);
        }
        self.record_count += 1;
        push_record(&mut self.blob, name, class_id, line);
        Ok(())
    }

    /// Add a batch, of which each name has its line.
    pub fn add_batch(&mut self, class_id: u16, names: &NameBatch, lines: &[u32]) -> Result<(), TableFull> {
        self.blob.reserve(names.octet_count() + SINGLE_REF_OCTETS * names.len());
        names.iter().zip(lines).try_for_each(|(name, &line)| self.add(class_id, name, line))
    }

    /// Note that some owner is the root or a top-level domain, if `name` is.
    pub fn note_depth(&mut self, name: &[u8]) {
        match name.first() {
            Some(0) => self.has_root_owner = true,
            Some(_) if parent(name) == [0] => self.has_top_level_owner = true,
            _ => {}
        }
    }

    /// Note that an exception of this class stands below every ancestor of `name`.
    pub fn note_exception(&mut self, class_id: u16, name: &[u8]) {
        let mut ancestor = parent(name);
        while !ancestor.is_empty() {
            if !self.below.note(ancestor, class_id) {
                break; // This class's exceptions have been noted from here up already.
            }
            ancestor = parent(ancestor);
        }
    }

    /// Fill the slots, then add what names share and the marks of exceptions below them.
    ///
    /// `ranks` has every class so far; `marker_of` gives the class of a class's marks, made when first wanted.
    pub fn lay<E>(
        self,
        mut ranks: Vec<Rank>,
        mut marker_of: impl FnMut(u16) -> Result<u16, E>,
    ) -> Result<Laid, LayError<E>> {
        let homes = (SLOTS_PER_NAME * (self.record_count + self.below.names.len())).max(1);
        let mut laying = Laying {
            seed: self.seed,
            homes,
            tags: vec![0; homes + 1],
            places: vec![0; homes + 1],
            blob: self.blob,
            more: HashMap::default(),
            more_order: Vec::new(),
            duplicates: HashMap::default(),
        };
        laying.insert_all(self.record_count);
        laying.mark_exceptions(self.below.names, &mut ranks, &mut marker_of)?;
        laying.move_shared(&ranks)?;
        let Laying { tags, places, blob, duplicates, .. } = laying;
        Ok(Laid { tags, places, blob, homes, duplicates })
    }
}

impl Below {
    /// Whether that was news.
    fn note(&mut self, ancestor: &[u8], class_id: u16) -> bool {
        let Some(&place) = self.places.get(ancestor) else {
            self.places.insert(ancestor.into(), self.names.len());
            self.names.push((ancestor.into(), vec![class_id]));
            return true;
        };
        let Some((_, class_ids)) = self.names.get_mut(place) else { return false };
        match class_ids.binary_search(&class_id) {
            Ok(_) => false,
            Err(at) => {
                class_ids.insert(at, class_id);
                true
            }
        }
    }
}

/// A table while it is filled.
struct Laying {
    seed: u64,
    homes: usize,
    tags: Vec<u8>,
    places: Vec<u32>,
    blob: Vec<u8>,
    /// References beyond the first of the records at these offsets, which `more_order` has in their order.
    more: HashMap<u32, Vec<Ref>, RandomState>,
    more_order: Vec<u32>,
    duplicates: HashMap<u16, u64, RandomState>,
}

#[derive(Clone, Copy, Default)]
struct Ahead {
    digest: u64,
    slot: usize,
    start: usize,
    end: usize,
}

impl Laying {
    fn insert_all(&mut self, record_count: usize) {
        let mut window = [Ahead::default(); AHEAD];
        let mut start = BLOB_PAD_OCTETS;
        let mut left = record_count;
        while left > 0 {
            let count = left.min(AHEAD);
            let mut touched = 0;
            for ahead in &mut window[..count] {
                let end = name_end(&self.blob, start);
                let digest = xxh3_64_with_seed(self.blob.get(start..end).unwrap_or_default(), self.seed);
                let slot = (digest % self.homes as u64) as usize;
                touched ^= u32::from(self.tags[slot]) ^ self.places[slot];
                *ahead = Ahead { digest, slot, start, end };
                start = end + SINGLE_REF_OCTETS;
            }
            // Only so that the compiler keeps the reads, which bring the slots into the CPU's cache.
            black_box(touched);
            for ahead in &window[..count] {
                self.insert(*ahead);
            }
            left -= count;
        }
    }

    fn insert(&mut self, record: Ahead) {
        let Ahead { digest, mut slot, start, end } = record;
        let tag = tag_of(digest);
        loop {
            let found = self.tags[slot];
            if found == 0 {
                break;
            }
            let place = self.places[slot];
            if found == tag && self.is_name_at(place, self.blob.get(start..end).unwrap_or_default()) {
                let (class_id, line) = self.ref_at(end);
                self.add_ref(place, class_id, line);
                return;
            }
            slot += 1;
        }
        self.tags[slot] = tag;
        self.places[slot] = start as u32;
        if slot >= self.homes {
            self.keep_last_free();
        }
    }

    /// Probing goes upwards until a free slot, so there is always one behind the last name.
    fn keep_last_free(&mut self) {
        if self.tags.last() != Some(&0) {
            self.tags.push(0);
            self.places.push(0);
        }
    }

    fn is_name_at(&self, place: u32, name: &[u8]) -> bool {
        self.blob.get(place as usize..).is_some_and(|blob| blob.starts_with(name))
    }

    fn name_at(&self, place: u32) -> &[u8] {
        let start = place as usize;
        self.blob.get(start..name_end(&self.blob, start)).unwrap_or_default()
    }

    /// The first reference of the record whose name ends at `end`.
    fn ref_at(&self, end: usize) -> Ref {
        match self.blob.get(end + 1..end + SINGLE_REF_OCTETS) {
            Some(&[c0, c1, l0, l1, l2, l3]) => {
                (u16::from_le_bytes([c0, c1]), u32::from_le_bytes([l0, l1, l2, l3]))
            }
            _ => (0, 0),
        }
    }

    /// One more reference for the name at `place`, unless its class has it already.
    fn add_ref(&mut self, place: u32, class_id: u16, line: u32) {
        let (first, _) = self.ref_at(name_end(&self.blob, place as usize));
        let more = self.more.get_mut(&place);
        let is_known = more.as_ref().is_some_and(|more| more.iter().any(|&(other, _)| other == class_id));
        if first == class_id || is_known {
            *self.duplicates.entry(class_id).or_default() += 1;
        } else if let Some(more) = more {
            more.push((class_id, line));
        } else {
            self.more.insert(place, vec![(class_id, line)]);
            self.more_order.push(place);
        }
    }

    /// Where `name` stands, or the free slot where it would; and its tag.
    fn slot_of(&self, name: &[u8]) -> (usize, u8) {
        let digest = xxh3_64_with_seed(name, self.seed);
        let tag = tag_of(digest);
        let mut slot = (digest % self.homes as u64) as usize;
        while self.tags[slot] != 0 && !(self.tags[slot] == tag && self.is_name_at(self.places[slot], name)) {
            slot += 1;
        }
        (slot, tag)
    }

    /// Say at each covered ancestor of an exception that one stands below it.
    ///
    /// Only where a rule at or above blocks in the exception's tier or a later one: elsewhere the mark would
    /// change nothing, and would cost every question under `com` a look at it.
    fn mark_exceptions<E>(
        &mut self,
        below: Vec<(Box<[u8]>, Vec<u16>)>,
        ranks: &mut Vec<Rank>,
        marker_of: &mut impl FnMut(u16) -> Result<u16, E>,
    ) -> Result<(), LayError<E>> {
        let mut markers: HashMap<u16, u16, RandomState> = HashMap::default();
        for (name, class_ids) in below {
            let Some(weakest) = self.weakest_block_over(&name, ranks) else { continue };
            for class_id in class_ids {
                let Some(&origin) = ranks.get(usize::from(class_id)) else { continue };
                if origin.tier > weakest {
                    continue;
                }
                let marker = match markers.get(&class_id) {
                    Some(&marker) => marker,
                    None => {
                        let marker = marker_of(class_id).map_err(LayError::Marker)?;
                        if usize::from(marker) == ranks.len() {
                            ranks.push(Rank { effect: EFFECT_MARKER, ..origin });
                        }
                        markers.insert(class_id, marker);
                        marker
                    }
                };
                self.add_late(&name, marker)?;
            }
        }
        Ok(())
    }

    /// The highest tier that blocks at or above `name`.
    fn weakest_block_over(&self, name: &[u8], ranks: &[Rank]) -> Option<u8> {
        let mut weakest = None;
        let mut suffix = name;
        while !suffix.is_empty() {
            let (slot, _) = self.slot_of(suffix);
            if self.tags[slot] != 0 {
                for (class_id, _) in self.refs_of(self.places[slot]) {
                    if let Some(rank) =
                        ranks.get(usize::from(class_id)).filter(|rank| rank.effect == EFFECT_BLOCK)
                    {
                        weakest = weakest.max(Some(rank.tier));
                    }
                }
            }
            suffix = parent(suffix);
        }
        weakest
    }

    fn refs_of(&self, place: u32) -> impl Iterator<Item = Ref> + '_ {
        let first = self.ref_at(name_end(&self.blob, place as usize));
        std::iter::once(first).chain(self.more.get(&place).into_iter().flatten().copied())
    }

    fn add_late(&mut self, name: &[u8], class_id: u16) -> Result<(), TableFull> {
        let (slot, tag) = self.slot_of(name);
        if self.tags[slot] != 0 {
            self.add_ref(self.places[slot], class_id, 0);
            return Ok(());
        }
        self.tags[slot] = tag;
        self.places[slot] = self.end_place(name.len() + SINGLE_REF_OCTETS)?;
        self.keep_last_free();
        push_record(&mut self.blob, name, class_id, 0);
        Ok(())
    }

    /// Write the whole records of names with several references; their first ones are left behind.
    fn move_shared(&mut self, ranks: &[Rank]) -> Result<(), TableFull> {
        for place in std::mem::take(&mut self.more_order) {
            let mut refs: Vec<Ref> = self.refs_of(place).collect();
            refs.sort_by_key(|&(class_id, line)| (ranks.get(usize::from(class_id)).copied(), line, class_id));
            let name = self.name_at(place).to_vec();
            let Some(count) = u8::try_from(refs.len()).ok() else { return Err(TOO_MANY_REFS) };
            let (slot, _) = self.slot_of(&name);
            self.places[slot] = self.end_place(name.len() + 1 + 6 * refs.len())?;
            self.blob.extend_from_slice(&name);
            self.blob.push(count);
            for (class_id, line) in refs {
                push_ref(&mut self.blob, class_id, line);
            }
        }
        Ok(())
    }

    /// The offset of a record to be written at the end of the blob.
    fn end_place(&self, octets: usize) -> Result<u32, TableFull> {
        if self.blob.len() + octets > BLOB_OCTETS_MAX {
            return Err(OVER_4_GB);
        }
        u32::try_from(self.blob.len()).map_err(|_| OVER_4_GB)
    }
}

/// Whether these octets are labels and the root behind them, and nothing else.
#[must_use]
pub fn is_name(octets: &[u8]) -> bool {
    let mut rest = octets;
    while let Some((&length, behind)) = rest.split_first() {
        if length == 0 {
            return behind.is_empty();
        }
        rest = behind.get(usize::from(length)..).unwrap_or_default();
    }
    false
}

/// One label up; the root has no parent, so its is empty.
fn parent(name: &[u8]) -> &[u8] {
    let label = name.first().map_or(0, |&length| usize::from(length));
    name.get(label + 1..).unwrap_or_default()
}

/// Behind the root's octet of the name at `start`; the end of the octets when they end first.
fn name_end(octets: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(&length) = octets.get(at) {
        at += 1 + usize::from(length);
        if length == 0 {
            return at;
        }
    }
    octets.len()
}

fn tag_of(digest: u64) -> u8 {
    ((digest >> 56) as u8).max(1)
}

fn push_record(blob: &mut Vec<u8>, name: &[u8], class_id: u16, line: u32) {
    let ([c0, c1], [l0, l1, l2, l3]) = (class_id.to_le_bytes(), line.to_le_bytes());
    blob.extend_from_slice(name);
    blob.extend_from_slice(&[1, c0, c1, l0, l1, l2, l3]);
}

fn push_ref(blob: &mut Vec<u8>, class_id: u16, line: u32) {
    let ([c0, c1], [l0, l1, l2, l3]) = (class_id.to_le_bytes(), line.to_le_bytes());
    blob.extend_from_slice(&[c0, c1, l0, l1, l2, l3]);
}

#[cfg(test)]
mod tests;
