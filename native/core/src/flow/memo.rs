//! Whole answers by whole questions: the short cut in front of parsing, policy and cache, one per thread.
//!
//! Knows: octets in over which transport, octets out, until when they hold.  Does not know: why the answer is what
//! it is.
//! Theory: a set of four slots per hash; a slot holds a query's octets after its ID and the answer's, side by
//! side, so that a hit reads one place.  What is asked once is only noted in `seen`, so that a flood of names
//! asked once pushes nothing out.  TTLs are brought up to date in place.  Nobody else reads a thread's memo,
//! so it needs no lock, and the slots of a whole batch can be sent for before the first one is read.

use std::hint::black_box;
use std::mem::size_of;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::peer::Transport;
use crate::entropy::Entropy;
use crate::wire::turning::Turning;

/// Octets of question and answer together that a slot has room for: a denial with its reason fits.
const ROOM_OCTETS: usize = 288;
/// Records whose TTLs are counted down here; an answer with more holds for a second only.
pub(super) const TTLS_MAX: usize = 5;
const WAYS: usize = 4;
/// Questions remembered by hash alone, to tell the second time from the first: so many for each slot, and no more.
const SEEN_PER_SLOT: usize = 8;
const SEEN_MAX: usize = 1 << 16;
/// A slot with its share of everything else.
const SLOT_OCTETS: usize = size_of::<Slot>() + size_of::<Way>() + SEEN_PER_SLOT * size_of::<u16>();
const SETS_MAX: usize = 1 << 13;
const NOT_YET: u32 = u32::MAX;
/// Bits of a key's mark that are its length: more than any key has that is kept.
const LENGTH_BITS: u32 = 12;
const _: () = assert!(ROOM_OCTETS < 1 << LENGTH_BITS && (Transport::ALL.len() << LENGTH_BITS) <= 1 << 16);
/// Every so many uses an answer comes from the cache again, which so learns that it is in use.
const REPEATS_MAX: u16 = 64;

/// One question and its answer.
#[derive(Clone)]
#[repr(C)]
struct Slot {
    good_until: f64,
    /// When its TTLs become one second less.
    older_at: f64,
    generation: u64,
    tally: u32,
    /// See `key_mark`.
    key_mark: u16,
    answer_octets: u16,
    /// Uses since it was kept.
    repeats: u16,
    /// Where TTLs stand in the answer without its ID; 0: no more of them.
    ttl_offsets: [u16; TTLS_MAX],
    /// What turns in the answer without its ID: where it starts, how many records of how many octets; 0: nothing.
    turn_start: u16,
    turn_count: u8,
    turn_step: u8,
    /// The query's octets after its ID, then the answer's.
    room: [u8; ROOM_OCTETS],
}

#[derive(Clone, Copy)]
struct Way {
    /// Part of the hash; 0: free.
    mark: u32,
    slot: u32,
}

/// Where a question may stand, and its hash.
#[derive(Clone, Copy)]
pub(super) struct Trail {
    hash: u64,
    slot: u32,
    transport: Transport,
}

/// The length of a key and its transport, since an answer over one may be too long for another and is counted as
/// its own: compared at once, so that the second costs nothing.
#[inline(always)]
fn key_mark(key: &[u8], transport: Transport) -> usize {
    key.len() | (transport as usize) << LENGTH_BITS
}

/// An answer remembered, and its number in the thread's tallies.
pub(super) struct Remembered<'m> {
    pub tail: &'m [u8],
    pub tally: u32,
    turning: Turning,
}

impl Remembered<'_> {
    /// Append the answer without its ID as it is for a query whose ID ends in `number`.
    #[inline]
    pub fn put(&self, number: u8, out: &mut Vec<u8>) {
        if self.turning.count == 0 {
            out.extend_from_slice(self.tail);
            return;
        }
        let (start, front, end) = self.turning.places(number);
        for part in [0..start, front..end, start..front, end..self.tail.len()] {
            out.extend_from_slice(self.tail.get(part).unwrap_or_default());
        }
    }
}

