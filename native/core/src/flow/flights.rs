//! Which questions are in flight, and who waits for them: one table for all threads.
//!
//! Knows: questions and their waiters.  Does not know: sockets, attempts, what an answer says.
//! A question that Python has taken over, or asks by itself, stays marked until Python lets go of it, so that
//! whoever asks the same meanwhile is sent to Python too and no second query leaves.

use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::LazyLock;

use ahash::{AHashMap, RandomState};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::peer::Peer;
use super::route::Route;
use super::shares::Shares;
use crate::wire::Question;

const SHARDS: usize = 16;

/// Questions marked as Python's; beyond it a question is forgotten instead, and may be asked twice.
const AT_PYTHON_MAX: usize = 65_536;

/// Names up to this long, in octets, lie in the key itself: nearly all of them.
const SHORT_NAME_OCTETS_MAX: usize = 64;

/// The same of queries.
const SHORT_QUERY_OCTETS_MAX: usize = 64;

/// Keyed at random, so that nobody outside can aim at a place in the table.
static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// One question to one set of upstreams.
#[derive(Debug, PartialEq, Eq)]
pub struct FlightKey {
    /// Of all the rest: a key is looked for half a dozen times, and hashed once.
    hash: u64,
    qname: SmallVec<[u8; SHORT_NAME_OCTETS_MAX]>,
    qtype: u16,
    dnssec_ok: bool,
    checking_disabled: bool,
    /// The number of the upstream set.
    pub set: u16,
}

impl Clone for FlightKey {
    fn clone(&self) -> Self {
        FlightKey { qname: SmallVec::from_slice(&self.qname), ..*self }
    }
}

impl Hash for FlightKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl FlightKey {
    /// A copy of the question, to one set of upstreams.
    #[must_use]
    pub fn new(question: Question, set: u16) -> Self {
        let Question { qname, qtype, dnssec_ok, checking_disabled } = question;
        let mut hasher = HASHES.build_hasher();
        hasher.write(qname);
        let flags = u64::from(dnssec_ok) << 1 | u64::from(checking_disabled);
        hasher.write_u64(flags << 32 | u64::from(qtype) << 16 | u64::from(set));
        let qname = SmallVec::from_slice(qname);
        FlightKey { hash: hasher.finish(), qname, qtype, dnssec_ok, checking_disabled, set }
    }

    /// What is asked.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        let FlightKey { qtype, dnssec_ok, checking_disabled, .. } = *self;
        Question { qname: &self.qname, qtype, dnssec_ok, checking_disabled }
    }
}

/// One client that waits.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// Its query, whole; nearly every one lies here itself.
    pub octets: SmallVec<[u8; SHORT_QUERY_OCTETS_MAX]>,
    /// Who it is.
    pub peer: Peer,
    /// The way back.
    pub route: Route,
    /// Monotonic seconds.
    pub asked_at: f64,
    /// See `Shares`.
    pub mark: u64,
}

/// Those who wait for one question; nearly always one.
pub type Waiters = SmallVec<[Waiter; 1]>;

#[allow(clippy::large_enum_variant)] // Nearly every one is the large one.
enum Flight {
    Out(Waiters),
    AtPython,
    /// Python asks it too: its attempt is out here, and goes to Python whatever becomes of it.
    Claimed,
}

/// What became of a question that was to be asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// Nobody else asks it: send it.
    First,
    /// Somebody else does: the answer will come to both.
    Second,
    /// Python asks it already.
    AtPython,
    /// A limit is met; the waiter was not taken in.
    Full,
}

pub(super) struct Flights {
    /// The places of those who wait, here or at Python's.
    pub shares: Shares,
    shards: [Mutex<AHashMap<FlightKey, Flight>>; SHARDS],
    in_flight: AtomicUsize,
    waiting: AtomicUsize,
    at_python: AtomicUsize,
    in_flight_max: usize,
    waiters_max: usize,
    waiting_max: usize,
}

