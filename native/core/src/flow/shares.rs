//! How many queries of each client wait for upstreams, and which.
//!
//! Knows: clients, marks of their queries.  Does not know: what is asked, who answers.
//! Theory: who waits for answers holds places that others need, and is a crowd that can be made to come to an end
//! at one moment (DNSBomb).  So a client has so many places and no more, and a query that waits already is no second
//! one.  Both planes count here, so a client has its share of both together.

use ahash::{AHashMap, AHashSet, RandomState};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clients::{client_key, ClientKey};

/// Queries of one client that wait for upstreams at one time.
pub const WAITERS_PER_CLIENT_MAX: usize = 1_000;

/// Marks from here on are given out by this plane; `flow/waiting.py` gives out those below.
const OWN_MARKS_FROM: u64 = 1 << 63;

/// Separately locked parts, so that threads seldom wait for each other.
const PARTS: usize = 16;

/// What became of a query that was to wait; `flow/shares.py` has the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Entered {
    /// It has a place.
    Yes,
    /// The very same waits already.
    Repeat,
    /// Its client has all the places it may have.
    Full,
}

/// Marks that are looked through one by one; more are found by their hash.
const FEW_MARKS: usize = 16;

/// Those of one client; never none.
enum Marks {
    Few(SmallVec<[u64; 3]>),
    Many(AHashSet<u64>),
}

impl Marks {
    fn len(&self) -> usize {
        match self {
            Marks::Few(marks) => marks.len(),
            Marks::Many(marks) => marks.len(),
        }
    }

    fn enter(&mut self, mark: u64) -> Entered {
        if self.len() >= WAITERS_PER_CLIENT_MAX {
            return if self.has(mark) { Entered::Repeat } else { Entered::Full };
        }
        let is_new = match self {
            Marks::Few(marks) if marks.contains(&mark) => false,
            Marks::Few(marks) if marks.len() < FEW_MARKS => {
                marks.push(mark);
                true
            }
            Marks::Few(marks) => {
                *self = Marks::Many(marks.iter().copied().chain([mark]).collect());
                true
            }
            Marks::Many(marks) => marks.insert(mark),
        };
        if is_new {
            Entered::Yes
        } else {
            Entered::Repeat
        }
    }

    fn has(&self, mark: u64) -> bool {
        match self {
            Marks::Few(marks) => marks.contains(&mark),
            Marks::Many(marks) => marks.contains(&mark),
        }
    }

    fn leave(&mut self, mark: u64) {
        match self {
            Marks::Few(marks) => {
                if let Some(place) = marks.iter().position(|&known| known == mark) {
                    marks.swap_remove(place);
                }
            }
            Marks::Many(marks) => _ = marks.remove(&mark),
        }
    }
}

/// The places of all clients.
#[derive(Default)]
pub struct Shares {
    hasher: RandomState,
    own_marks: AtomicU64,
    parts: [Mutex<AHashMap<ClientKey, Marks>>; PARTS],
}

impl Shares {
    /// The mark of a query: the same for the same one, and hardly ever for two.
    pub fn mark(&self, query: impl Hash) -> u64 {
        self.hasher.hash_one(query)
    }

    /// A mark that no other query has, here or at Python's, whose own count from 0.
    pub fn own_mark(&self) -> u64 {
        OWN_MARKS_FROM | self.own_marks.fetch_add(1, Ordering::Relaxed)
    }

    fn part(&self, client: ClientKey) -> &Mutex<AHashMap<ClientKey, Marks>> {
        // The top bits: the table below uses the others.
        &self.parts[(self.hasher.hash_one(client) >> 52) as usize % PARTS]
    }

    /// Give the query of this mark a place.
    pub fn enter(&self, address: IpAddr, mark: u64) -> Entered {
        let client = client_key(address);
        let mut part = self.part(client).lock();
        part.entry(client).or_insert_with(|| Marks::Few(SmallVec::new())).enter(mark)
    }

    /// Queries of this client that wait.
    pub fn waiting(&self, address: IpAddr) -> usize {
        let client = client_key(address);
        self.part(client).lock().get(&client).map_or(0, Marks::len)
    }

    /// The query of this mark waits no more.
    pub fn leave(&self, address: IpAddr, mark: u64) {
        let client = client_key(address);
        let mut part = self.part(client).lock();
        let Some(marks) = part.get_mut(&client) else { return };
        marks.leave(mark);
        if marks.len() == 0 {
            part.remove(&client);
        }
    }

    /// Clients that have a place.
    #[cfg(test)]
    fn clients(&self) -> usize {
        self.parts.iter().map(|part| part.lock().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_so_many_places_and_takes_nobody_elses() {
        let shares = Shares::default();
        for mark in 0..WAITERS_PER_CLIENT_MAX as u64 {
            assert_eq!(shares.enter(address("2001:db8::1"), mark), Entered::Yes);
        }
        assert_eq!(shares.enter(address("2001:db8::2"), 1 << 40), Entered::Full);
        assert_eq!(shares.enter(address("2001:db8:0:1::1"), 1), Entered::Yes);
        shares.leave(address("2001:db8::3"), 7);
        assert_eq!(shares.enter(address("2001:db8::2"), 1 << 40), Entered::Yes);
    }

    #[test]
    fn a_query_that_waits_is_no_second_one_until_it_left() {
        let shares = Shares::default();
        assert_eq!(shares.enter(address("192.0.2.1"), 5), Entered::Yes);
        assert_eq!(shares.enter(address("192.0.2.1"), 5), Entered::Repeat);
        assert_eq!(shares.enter(address("192.0.2.2"), 5), Entered::Yes);
        shares.leave(address("192.0.2.1"), 5);
        assert_eq!(shares.enter(address("192.0.2.1"), 5), Entered::Yes);
    }

    #[test]
    fn many_queries_of_one_client_are_told_apart_as_few_are() {
        let shares = Shares::default();
        let client = address("192.0.2.1");
        for count in [1, FEW_MARKS, FEW_MARKS + 1, 300, WAITERS_PER_CLIENT_MAX] {
            for mark in 0..count as u64 {
                assert_eq!(shares.enter(client, mark), Entered::Yes);
            }
            assert_eq!((shares.enter(client, 0), shares.waiting(client)), (Entered::Repeat, count));
            shares.leave(client, u64::MAX);
            assert_eq!(shares.waiting(client), count);
            for mark in 0..count as u64 {
                shares.leave(client, mark);
            }
            assert_eq!((shares.waiting(client), shares.clients()), (0, 0));
        }
    }

    #[test]
    fn a_mark_of_ones_own_is_none_of_pythons() {
        let shares = Shares::default();
        assert_eq!([shares.own_mark(), shares.own_mark()], [1 << 63, 1 << 63 | 1]);
        for mark in 0..100 {
            assert_eq!(shares.enter(address("192.0.2.1"), mark), Entered::Yes);
            assert_eq!(shares.enter(address("192.0.2.1"), shares.own_mark()), Entered::Yes);
        }
    }

    #[test]
    fn nothing_is_remembered_of_who_left() {
        let shares = Shares::default();
        shares.enter(address("192.0.2.1"), 5);
        shares.leave(address("192.0.2.1"), 6);
        assert_eq!(shares.clients(), 1);
        shares.leave(address("192.0.2.1"), 5);
        shares.leave(address("192.0.2.1"), 5);
        assert_eq!(shares.clients(), 0);
    }
}
