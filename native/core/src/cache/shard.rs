//! One part of the cache, behind one lock: all kinds of the names whose hash leads here.
//!
//! Knows: which entry answers which question, the limit in octets.  Does not know: TTL bounds, other shards.
//! Theory: a question is found by the hash of name and kind and then by comparing both, never by the hash
//! alone.  What the tables take is counted as a whole, what entries keep outside them one by one.

use super::entry::{failure_octets, judgement_octets, Entry};
use super::eviction::{EvictionQueues, FREQUENCY_MAX, SMALL_SHARE};
use super::index::Index;
use super::seats::{name_octets, Seat, Seats, ROW_OCTETS, ROW_SEATS, SEAT_OCTETS};
use crate::wire::numbers::{TYPE_A, TYPE_AAAA, TYPE_HTTPS};
use crate::wire::Response;

/// Eviction starts when 1/32 of the octets or of the seats is left, so its search may take several stores.
const SLACK_SHARE: usize = 32;

/// Stands for the type in an NXDOMAIN's kind; no real type is that large.
pub(super) const ANY_TYPE: u32 = 1 << 16;

/// Slots of the index that come from memory together.
const NEAR_SLOTS: u64 = 8;

/// A shard of less keeps nothing: beside its other tables it should have room for a row of seats.
pub(super) const SHARD_OCTETS_LEAST: usize = 8 << 10;
const _: () = assert!(ROW_OCTETS <= SHARD_OCTETS_LEAST * 3 / 4);

/// How a question is found: its name, hashed, and the kinds that may answer it.
#[derive(Clone, Copy)]
pub(super) struct Key<'q> {
    /// Wire form, lower case.
    pub(super) qname: &'q [u8],
    /// Of the name alone.
    pub(super) hash: u64,
    /// The type and the DO and CD bits in one number.
    pub(super) typed_kind: u32,
    /// The same of the NXDOMAIN that would deny the name.
    pub(super) denial_kind: u32,
}

impl Key<'_> {
    /// Hash of the name and a kind.  Two rounds of folding spread the kinds of one name over the table, but for the
    /// few that are looked for together: their homes are side by side, so that one wait for memory is enough.
    #[inline]
    fn hash_of(&self, kind: u32) -> u64 {
        const ODD: u128 = 0x9E37_79B9_7F4A_7C15;
        let near = match (kind >> 2) as u16 {
            _ if kind >> 2 == ANY_TYPE => Some(0),
            TYPE_A => Some(1),
            TYPE_AAAA => Some(2),
            TYPE_HTTPS => Some(3),
            _ => None,
        };
        let spread = if near.is_some() { 0 } else { u64::from(kind) << 17 ^ u64::from(kind) };
        let wide = u128::from(self.hash ^ spread) * ODD;
        let hash = (wide >> 64) as u64 ^ wide as u64;
        match near {
            None => hash,
            Some(step) => hash & !(NEAR_SLOTS - 1) | hash.wrapping_add(step) & (NEAR_SLOTS - 1),
        }
    }
}

/// Part of the cache.
pub(super) struct Shard {
    pub(super) seats: Seats,
    pub(super) index: Index,
    pub(super) queues: EvictionQueues,
    /// What entries keep outside the tables.
    pub(super) heap_octets: usize,
    octets_max: usize,
    octets_high: usize,
    /// What one entry may take: one answer may not push out all the small queue at once.
    entry_octets_max: usize,
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
}

impl Shard {
    pub(super) fn new(octets_max: usize) -> Self {
        let entry_octets_max = if octets_max < SHARD_OCTETS_LEAST { 0 } else { octets_max / SMALL_SHARE };
        Shard {
            seats: Seats::with_room(0),
            index: Index::with_room(0),
            queues: EvictionQueues::new(octets_max),
            heap_octets: 0,
            octets_max,
            octets_high: octets_max - octets_max / SLACK_SHARE,
            entry_octets_max,
            hits: 0,
            misses: 0,
            evictions: 0,
        }
    }

    /// How many entries are kept, stale ones and failures included.
    pub(super) fn entries(&self) -> usize {
        self.seats.taken()
    }

    /// Memory accounted for.
    pub(super) fn octets(&self) -> usize {
        std::mem::size_of::<Self>()
            + self.queues.octets()
            + self.index.octets()
            + self.seats.octets()
            + self.heap_octets
    }

    /// Whether an entry with allocations of so many octets may be kept for this name.
    pub(super) fn has_room_for(&self, qname: &[u8], octets: usize) -> bool {
        SEAT_OCTETS + name_octets(qname) + octets <= self.entry_octets_max
    }