impl Flights {
    pub fn new(in_flight_max: usize, waiters_max: usize, waiting_max: usize) -> Flights {
        Flights {
            shares: Shares::default(),
            shards: Default::default(),
            in_flight: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            at_python: AtomicUsize::new(0),
            in_flight_max,
            waiters_max,
            waiting_max,
        }
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub fn at_python(&self) -> usize {
        self.at_python.load(Ordering::Relaxed)
    }

    pub fn is_crowded(&self) -> bool {
        self.waiting() >= self.waiting_max
    }

    fn shard(&self, key: &FlightKey) -> &Mutex<AHashMap<FlightKey, Flight>> {
        &self.shards[key.hash as usize % SHARDS]
    }

    /// Let a client wait for `key`.
    pub fn join(&self, key: &FlightKey, waiter: impl FnOnce() -> Waiter) -> Joined {
        let mut shard = self.shard(key).lock();
        let vacant = match shard.entry(key.clone()) {
            Entry::Vacant(vacant) => vacant,
            Entry::Occupied(mut occupied) => {
                return match occupied.get_mut() {
                    Flight::AtPython | Flight::Claimed => Joined::AtPython,
                    Flight::Out(waiters) if waiters.len() >= self.waiters_max => Joined::Full,
                    Flight::Out(waiters) => {
                        waiters.push(waiter());
                        self.waiting.fetch_add(1, Ordering::Relaxed);
                        Joined::Second
                    }
                };
            }
        };
        if self.in_flight() >= self.in_flight_max {
            return Joined::Full;
        }
        vacant.insert(Flight::Out(SmallVec::from_buf([waiter()])));
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Joined::First
    }

    /// End a question: all who waited for it; `None`: it is Python's, and so is its attempt.
    pub fn take(&self, key: &FlightKey) -> Option<Waiters> {
        let mut shard = self.shard(key).lock();
        let taken = shard.remove(key);
        if let Some(marked @ (Flight::AtPython | Flight::Claimed)) = taken {
            shard.insert(key.clone(), marked);
            return None;
        }
        drop(shard);
        Some(self.account(taken))
    }

    pub fn is_full(&self) -> bool {
        self.in_flight() >= self.in_flight_max
    }

    /// End questions that are in flight since `before` or longer, at most `count` of them: all who wait for them.
    /// Their attempts go on, and what they bring is kept.
    pub fn take_slow(&self, before: f64, count: usize) -> Vec<Waiter> {
        let mut taken = Vec::new();
        let is_slow = |flight: &Flight| match flight {
            Flight::Out(waiters) => waiters.first().map_or(true, |first| first.asked_at <= before),
            Flight::AtPython | Flight::Claimed => false,
        };
        let mut left = count;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let slow: Vec<FlightKey> = shard
                .iter()
                .filter(|(_, flight)| is_slow(flight))
                .map(|(key, _)| key.clone())
                .take(left)
                .collect();
            left -= slow.len();
            for key in slow {
                let ended = shard.remove(&key);
                taken.extend(self.account(ended));
            }
        }
        taken
    }

    /// Python goes on with a question: all who wait for it.
    pub fn hand_over(&self, key: &FlightKey) -> Waiters {
        let mut shard = self.shard(key).lock();
        let is_marked = matches!(shard.get(key), Some(Flight::AtPython | Flight::Claimed));
        let taken = if is_marked || self.has_room_at_python() {
            shard.insert(key.clone(), Flight::AtPython)
        } else {
            shard.remove(key)
        };
        drop(shard);
        self.account(taken)
    }

    /// Python asks a question by itself.  Its attempt is out here already: all who wait for it, and the attempt
    /// will be handed over; `None`: it is not.
    pub fn claim(&self, key: &FlightKey) -> Option<Waiters> {
        let mut shard = self.shard(key).lock();
        match shard.get_mut(key) {
            Some(Flight::Out(_)) if self.has_room_at_python() => {
                let taken = shard.insert(key.clone(), Flight::Claimed);
                drop(shard);
                Some(self.account(taken))
            }
            Some(_) => None,
            None => {
                if self.has_room_at_python() {
                    shard.insert(key.clone(), Flight::AtPython);
                }
                None
            }
        }
    }

