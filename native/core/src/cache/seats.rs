//! The memory that entries sit in: rows of seats, with a list of the free ones.
//!
//! Knows: how the rows come and what they take.  Does not know: whose a seat is, or which goes next.
//! Theory: a seat stays where it is until its shard closes ranks, so the index and the queues name it by its
//! number.  One long array would have to be copied to grow, and what it leaves behind each time is memory that
//! nothing else comes to fill once the cache is full.

use super::entry::{allocation_octets, Entry};
use super::index::NO_SEAT;
use std::mem::size_of;

/// Seats in a row, a power of two: a few thousand octets, so that the last row wastes little.
pub(super) const ROW_SEATS: usize = 16;

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

    /// The name itself.
    pub(super) fn octets_of(&self) -> &[u8] {
        match self {
            Name::Short(length, octets) => octets.get(..usize::from(*length)).unwrap_or_default(),
            Name::Long(octets) => octets,
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

/// What a seat takes in the tables: itself and its slots in the index, which is half full on average.
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

type Row = [Seat; ROW_SEATS];

/// What a row takes.
pub(super) const ROW_OCTETS: usize = allocation_octets(size_of::<Row>());

/// Rows that the list of rows has room for when there is one.
const ROWS_LEAST: usize = 4;

/// What a list of so many rows takes.
const fn list_octets(rows: usize) -> usize {
    allocation_octets(rows * size_of::<Box<Row>>())
}

/// Seats by number.
pub(super) struct Seats {
    rows: Vec<Box<Row>>,
    free: u32,
    free_count: usize,
}

impl Seats {
    pub(super) fn with_room(count: usize) -> Self {
        let mut seats =
            Seats { rows: Vec::with_capacity(count.div_ceil(ROW_SEATS)), free: NO_SEAT, free_count: 0 };
        while seats.free_count < count {
            seats.add_row();
        }
        seats
    }

    /// Memory of the rows, free seats included.
    pub(super) fn octets(&self) -> usize {
        self.rows.len() * ROW_OCTETS + list_octets(self.rows.capacity())
    }

    /// What one more row takes, with the list of rows, which doubles when it must.
    pub(super) fn octets_of_one_more(&self) -> usize {
        let (length, capacity) = (self.rows.len(), self.rows.capacity());
        let grown = if length < capacity { capacity } else { (2 * capacity).max(ROWS_LEAST) };
        ROW_OCTETS + list_octets(grown) - list_octets(capacity)
    }

    /// How many there are, taken or free.
    pub(super) fn count(&self) -> usize {
        self.rows.len() * ROW_SEATS
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.count() - self.free_count
    }

    /// Whether a seat can be taken without growing.
    pub(super) fn has_room(&self) -> bool {
        self.free != NO_SEAT
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.free_count
    }

    /// Whether over a quarter of many is free.
    pub(super) fn is_sparse(&self) -> bool {
        self.free_count > 64 && self.free_count > self.count() / 4
    }

    /// Grow by a row.
    pub(super) fn add_row(&mut self) {
        if self.rows.len() == self.rows.capacity() {
            self.rows.reserve_exact(self.rows.capacity().max(ROWS_LEAST));
        }
        let first = self.rows.len() * ROW_SEATS;
        let older = self.free;
        // Each leads to the next, and the last to what was free before.
        self.rows.push(Box::new(std::array::from_fn(|place| {
            Seat::vacant(if place + 1 < ROW_SEATS { (first + place + 1) as u32 } else { older })
        })));
        self.free = first as u32;
        self.free_count += ROW_SEATS;
    }

    /// Take a seat; there must be room.
    pub(super) fn take(&mut self, seat: Seat) -> u32 {
        let number = self.free;
        let place = &mut self[number];
        let next = place.next;
        *place = seat;
        self.free = next;
        self.free_count -= 1;
        number
    }

    /// The free seats in the order in which they will be taken, for tests; as many as there should be, plus one.
    pub(super) fn free_numbers(&self) -> Vec<u32> {
        let follow = |&number: &u32| Some(self[number].next).filter(|&next| next != NO_SEAT);
        let first = Some(self.free).filter(|&number| number != NO_SEAT);
        std::iter::successors(first, follow).take(self.free_count + 1).collect()
    }

    /// Leave a seat, which frees what the entry kept.
    pub(super) fn leave(&mut self, number: u32) -> Seat {
        let vacant = Seat::vacant(self.free);
        let seat = std::mem::replace(&mut self[number], vacant);
        self.free = number;
        self.free_count += 1;
        seat
    }
}

impl std::ops::Index<u32> for Seats {
    type Output = Seat;

    #[inline]
    fn index(&self, number: u32) -> &Seat {
        &self.rows[number as usize / ROW_SEATS][number as usize % ROW_SEATS]
    }
}

impl std::ops::IndexMut<u32> for Seats {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut Seat {
        &mut self.rows[number as usize / ROW_SEATS][number as usize % ROW_SEATS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(seats: &mut Seats, hash: u64) -> u32 {
        seats.take(Seat::new(b"\x01a\0", 4, hash))
    }

    #[test]
    fn what_is_seated_stays_where_it_is_while_rows_come() {
        let mut seats = Seats::with_room(0);
        assert!(!seats.has_room());
        for hash in 0..5 * ROW_SEATS as u64 {
            if !seats.has_room() {
                seats.add_row();
            }
            assert_eq!(u64::from(taken(&mut seats, hash)), hash);
        }
        assert!(!seats.has_room());
        assert_eq!((seats.taken(), seats.free_numbers().len()), (5 * ROW_SEATS, 0));
        assert!((0..5 * ROW_SEATS as u32).all(|number| seats[number].hash == u64::from(number)));
    }

    #[test]
    fn the_seat_left_last_is_taken_first_in_whatever_row() {
        let mut seats = Seats::with_room(ROW_SEATS);
        for hash in 0..ROW_SEATS as u64 {
            taken(&mut seats, hash);
        }
        seats.add_row();
        assert_eq!(seats.leave(3).hash, 3);
        assert_eq!(seats.leave(7).hash, 7);
        // A row that comes while others are free leads to them.
        seats.add_row();
        let first = 2 * ROW_SEATS as u32;
        let order: Vec<_> = (first..first + 16).chain([7, 3]).chain(16..32).collect();
        assert_eq!(seats.free_numbers(), order);
        assert!(order.iter().all(|&number| taken(&mut seats, 0) == number));
        assert!(!seats.has_room());
    }
}
