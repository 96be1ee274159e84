//! Which entry goes when a shard is full: S3-FIFO, counted in octets.
//!
//! Knows: entries' sizes and use counts.  Does not know: what they answer, or the clock beyond `now`.
//! Theory (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): new entries enter
//! a small queue; the ones used again before they reach its end move to the main queue, the others
//! leave and only a fingerprint stays.  A name that comes back while its fingerprint is remembered goes
//! straight to main.  So a scan of one-time names passes through the small queue and never touches main.
//! Main is a FIFO with second chances.  No list surgery on a hit: a hit only counts.

use super::index::NO_SEAT;
use super::seats::Seats;

/// Use counts saturate here (two bits in the paper): second chances are few.
pub(super) const FREQUENCY_MAX: u8 = 3;
/// Uses after admission that lead from small to main; one retransmission is no sign of popularity.
const PROMOTION_FREQUENCY: u8 = 2;
/// The small queue's part of the octets is 1/10 (the paper's 10 %).
pub(super) const SMALL_SHARE: usize = 10;
/// Entries looked at for one eviction, so that no store stalls its thread however many are popular.
const STEPS_MAX: usize = 64;
/// One remembered fingerprint per this many octets of cache: about as many as main has entries.
const OCTETS_PER_FINGERPRINT: usize = 512;
const FINGERPRINTS_MIN: usize = 64;

/// Seats in the order they came, linked by their `next`.
struct Queue {
    first: u32,
    last: u32,
}

impl Queue {
    const EMPTY: Queue = Queue { first: NO_SEAT, last: NO_SEAT };

    fn push(&mut self, seats: &mut Seats, number: u32) {
        seats[number].next = NO_SEAT;
        if self.last == NO_SEAT {
            self.first = number;
        } else {
            seats[self.last].next = number;
        }
        self.last = number;
    }

    fn pop(&mut self, seats: &Seats) -> Option<u32> {
        if self.first == NO_SEAT {
            return None;
        }
        let number = self.first;
        self.first = seats[number].next;
        if self.first == NO_SEAT {
            self.last = NO_SEAT;
        }
        Some(number)
    }
}

/// The two queues and the memory of what left.
pub(super) struct EvictionQueues {
    small: Queue,
    main: Queue,
    small_octets: usize,
    small_octets_max: usize,
    /// Direct-mapped fingerprints; a newer one overwrites an older in its slot, which is its ageing.
    left: Box<[u32]>,
}

impl EvictionQueues {
    pub(super) fn new(octets_max: usize) -> Self {
        let slots = (octets_max / OCTETS_PER_FINGERPRINT).max(FINGERPRINTS_MIN).next_power_of_two();
        EvictionQueues {
            small: Queue::EMPTY,
            main: Queue::EMPTY,
            small_octets: 0,
            small_octets_max: octets_max / SMALL_SHARE,
            left: vec![0; slots].into(),
        }
    }

    /// Memory of the fingerprints.
    pub(super) fn octets(&self) -> usize {
        self.left.len() * 4
    }

    /// What the small queue's seats cost.
    pub(super) fn small_octets(&self) -> usize {
        self.small_octets
    }

    /// Take in a question not seated yet.
    pub(super) fn admit(&mut self, seats: &mut Seats, number: u32) {
        let hash = seats[number].hash;
        let slot = self.slot(hash);
        if self.left[slot] == fingerprint(hash) {
            // It left lately and is back already: straight to main.
            self.left[slot] = 0;
            seats[number].in_main = true;
            self.main.push(seats, number);
        } else {
            self.small_octets += seats[number].octets();
            self.small.push(seats, number);
        }
    }

    /// Note that a seat's allocations now cost `heap_octets`.
    pub(super) fn resize(&mut self, seats: &mut Seats, number: u32, heap_octets: u32) {
        let seat = &mut seats[number];
        if !seat.in_main {
            self.small_octets = self.small_octets - seat.heap_octets as usize + heap_octets as usize;
        }
        seat.heap_octets = heap_octets;
    }

    /// Unseat the entry least worth keeping.
    ///
    /// None when nothing is left, or when all that were looked at are popular and it need not be now
    /// (`must` false): the next call looks further.
    pub(super) fn evict(&mut self, seats: &mut Seats, now: f64, must: bool) -> Option<u32> {
        for _ in 0..STEPS_MAX {
            let from_small = self.small_octets > self.small_octets_max || self.main.first == NO_SEAT;
            let number = self.pop(seats, from_small)?;
            let seat = &mut seats[number];
            // An entry past its staleness can answer nothing, however popular it was.
            if now >= seat.entry.stale_until && now >= seat.entry.failed_until {
                return Some(number);
            }
            if from_small {
                if seat.frequency < PROMOTION_FREQUENCY {
                    let hash = seat.hash;
                    let slot = self.slot(hash);
                    self.left[slot] = fingerprint(hash);
                    return Some(number);
                }
                seat.frequency = 0;
            } else if seat.frequency > 0 {
                seat.frequency -= 1;
            } else {
                return Some(number);
            }
            seat.in_main = true;
            self.main.push(seats, number);
        }
        let from_small = self.main.first == NO_SEAT;
        if must {
            self.pop(seats, from_small)
        } else {
            None
        }
    }