    /// Python is done with a question that it had taken over or claimed.
    pub fn release_key(&self, key: &FlightKey) {
        let mut shard = self.shard(key).lock();
        match shard.get_mut(key) {
            Some(Flight::AtPython) => drop(shard.remove(key)),
            Some(claimed @ Flight::Claimed) => {
                // Nobody waits for the attempt; its answer is still worth keeping.
                *claimed = Flight::Out(Waiters::new());
                self.in_flight.fetch_add(1, Ordering::Relaxed);
            }
            _ => return,
        }
        self.at_python.fetch_sub(1, Ordering::Relaxed);
    }

    /// Count one more question as Python's, unless there are too many.
    fn has_room_at_python(&self) -> bool {
        let counted = self.at_python.fetch_add(1, Ordering::Relaxed) < AT_PYTHON_MAX;
        if !counted {
            self.at_python.fetch_sub(1, Ordering::Relaxed);
        }
        counted
    }

    fn account(&self, taken: Option<Flight>) -> Waiters {
        let Some(Flight::Out(waiters)) = taken else { return Waiters::new() };
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.waiting.fetch_sub(waiters.len(), Ordering::Relaxed);
        for waiter in &waiters {
            self.shares.leave(waiter.peer.address, waiter.mark);
        }
        waiters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Standing, StreamRoute, Transport};
    use crate::policy::EVERYBODY;
    use std::net::{IpAddr, Ipv4Addr};

    fn key(name: &[u8]) -> FlightKey {
        FlightKey::new(Question::plain(name, 1), 0)
    }

    fn waiter() -> Waiter {
        let standing = Standing { group: EVERYBODY, is_allowed: true };
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer = Peer { address, transport: Transport::Udp, standing, name: None };
        Waiter {
            octets: SmallVec::new(),
            peer,
            route: Route::Stream(StreamRoute::numbered(1)),
            asked_at: 0.0,
            mark: 0,
        }
    }