    #[inline]
    fn find(&self, key: &Key, kind: u32) -> Option<u32> {
        self.index.find(key.hash_of(kind) as u32, |number| {
            let seat = &self.seats[number];
            seat.kind == kind && seat.qname.is(key.qname)
        })
    }

    /// The entry to look at, and its number for `settle`.
    #[inline]
    pub(super) fn seated(&mut self, number: u32) -> &mut Entry {
        &mut self.seats[number].entry
    }

    /// Find what is known: a fresh answer, a stale one, or a failure; None if nothing is.
    #[inline]
    pub(super) fn lookup(&mut self, key: &Key, now: f64) -> Option<u32> {
        let typed = self.find(key, key.typed_kind);
        if let Some(number) = typed {
            if self.seats[number].entry.is_fresh(now) {
                self.hits += 1;
                self.count_use(number);
                return typed;
            }
        }
        let denial = self.find(key, key.denial_kind);
        if typed.is_none() && denial.is_none() {
            self.misses += 1;
            return None;
        }
        self.second_best(typed, denial, now)
    }

    /// A lookup that found no fresh answer of the type: a denial, a stale answer or a failure.
    fn second_best(&mut self, typed: Option<u32>, denial: Option<u32>, now: f64) -> Option<u32> {
        let is_denied =
            denial.is_some_and(|number| self.seats[number].entry.is_fresh(now)) && !self.has_records(typed);
        let found = if is_denied {
            denial
        } else {
            let failing = || typed.filter(|&number| self.seats[number].entry.is_failing(now));
            self.better_usable(typed, denial, now).or_else(failing)
        };
        if is_denied || found.is_some_and(|number| self.seats[number].entry.is_failing(now)) {
            self.hits += 1;
        } else {
            self.misses += 1;
        }
        if let Some(number) = found {
            self.count_use(number);
        }
        found
    }

    /// Whichever still has an answer; beside the type's own records no denial, else the one learned later.
    fn better_usable(&self, typed: Option<u32>, denial: Option<u32>, now: f64) -> Option<u32> {
        let usable = |number: &u32| self.seats[*number].entry.is_usable(now);
        let denial = denial.filter(|_| !self.has_records(typed));
        match (typed.filter(usable), denial.filter(usable)) {
            (Some(typed), Some(denial)) => {
                let is_newer = self.seats[denial].entry.stored_at > self.seats[typed].entry.stored_at;
                Some(if is_newer { denial } else { typed })
            }
            (typed, denial) => typed.or(denial),
        }
    }

    /// Whether records of the type are kept, of any age: a denial beside them is another type's.
    fn has_records(&self, typed: Option<u32>) -> bool {
        typed.is_some_and(|number| {
            let response = self.seats[number].entry.response.as_ref();
            response.is_some_and(|response| response.negative.is_none())
        })
    }

    #[inline]
    fn count_use(&mut self, number: u32) {
        let seat = &mut self.seats[number];
        if seat.frequency < FREQUENCY_MAX {
            seat.frequency += 1;
        }
    }

    /// Take it for used so often at least.
    pub(super) fn count_uses(&mut self, number: u32, uses: u8) {
        let seat = &mut self.seats[number];
        seat.frequency = seat.frequency.max(uses);
    }

    /// A new entry with a response whose allocations cost `octets`, in the question's old seat or a new one.
    ///
    /// What contradicts it is forgotten: a name that is denied has no type, and the reverse.
    pub(super) fn fill_answer(
        &mut self,
        key: &Key,
        is_denial: bool,
        response: Response,
        octets: usize,
        now: f64,
    ) -> u32 {
        let (typed, denial) = (key.typed_kind, key.denial_kind);
        let (kind, other) = if is_denial { (denial, typed) } else { (typed, denial) };
        self.empty(key, other);
        let number = self.fill(key, kind, octets, now);
        self.seats[number].entry.response = Some(response);
        number
    }

    /// Forget the answers to a question; their seats stay in the queues until taken again or evicted.
    pub(super) fn empty_all(&mut self, key: &Key) {
        self.empty(key, key.typed_kind);
        self.empty(key, key.denial_kind);
    }

    fn empty(&mut self, key: &Key, kind: u32) {
        if let Some(number) = self.find(key, kind) {
            self.renew(number, 0);
        }
    }

    /// A new entry with nothing known yet, its allocations to come.
    fn fill(&mut self, key: &Key, kind: u32, octets: usize, now: f64) -> u32 {
        if let Some(number) = self.find(key, kind) {
            self.renew(number, octets);
            return number;
        }
        let hash = key.hash_of(kind);
        let mut seat = Seat::new(key.qname, kind, hash);
        seat.heap_octets += octets as u32;
        self.heap_octets += seat.heap_octets as usize;
        self.make_seat(now);
        let number = self.seats.take(seat);
        self.index.insert(hash as u32, number);
        self.queues.admit(&mut self.seats, number);
        number
    }