/// For how long an answer holds, and how it ages.
pub(super) struct Keeping<'k> {
    /// The policy's.
    pub generation: u64,
    /// Monotonic seconds.
    pub good_until: f64,
    /// When its TTLs become one second less; infinity: they do not run down.
    pub older_at: f64,
    /// Where they stand in the whole message, at most `TTLS_MAX`.
    pub ttl_offsets: &'k [u16],
    /// What turns in the whole message, and has been turned for its query.
    pub turning: Turning,
    /// The answer's number in the thread's tallies.
    pub tally: u32,
}

/// One thread's memo.
pub struct Memo {
    seed: u64,
    sets: Box<[[Way; WAYS]]>,
    slots: Vec<Slot>,
    slots_max: usize,
    seen: Box<[u16]>,
    victim: usize,
}

impl Memo {
    /// At most about `octets_max` octets, used only as answers come; where they stand nobody can guess.
    pub fn new(octets_max: usize, entropy: &mut Entropy) -> Memo {
        let seed = (0..4).fold(0, |seed, _| seed << 16 | u64::from(entropy.query_id()));
        let wanted = octets_max / (SLOT_OCTETS * WAYS);
        let sets = if wanted == 0 { 0 } else { (1 << wanted.ilog2()).min(SETS_MAX) };
        Memo {
            seed,
            sets: vec![[Way { mark: 0, slot: NOT_YET }; WAYS]; sets].into_boxed_slice(),
            slots: Vec::with_capacity(sets * WAYS),
            slots_max: sets * WAYS,
            seen: vec![0; (sets * WAYS * SEEN_PER_SLOT).min(SEEN_MAX)].into_boxed_slice(),
            victim: 0,
        }
    }

    /// Begin to look for a query (whole, ID included).
    #[inline]
    pub(super) fn trail(&self, octets: &[u8], transport: Transport) -> Trail {
        let seed = self.seed.wrapping_add(transport as u64);
        Trail { hash: xxh3_64_with_seed(octets.get(2..).unwrap_or(&[]), seed), slot: NOT_YET, transport }
    }

    /// The second step: find the slot where its answer may be.
    #[inline(always)]
    pub(super) fn sight(&self, trail: &mut Trail) {
        let Some(last) = self.sets.len().checked_sub(1) else { return };
        let mark = mark_of(trail.hash);
        let set = &self.sets[trail.hash as usize & last];
        trail.slot = set.iter().find(|way| way.mark == mark).map_or(NOT_YET, |way| way.slot);
    }

    /// The third step: whether there may be an answer; sends for it.
    #[inline(always)]
    pub(super) fn approach(&self, trail: Trail) -> bool {
        let Some(slot) = self.slots.get(trail.slot as usize) else { return false };
        black_box(slot.good_until);
        black_box(slot.room[64]);
        black_box(slot.room[128]);
        true
    }

