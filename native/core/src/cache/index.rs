//! Where a question's seat is: an open-addressing table of tags and seat numbers.
//!
//! Knows: hashes' low 32 bits.  Does not know: names; the caller compares them.
//! Theory: 8 octets a slot, linear probing, at most 3/4 full.  A removal shifts what follows back, so no
//! tombstones gather and a table in steady use is never rebuilt.  The tag tells the home slot, so growing
//! reads nothing but the table.

/// No seat has this number.
pub(super) const NO_SEAT: u32 = u32::MAX;

const EMPTY: u64 = u64::MAX;
const SLOTS_MIN: usize = 16;
const SLOT_OCTETS: usize = 8;

/// Whether so many seats are too many for so many slots.
fn is_full(count: usize, slots: usize) -> bool {
    count * 4 > slots * 3
}

/// A table of (tag, seat number), keyed by the tag.
pub(super) struct Index {
    slots: Box<[u64]>,
    used: usize,
}

impl Index {
    /// Room for `count` seats before it grows.
    pub(super) fn with_room(count: usize) -> Self {
        let slots = (count + count / 2).next_power_of_two().max(SLOTS_MIN);
        Index { slots: vec![EMPTY; slots].into(), used: 0 }
    }

    /// Memory it takes.
    pub(super) fn octets(&self) -> usize {
        self.slots.len() * SLOT_OCTETS
    }

    /// Memory it would take with so many seats in it.
    pub(super) fn octets_to_hold(&self, count: usize) -> usize {
        let mut slots = self.slots.len();
        while is_full(count, slots) {
            slots *= 2;
        }
        slots * SLOT_OCTETS
    }

    /// The first seat with this tag that `is_it`.
    #[inline]
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            let slot = self.slots[at & mask];
            if slot == EMPTY {
                return None;
            }
            if (slot >> 32) as u32 == tag && is_it(slot as u32) {
                return Some(slot as u32);
            }
            at += 1;
        }
    }

    /// Add a seat that is not in it.
    pub(super) fn insert(&mut self, tag: u32, seat: u32) {
        if is_full(self.used + 1, self.slots.len()) {
            let older = std::mem::take(&mut self.slots);
            self.slots = vec![EMPTY; older.len() * 2].into();
            for &slot in older.iter().filter(|&&slot| slot != EMPTY) {
                self.place(slot);
            }
        }
        self.place(u64::from(tag) << 32 | u64::from(seat));
        self.used += 1;
    }

    /// Take a seat out; one that is not in it is let be.
    pub(super) fn remove(&mut self, tag: u32, seat: u32) {
        let mask = self.slots.len() - 1;
        let wanted = u64::from(tag) << 32 | u64::from(seat);
        let mut hole = tag as usize & mask;
        while self.slots[hole] != wanted {
            if self.slots[hole] == EMPTY {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == EMPTY {
                break;
            }
            // It may move back unless the hole lies before its home.
            let home = (slot >> 32) as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = (slot >> 32) as usize & mask;
        while self.slots[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn what_is_put_in_is_found_until_it_is_taken_out() {
        let mut index = Index::with_room(0);
        let mut model: HashMap<u32, u32> = HashMap::new();
        let mut state = 12345u32;
        for step in 0..200_000u32 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Few tags, so that runs are long and wrap around the end.
            let seat = state >> 20;
            let tag = seat.wrapping_mul(0x9E37_79B9) >> 24;
            if let Some(tag) = model.remove(&seat) {
                index.remove(tag, seat);
                assert_eq!(index.find(tag, |one| one == seat), None);
            } else if model.len() < 500 {
                index.insert(tag, seat);
                model.insert(seat, tag);
            }
            if step % 1000 == 0 {
                for (&seat, &tag) in &model {
                    assert_eq!(index.find(tag, |one| one == seat), Some(seat));
                }
            }
        }
        assert_eq!(index.used, model.len());
        assert!(index.octets() <= 1024 * SLOT_OCTETS);
    }

    #[test]
    fn taking_out_what_is_not_in_changes_nothing() {
        let mut index = Index::with_room(4);
        index.insert(7, 1);
        index.remove(7, 2);
        index.remove(8, 1);
        assert_eq!(index.find(7, |_| true), Some(1));
        assert_eq!(index.used, 1);
    }
}