    /// A new entry in the seat of an older one, whose popularity it keeps.
    pub(super) fn renew(&mut self, number: u32, octets: usize) {
        let seat = &mut self.seats[number];
        seat.entry = Entry::new(None);
        seat.noted_octets = 0;
        let octets = seat.qname.octets() + octets;
        self.resize(number, octets);
    }

    fn resize(&mut self, number: u32, octets: usize) {
        self.heap_octets = self.heap_octets - self.seats[number].heap_octets as usize + octets;
        self.queues.resize(&mut self.seats, number, octets as u32);
    }

    /// See that a seat is free: an old one, one more, or somebody's.
    fn make_seat(&mut self, now: f64) {
        while !self.seats.has_room() {
            // Where nothing is left to evict there is room, for what is to be seated was found small enough.
            if self.may_grow() || !self.evict(now, true) {
                self.seats.add_row();
            }
        }
    }

    /// Whether there are octets for a row of seats and for what the tables take to hold them.
    ///
    /// The tables double when they must: was that not paid for before, hundreds of entries would go at once for it.
    fn may_grow(&self) -> bool {
        let index_octets = self.index.octets_to_hold(self.seats.count() + ROW_SEATS) - self.index.octets();
        self.octets() + index_octets + self.seats.octets_of_one_more() <= self.octets_high
    }

    /// Note that upstreams failed; see `Cache::store_failure`.
    pub(super) fn fail(&mut self, key: &Key, ede: (u16, &str), now: f64) -> u32 {
        let typed = self.find(key, key.typed_kind);
        let denial = self.find(key, key.denial_kind);
        let unanswered = || typed.filter(|&number| self.seats[number].entry.response.is_none());
        let number = match self.better_usable(typed, denial, now).or_else(unanswered) {
            Some(number) => number,
            None => self.fill(key, key.typed_kind, 0, now),
        };
        let entry = &mut self.seats[number].entry;
        let older_octets = entry.failure.as_ref().map_or(0, |failure| failure_octets(&failure.1));
        if entry.note_failure(ede, now) {
            let octets = self.seats[number].heap_octets as usize - older_octets + failure_octets(ede.1);
            self.resize(number, octets);
        }
        number
    }

    /// Account for what the caller noted on the entry it was shown.
    #[inline]
    pub(super) fn settle(&mut self, number: u32, now: f64) {
        let seat = &self.seats[number];
        if seat.entry.judgement.is_none() && seat.noted_octets == 0 {
            return;
        }
        let noted = judgement_octets(&seat.entry.judgement);
        if noted == seat.noted_octets as usize {
            return;
        }
        let octets = seat.heap_octets as usize - seat.noted_octets as usize + noted;
        self.seats[number].noted_octets = noted as u32;
        self.resize(number, octets);
        self.make_room(now);
    }

    /// Evict until there is a little room, or until the next store where that would take long.
    pub(super) fn make_room(&mut self, now: f64) {
        // More seats than one become free by and by, for none is needed at once.
        for evicted in 0.. {
            let octets = self.octets();
            let lacks_seats =
                || evicted < 2 && self.seats.free() < self.seats.count() / SLACK_SHARE && !self.may_grow();
            let is_full = octets > self.octets_high || lacks_seats();
            if !is_full || !self.evict(now, octets > self.octets_max) {
                break;
            }
        }
        if self.seats.is_sparse() {
            self.close_ranks();
        }
    }

    fn evict(&mut self, now: f64, must: bool) -> bool {
        let Some(number) = self.queues.evict(&mut self.seats, now, must) else { return false };
        let seat = self.seats.leave(number);
        self.index.remove(seat.hash as u32, number);
        self.heap_octets -= seat.heap_octets as usize;
        self.evictions += 1;
        true
    }

    /// Move all seats to tables that are no larger than they need be.
    ///
    /// Entries had become larger and so fewer; what the tables kept free could not hold any of them.
    fn close_ranks(&mut self) {
        let count = self.seats.taken();
        let mut order = Vec::with_capacity(count);
        self.queues.take_all(&self.seats, |number| order.push(number));
        let mut seats = Seats::with_room(count + count / 8);
        let mut index = Index::with_room(seats.count());
        for older in order {
            let number = seats.take(self.seats.leave(older));
            index.insert(seats[number].hash as u32, number);
            self.queues.put_back(&mut seats, number);
        }
        self.seats = seats;
        self.index = index;
    }
}