    /// The answer to a query, without its ID and as of now, if one still holds.
    #[inline]
    pub(super) fn find(
        &mut self,
        trail: Trail,
        octets: &[u8],
        generation: u64,
        now: f64,
    ) -> Option<Remembered<'_>> {
        let slot = self.slots.get_mut(trail.slot as usize)?;
        if now >= slot.good_until || slot.generation != generation || slot.repeats >= REPEATS_MAX {
            return None;
        }
        let wanted = octets.get(2..)?;
        if key_mark(wanted, trail.transport) != usize::from(slot.key_mark) {
            return None;
        }
        let (key, rest) = slot.room.split_at_mut_checked(wanted.len())?;
        if wanted != &*key {
            return None;
        }
        let tail = rest.get_mut(..usize::from(slot.answer_octets))?;
        if now >= slot.older_at {
            let seconds = (now - slot.older_at).floor() + 1.0;
            slot.older_at += seconds;
            age(tail, &slot.ttl_offsets, seconds as u32);
        }
        slot.repeats += 1;
        let turning =
            Turning { start: slot.turn_start, count: u16::from(slot.turn_count), step: slot.turn_step };
        Some(Remembered { tail, tally: slot.tally, turning })
    }

    /// Keep an answer (whole) for as long as it holds, if its question was asked before.
    pub(super) fn remember(&mut self, trail: Trail, octets: &[u8], answer: &[u8], keeping: Keeping) {
        let (Some(key), Some(tail)) = (octets.get(2..), answer.get(2..)) else { return };
        if self.slots_max == 0 || key.len() + tail.len() > ROOM_OCTETS {
            return;
        }
        if trail.slot == NOT_YET && !self.is_asked_again(trail.hash) {
            return;
        }
        let number = self.seat(trail);
        let Some(slot) = self.slots.get_mut(number as usize) else { return };
        slot.good_until = keeping.good_until;
        slot.older_at = keeping.older_at;
        slot.generation = keeping.generation;
        slot.tally = keeping.tally;
        slot.key_mark = key_mark(key, trail.transport) as u16;
        slot.answer_octets = tail.len() as u16;
        slot.repeats = 0;
        slot.ttl_offsets = [0; TTLS_MAX];
        for (place, offset) in slot.ttl_offsets.iter_mut().zip(keeping.ttl_offsets) {
            *place = offset.saturating_sub(2);
        }
        slot.room[..key.len()].copy_from_slice(key);
        let room = &mut slot.room[key.len()..key.len() + tail.len()];
        room.copy_from_slice(tail);
        // It is kept as nobody gets it yet: each use turns it anew.
        let turning = Turning { start: keeping.turning.start.saturating_sub(2), ..keeping.turning };
        turning.turn_back(room, octets[1]);
        slot.turn_start = turning.start;
        // More records than 255 have no room here.
        slot.turn_count = turning.count as u8;
        slot.turn_step = turning.step;
    }

    fn is_asked_again(&mut self, hash: u64) -> bool {
        let place = (hash >> 16) as usize & (self.seen.len() - 1);
        let place = &mut self.seen[place];
        let print = (hash >> 40) as u16 | 1;
        let is_known = *place == print;
        *place = print;
        is_known
    }

    /// The slot for a question: the one it has, a free one, or another's in turn.
    fn seat(&mut self, trail: Trail) -> u32 {
        if trail.slot != NOT_YET {
            return trail.slot;
        }
        let mark = mark_of(trail.hash);
        let set = &mut self.sets[trail.hash as usize & (self.sets.len() - 1)];
        let chosen = set.iter().position(|way| way.mark == mark || way.mark == 0).unwrap_or_else(|| {
            self.victim = self.victim.wrapping_add(1);
            self.victim % WAYS
        });
        let way = &mut set[chosen];
        way.mark = mark;
        if way.slot == NOT_YET {
            way.slot = self.slots.len() as u32;
            self.slots.push(Slot {
                good_until: 0.0,
                older_at: 0.0,
                generation: 0,
                tally: 0,
                key_mark: 0,
                answer_octets: 0,
                repeats: 0,
                ttl_offsets: [0; TTLS_MAX],
                turn_start: 0,
                turn_count: 0,
                turn_step: 0,
                room: [0; ROOM_OCTETS],
            });
        }
        way.slot
    }
}

/// Take `seconds` off each TTL, down to 0.
fn age(tail: &mut [u8], ttl_offsets: &[u16], seconds: u32) {
    for offset in ttl_offsets.iter().map(|&offset| usize::from(offset)).take_while(|&offset| offset > 0) {
        if let Some(place) =
            tail.get_mut(offset..offset + 4).and_then(|four| <&mut [u8; 4]>::try_from(four).ok())
        {
            *place = u32::from_be_bytes(*place).saturating_sub(seconds).to_be_bytes();
        }
    }
}