    #[test]
    fn the_first_asks_and_the_others_wait() {
        let flights = Flights::new(8, 8, 8);
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::First);
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::Second);
        assert_eq!(flights.join(&key(b"\x01b\0"), waiter), Joined::First);
        assert_eq!((flights.in_flight(), flights.waiting()), (2, 3));
        assert_eq!(flights.take(&key(b"\x01a\0")).unwrap().len(), 2);
        assert_eq!((flights.in_flight(), flights.waiting()), (1, 1));
        assert!(flights.take(&key(b"\x01a\0")).unwrap().is_empty());
    }

    #[test]
    fn a_question_is_its_name_of_any_length_its_type_its_bits_and_its_upstreams() {
        for octets in [1, SHORT_NAME_OCTETS_MAX, SHORT_NAME_OCTETS_MAX + 1, 255] {
            let name = vec![7; octets];
            let plain = Question::plain(&name, 1);
            let same = FlightKey::new(plain, 0);
            assert!(
                same == FlightKey::new(plain, 0) && same.clone() == same && same.clone().hash == same.hash
            );
            assert_eq!(same.question(), plain);
            let others = [
                FlightKey::new(Question::plain(&name[1..], 1), 0),
                FlightKey::new(Question::plain(&name, 28), 0),
                FlightKey::new(Question { dnssec_ok: true, ..plain }, 0),
                FlightKey::new(Question { checking_disabled: true, ..plain }, 0),
                FlightKey::new(plain, 1),
            ];
            assert!(others.iter().all(|other| *other != same && other.hash != same.hash));
        }
    }

    #[test]
    fn each_limit_turns_the_next_one_away() {
        let flights = Flights::new(2, 2, 3);
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::First);
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::Second);
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::Full);
        assert!(!flights.is_crowded());
        assert_eq!(flights.join(&key(b"\x01b\0"), waiter), Joined::First);
        assert_eq!(flights.join(&key(b"\x01c\0"), waiter), Joined::Full);
        assert!(flights.is_crowded());
    }

    #[test]
    fn the_slow_ones_yield_and_the_young_ones_and_pythons_do_not() {
        let flights = Flights::new(4, 8, 8);
        let since = |asked_at| Waiter { asked_at, ..waiter() };
        flights.join(&key(b"\x01a\0"), || since(1.0));
        flights.join(&key(b"\x01b\0"), || since(1.1));
        flights.join(&key(b"\x01c\0"), || since(1.3));
        flights.claim(&key(b"\x01d\0"));
        assert!(!flights.is_full());
        flights.join(&key(b"\x01e\0"), || since(1.4));
        assert!(flights.is_full());
        assert_eq!(flights.take_slow(0.9, 8).len(), 0);
        assert_eq!(flights.take_slow(1.2, 1).len(), 1);
        assert_eq!(flights.take_slow(1.2, 8).len(), 1);
        assert_eq!((flights.in_flight(), flights.waiting()), (2, 2));
        // What the attempt brings is kept, for nobody.
        assert!(flights.take(&key(b"\x01a\0")).unwrap().is_empty());
        assert_eq!(flights.in_flight(), 2);
        assert_eq!(flights.join(&key(b"\x01d\0"), waiter), Joined::AtPython);
    }

    #[test]
    fn what_python_took_over_stays_its_own_until_released() {
        let flights = Flights::new(8, 8, 8);
        flights.join(&key(b"\x01a\0"), waiter);
        assert_eq!(flights.hand_over(&key(b"\x01a\0")).len(), 1);
        assert_eq!((flights.in_flight(), flights.waiting()), (0, 0));
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::AtPython);
        flights.release_key(&key(b"\x01a\0"));
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::First);
        flights.release_key(&key(b"\x01a\0"));
        assert_eq!(
            flights.take(&key(b"\x01a\0")).unwrap().len(),
            1,
            "a released key is not another's flight"
        );
    }

    #[test]
    fn what_python_asks_by_itself_is_not_asked_here() {
        let flights = Flights::new(8, 8, 8);
        assert!(flights.claim(&key(b"\x01a\0")).is_none());
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::AtPython);
        flights.release_key(&key(b"\x01a\0"));
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::First);
        assert_eq!(flights.at_python.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_python_asks_while_it_is_out_goes_to_python_whatever_comes() {
        let flights = Flights::new(8, 8, 8);
        flights.join(&key(b"\x01a\0"), waiter);
        flights.join(&key(b"\x01a\0"), waiter);
        assert_eq!(flights.claim(&key(b"\x01a\0")).unwrap().len(), 2);
        assert_eq!((flights.in_flight(), flights.waiting()), (0, 0));
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::AtPython);
        assert!(flights.claim(&key(b"\x01a\0")).is_none(), "it is claimed already");
        assert!(flights.take(&key(b"\x01a\0")).is_none());
        assert!(flights.hand_over(&key(b"\x01a\0")).is_empty());
        flights.release_key(&key(b"\x01a\0"));
        assert_eq!(flights.at_python.load(Ordering::Relaxed), 0);
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::First);
    }

    #[test]
    fn an_answer_does_not_end_what_is_pythons() {
        let flights = Flights::new(8, 8, 8);
        flights.join(&key(b"\x01a\0"), waiter);
        flights.hand_over(&key(b"\x01a\0"));
        assert!(flights.take(&key(b"\x01a\0")).is_none());
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::AtPython);
        flights.release_key(&key(b"\x01a\0"));
        assert_eq!(flights.at_python.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_python_released_while_it_is_out_is_ended_here() {
        let flights = Flights::new(8, 8, 8);
        flights.join(&key(b"\x01a\0"), waiter);
        flights.claim(&key(b"\x01a\0"));
        flights.release_key(&key(b"\x01a\0"));
        assert_eq!(flights.in_flight(), 1);
        assert_eq!(flights.join(&key(b"\x01a\0"), waiter), Joined::Second);
        assert_eq!(flights.take(&key(b"\x01a\0")).unwrap().len(), 1);
        assert_eq!((flights.in_flight(), flights.at_python.load(Ordering::Relaxed)), (0, 0));
    }
}