    /// All seats in the order they would be looked at; the queues are empty then.
    pub(super) fn take_all(&mut self, seats: &Seats, mut each: impl FnMut(u32)) {
        for queue in [&mut self.small, &mut self.main] {
            while let Some(number) = queue.pop(seats) {
                each(number);
            }
        }
        self.small_octets = 0;
    }

    /// Put a seat that was in the queues before behind the others of its queue.
    pub(super) fn put_back(&mut self, seats: &mut Seats, number: u32) {
        if seats[number].in_main {
            self.main.push(seats, number);
        } else {
            self.small_octets += seats[number].octets();
            self.small.push(seats, number);
        }
    }

    fn pop(&mut self, seats: &Seats, from_small: bool) -> Option<u32> {
        if !from_small {
            return self.main.pop(seats);
        }
        let number = self.small.pop(seats)?;
        self.small_octets -= seats[number].octets();
        Some(number)
    }

    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.left.len() - 1)
    }
}

fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::seats::Seat;

    /// Seats of one kind of entry, all admitted, and a few free; `frequency` uses each, dead from `stale_until` on.
    fn filled(octets_max: usize, count: u64, frequency: u8, stale_until: f64) -> (Seats, EvictionQueues) {
        let mut seats = Seats::with_room(count as usize + 4);
        let mut queues = EvictionQueues::new(octets_max);
        for number in 0..count {
            admit(&mut seats, &mut queues, number, frequency, stale_until);
        }
        (seats, queues)
    }

    fn admit(seats: &mut Seats, queues: &mut EvictionQueues, hash: u64, frequency: u8, until: f64) -> u32 {
        let mut seat = Seat::new(b"\x01a\0", 4, hash);
        seat.frequency = frequency;
        seat.entry.stale_until = until;
        let number = seats.take(seat);
        queues.admit(seats, number);
        number
    }

    #[test]
    fn popular_entries_past_their_staleness_leave_first() {
        let (mut seats, mut queues) = filled(1000, 1, 3, 1000.0);
        let dead = admit(&mut seats, &mut queues, 9, 3, 10.0);
        assert_eq!(queues.evict(&mut seats, 20.0, true), Some(dead));
    }

    #[test]
    fn an_eviction_ends_soon_although_all_are_popular() {
        for count in [1, STEPS_MAX, 10 * STEPS_MAX] {
            let (mut seats, mut queues) = filled(1_000_000, count as u64, 3, 1000.0);
            assert!(queues.evict(&mut seats, 0.0, true).is_some());
            let mut left = 0;
            queues.take_all(&seats, |_| left += 1);
            assert_eq!(left, count - 1);
        }
    }

    #[test]
    fn an_eviction_that_can_wait_spares_the_popular() {
        let (mut seats, mut queues) = filled(1000, 2 * STEPS_MAX as u64, 3, 1000.0);
        assert_eq!(queues.evict(&mut seats, 0.0, false), None);
        let mut left = 0;
        queues.take_all(&seats, |_| left += 1);
        assert_eq!(left, 2 * STEPS_MAX);
    }

    #[test]
    fn nothing_is_evicted_from_nothing() {
        assert_eq!(EvictionQueues::new(1000).evict(&mut Seats::with_room(0), 0.0, true), None);
    }

    #[test]
    fn a_name_that_comes_back_soon_after_it_left_goes_straight_to_main() {
        let (mut seats, mut queues) = filled(1000, 0, 0, 0.0);
        let hash = 0x1234_5678_0000_0005;
        let first = admit(&mut seats, &mut queues, hash, 0, 1000.0);
        assert!(!seats[first].in_main);
        assert_eq!(queues.evict(&mut seats, 0.0, true), Some(first));
        seats.leave(first);
        let again = admit(&mut seats, &mut queues, hash, 0, 1000.0);
        assert!(seats[again].in_main);
        // Its fingerprint is forgotten with that; another's is not its own.
        let other = admit(&mut seats, &mut queues, hash, 0, 1000.0);
        assert!(!seats[other].in_main);
    }

    #[test]
    fn one_use_is_no_popularity_but_two_are() {
        let (mut seats, mut queues) = filled(1000, 0, 0, 0.0);
        let twice = admit(&mut seats, &mut queues, 1, 2, 1000.0);
        let once = admit(&mut seats, &mut queues, 2, 1, 1000.0);
        assert_eq!(queues.evict(&mut seats, 0.0, true), Some(once));
        assert!(seats[twice].in_main);
    }
}