fn mark_of(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memo_of(octets_max: usize) -> Memo {
        Memo::new(octets_max, &mut Entropy::from_seed([5; 32]))
    }

    fn trail_of(memo: &Memo, octets: &[u8]) -> Trail {
        trail_over(memo, octets, Transport::Udp)
    }

    fn trail_over(memo: &Memo, octets: &[u8], transport: Transport) -> Trail {
        let mut trail = memo.trail(octets, transport);
        memo.sight(&mut trail);
        trail
    }

    fn query(number: u32) -> Vec<u8> {
        [&[0xAB, 0xCD, 1, 0][..], &number.to_be_bytes()].concat()
    }

    fn keep(memo: &mut Memo, octets: &[u8], answer: &[u8]) {
        let keeping = Keeping {
            generation: 1,
            good_until: 10.0,
            older_at: f64::INFINITY,
            ttl_offsets: &[],
            turning: Turning::default(),
            tally: 7,
        };
        let trail = trail_of(memo, octets);
        memo.remember(trail, octets, answer, keeping);
    }

    fn found(memo: &mut Memo, octets: &[u8], generation: u64, now: f64) -> Option<Vec<u8>> {
        let trail = trail_of(memo, octets);
        memo.find(trail, octets, generation, now).map(|remembered| remembered.tail.to_vec())
    }

    #[test]
    fn the_second_time_is_remembered_and_the_third_is_answered() {
        let mut memo = memo_of(1 << 20);
        keep(&mut memo, &query(1), b"IDanswer");
        assert_eq!(found(&mut memo, &query(1), 1, 5.0), None);
        keep(&mut memo, &query(1), b"IDanswer");
        assert_eq!(found(&mut memo, &query(1), 1, 5.0), Some(b"answer".to_vec()));
        let mut other_id = query(1);
        other_id[0] = 0;
        assert_eq!(found(&mut memo, &other_id, 1, 5.0), Some(b"answer".to_vec()));
    }

    #[test]
    fn an_answer_over_one_transport_is_none_over_another() {
        let mut memo = memo_of(1 << 20);
        let answer = |transport: Transport| [b"ID", transport.label().as_bytes()].concat();
        for transport in Transport::ALL.into_iter().chain(Transport::ALL) {
            let keeping = Keeping {
                generation: 1,
                good_until: 10.0,
                older_at: f64::INFINITY,
                ttl_offsets: &[],
                turning: Turning::default(),
                tally: transport as u32,
            };
            let trail = trail_over(&memo, &query(1), transport);
            memo.remember(trail, &query(1), &answer(transport), keeping);
        }
        for transport in Transport::ALL {
            let trail = trail_over(&memo, &query(1), transport);
            let known = memo.find(trail, &query(1), 1, 5.0).unwrap();
            assert_eq!((known.tail, known.tally), (transport.label().as_bytes(), transport as u32));
            // Whatever the hash says, the mark tells them apart.
            let others = Transport::ALL.into_iter().filter(|&other| other != transport);
            for transport in others {
                assert!(memo.find(Trail { transport, ..trail }, &query(1), 1, 5.0).is_none());
            }
            // A query longer than any key has a mark of its own.
            let long = vec![0; 2 + query(1).len() - 2 + (1 << LENGTH_BITS)];
            assert!(memo.find(trail, &long, 1, 5.0).is_none());
        }
    }

    #[test]
    fn an_answer_ends_with_its_time_and_its_generation() {
        let mut memo = memo_of(1 << 20);
        keep(&mut memo, &query(1), b"IDanswer");
        keep(&mut memo, &query(1), b"IDanswer");
        assert_eq!(found(&mut memo, &query(1), 1, 10.0), None);
        assert_eq!(found(&mut memo, &query(1), 2, 5.0), None);
        assert_eq!(found(&mut memo, &query(2), 1, 5.0), None);
    }

    #[test]
    fn the_cache_is_asked_again_after_many_uses() {
        let mut memo = memo_of(1 << 20);
        keep(&mut memo, &query(1), b"IDanswer");
        keep(&mut memo, &query(1), b"IDanswer");
        let uses = (0..1000).take_while(|_| found(&mut memo, &query(1), 1, 5.0).is_some()).count();
        assert_eq!(uses, usize::from(REPEATS_MAX));
        keep(&mut memo, &query(1), b"IDnewer");
        assert_eq!(found(&mut memo, &query(1), 1, 5.0), Some(b"newer".to_vec()));
    }

    #[test]
    fn ttls_run_down_second_by_second_and_end_at_nothing() {
        let mut memo = memo_of(1 << 20);
        let answer = [&b"IDxx"[..], &300u32.to_be_bytes(), &2u32.to_be_bytes()].concat();
        for _ in 0..2 {
            let keeping = Keeping {
                generation: 1,
                good_until: 100.0,
                older_at: 5.5,
                ttl_offsets: &[4, 8],
                turning: Turning::default(),
                tally: 7,
            };
            let trail = trail_of(&memo, &query(1));
            memo.remember(trail, &query(1), &answer, keeping);
        }
        let aged =
            |ttls: [u32; 2]| Some([&b"xx"[..], &ttls[0].to_be_bytes(), &ttls[1].to_be_bytes()].concat());
        assert_eq!(found(&mut memo, &query(1), 1, 5.4), aged([300, 2]));
        assert_eq!(found(&mut memo, &query(1), 1, 5.5), aged([299, 1]));
        assert_eq!(found(&mut memo, &query(1), 1, 6.4), aged([299, 1]));
        assert_eq!(found(&mut memo, &query(1), 1, 8.6), aged([296, 0]));
        assert_eq!(found(&mut memo, &query(1), 1, 99.5), aged([205, 0]));
    }

    #[test]
    fn a_flood_of_names_asked_once_pushes_nothing_out() {
        let mut memo = memo_of(4 << 20);
        let hot = 1_000;
        for number in (0..hot).chain(0..hot) {
            keep(&mut memo, &query(number), b"IDanswer");
        }
        for number in hot..hot + 200_000 {
            keep(&mut memo, &query(number), b"IDanswer");
        }
        let left = (0..hot).filter(|&number| found(&mut memo, &query(number), 1, 5.0).is_some()).count();
        assert!(left * 100 >= hot as usize * 95, "{left} of {hot} are left");
    }

    #[test]
    fn no_answer_is_anothers_whatever_collides() {
        let mut memo = memo_of(SLOT_OCTETS * WAYS);
        for _ in 0..3 {
            for number in 0..200u32 {
                keep(&mut memo, &query(number), &[b"ID", &number.to_be_bytes()[..]].concat());
                if let Some(tail) = found(&mut memo, &query(number), 1, 5.0) {
                    assert_eq!(tail, number.to_be_bytes());
                }
            }
        }
    }

    #[test]
    fn full_it_holds_what_it_was_given_and_no_more() {
        for octets_max in [SLOT_OCTETS * WAYS, 100_000, 1 << 20, 3 << 20, 8 << 20, 64 << 20] {
            let mut memo = memo_of(octets_max);
            for number in (0..60_000).chain(0..60_000) {
                keep(&mut memo, &query(number), b"IDanswer");
            }
            let slots = memo.slots.capacity() * size_of::<Slot>();
            let held = slots + size_of_val(&*memo.sets) + size_of_val(&*memo.seen);
            assert!(held <= octets_max, "{held} of {octets_max}");
            let most = octets_max.min(SETS_MAX * WAYS * size_of::<Slot>());
            assert!(held * 2 > most, "{held} of {octets_max}");
        }
    }

    #[test]
    fn what_is_too_long_or_too_short_is_left_out() {
        let mut memo = memo_of(1 << 20);
        for octets in [&[][..], &[1], &[1, 2]] {
            keep(&mut memo, octets, b"");
            keep(&mut memo, octets, b"ID");
        }
        let long = [0; ROOM_OCTETS + 1];
        keep(&mut memo, &query(1), &long);
        keep(&mut memo, &query(1), &long);
        assert_eq!(found(&mut memo, &query(1), 1, 5.0), None);
        let mut off = memo_of(0);
        keep(&mut off, &query(1), b"IDanswer");
        keep(&mut off, &query(1), b"IDanswer");
        assert_eq!(found(&mut off, &query(1), 1, 5.0), None);
    }
}
