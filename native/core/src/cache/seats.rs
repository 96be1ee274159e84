//! The memory that entries sit in: one growing array with a list of its free places.
//!
//! Knows: how the array grows and what it takes.  Does not know: which seat is whose, or which goes next.
//! Theory: a seat stays where it is for its life, so the index and the queues name it by its number.  The
//! array grows by a quarter, and only as far as the cache's bound allows, so its spare room stays small.

use super::entry::{allocation_octets, Entry};
use super::index::NO_SEAT;
use std::mem::size_of;

/// Names up to this long, in octets, lie in the seat itself: most of them, and a look-up reads no more memory.
const SHORT_NAME_OCTETS_MAX: usize = 30;

/// A name in wire form, lower case.
pub(super) enum Name {
    /// The octets up to a length.
    Short(u8, [u8; SHORT_NAME_OCTETS_MAX]),
    Long(Box<[u8]>),
}

impl Name {
    fn new(name: &[u8]) -> Self {
        let mut octets = [0; SHORT_NAME_OCTETS_MAX];
        match octets.get_mut(..name.len()) {
            Some(place) => {
                place.copy_from_slice(name);
                Name::Short(name.len() as u8, octets)
            }
            None => Name::Long(name.into()),
        }
    }

    #[inline]
    pub(super) fn is(&self, name: &[u8]) -> bool {
        match self {
            Name::Short(length, octets) => octets.get(..usize::from(*length)) == Some(name),
            Name::Long(octets) => **octets == *name,
        }
    }

    /// Memory it takes outside the seat.
    pub(super) fn octets(&self) -> usize {
        match self {
            Name::Short(..) => 0,
            Name::Long(octets) => allocation_octets(octets.len()),
        }
    }
}

/// Memory that a name takes outside its seat.
pub(super) fn name_octets(name: &[u8]) -> usize {
    if name.len() <= SHORT_NAME_OCTETS_MAX {
        0
    } else {
        allocation_octets(name.len())
    }
}

/// An entry, its question, and its place in the eviction queues.
#[repr(C)] // What every hit reads comes first.
pub(super) struct Seat {
    pub(super) qname: Name,
    /// The type and the DO and CD bits in one number.
    pub(super) kind: u32,
    /// Uses since admission, at most `eviction::FREQUENCY_MAX`.
    pub(super) frequency: u8,
    /// Which of the queues holds it.
    pub(super) in_main: bool,
    /// Part of `heap_octets`: what the caller's note costs.
    pub(super) noted_octets: u32,
    /// What its allocations cost: the name's, the entry's and the caller's note's.
    pub(super) heap_octets: u32,
    /// What is known.
    pub(super) entry: Entry,
    /// Hash of qname and kind.
    pub(super) hash: u64,
    /// Who comes after it in its queue, or in the list of free seats.
    pub(super) next: u32,
}

/// What a seat takes in the tables: itself and its slots in the index (two thirds full or less).
pub(super) const SEAT_OCTETS: usize = size_of::<Seat>() + 16;

impl Seat {
    /// For a question; nothing known yet, in no queue.
    pub(super) fn new(qname: &[u8], kind: u32, hash: u64) -> Self {
        Seat {
            qname: Name::new(qname),
            kind,
            frequency: 0,
            in_main: false,
            noted_octets: 0,
            heap_octets: name_octets(qname) as u32,
            entry: Entry::new(None),
            hash,
            next: NO_SEAT,
        }
    }

    fn vacant(next: u32) -> Self {
        Seat { next, ..Seat::new(b"", u32::MAX, 0) }
    }

    /// What seat and entry cost in memory.
    pub(super) fn octets(&self) -> usize {
        SEAT_OCTETS + self.heap_octets as usize
    }
}

/// Seats by number.
pub(super) struct Seats {
    places: Vec<Seat>,
    free: u32,
    free_count: usize,
}

impl Seats {
    pub(super) fn with_room(count: usize) -> Self {
        Seats { places: Vec::with_capacity(count), free: NO_SEAT, free_count: 0 }
    }

    /// Memory of the array, its spare room included.
    pub(super) fn octets(&self) -> usize {
        allocation_octets(self.places.capacity() * size_of::<Seat>())
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.places.len() - self.free_count
    }

    /// Whether a seat can be taken without growing.
    pub(super) fn has_room(&self) -> bool {
        self.free != NO_SEAT || self.places.len() < self.places.capacity()
    }

    /// Whether over a quarter of a long array is free.
    pub(super) fn is_sparse(&self) -> bool {
        self.free_count > 64 && self.free_count > self.places.len() / 4
    }

    /// Grow by a quarter, or less to take at most `octets_left` more; false: not worth copying for so few.
    pub(super) fn grow(&mut self, octets_left: usize) -> bool {
        let count = self.places.len();
        let more = (count / 4).max(4).min(octets_left / size_of::<Seat>());
        if more < (count / 32).max(1) || count + more >= NO_SEAT as usize {
            return false;
        }
        self.places.reserve_exact(more);
        true
    }

    /// Take a seat.
    pub(super) fn take(&mut self, seat: Seat) -> u32 {
        let number = self.free;
        match self.places.get_mut(number as usize) {
            Some(place) => {
                self.free = place.next;
                self.free_count -= 1;
                *place = seat;
                number
            }
            None => {
                self.places.push(seat);
                (self.places.len() - 1) as u32
            }
        }
    }

    /// Leave a seat, which frees what the entry kept.
    pub(super) fn leave(&mut self, number: u32) -> Seat {
        let seat = std::mem::replace(&mut self.places[number as usize], Seat::vacant(self.free));
        self.free = number;
        self.free_count += 1;
        seat
    }
}

impl std::ops::Index<u32> for Seats {
    type Output = Seat;

    #[inline]
    fn index(&self, number: u32) -> &Seat {
        &self.places[number as usize]
    }
}

impl std::ops::IndexMut<u32> for Seats {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut Seat {
        &mut self.places[number as usize]
    }
}
