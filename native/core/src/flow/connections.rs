//! How many connections clients may have open and how many octets these may hold, over all threads with streams.
//!
//! Knows: which connections are open, whose, since when each is quiet or slow, what each holds.  Does not know:
//! sockets, transports but for counting, time (`now` comes in).  `listeners/limits.py` has the same rules.
//! Theory: three things run out, and each has its rule.  Places: when all are taken, a client that has two more than
//! the one who comes gives one up; where nobody has, the connection that has been quiet longest does.  Octets: a
//! connection, a client and all together may hold so many; whoever holds most where it is too much is cut off.
//! Time: the fuller the house, the sooner a quiet connection is closed (RFC 7766 §6.2.3, RFC 9210 §4.3).  Strangers, who
//! may not ask, are one client together: they have few places, and yield before anybody else.  All is behind one lock, which is taken for what is rare: coming, going, questions that wait, buffers that are not small.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use ahash::AHashMap;
use parking_lot::Mutex;

use super::clients::client_key;
use super::connection_place::{Holder, Limit, Place, Rank, Whose, Yielding, NEVER, UNNOTED_OCTETS_MAX};
use super::peer::Transport;

/// Octets that one connection may hold: queries that are not answered, answers that are not read.
pub const CONNECTION_OCTETS_MAX: usize = 1 << 20;
/// One part in this many of what all may hold may be one client's.
pub const CLIENT_PART_OF_HELD: usize = 8;
/// Part of the idle time that is left when every place is taken, or every octet held.
pub const FULL_IDLE_SHARE: f64 = 0.1;
/// Clients with the most places among which one is looked for that does not wait for answers.
pub const CLIENTS_COMPARED_MAX: usize = 16;
/// So long holds the order in which connections yield, once all have been looked at.
pub const LOOK_AGAIN_S: f64 = 1.0;
/// Where nearly all waited for answers, so long passes before all are looked at again.
pub const FRUITLESS_LOOK_AGAIN_S: f64 = 0.1;
/// A look at all is worth its time where one of so many may yield.
const FRUITFUL: usize = 8;

/// Connections over TCP of all together who may not ask: enough to tell each that, at once.
pub const STRANGERS_MAX: usize = 16;
/// How long one of theirs may be quiet.
pub const STRANGER_IDLE_S: f64 = 1.0;

/// What came of `take`, where a place was given.
#[derive(Debug)]
pub struct Taken {
    /// The place.
    pub place: Arc<Place>,
    /// Whose place it was; its holder is to close it.
    pub yielding: Option<Yielding>,
}

/// One client's connections, and all that they hold.
#[derive(Default)]
struct Client {
    places: Vec<Arc<Place>>,
    /// In buffers, and lent to questions: also to those whose connection is gone already.
    octets: usize,
    /// Its number among those with as many places.
    number: u64,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionBounds {
    /// Connections altogether.
    pub connections_max: usize,
    /// Of one client.
    pub per_client_max: usize,
    /// Octets that all may hold.
    pub held_octets_max: usize,
}

/// One for a plane; each thread takes a place for each connection, and frees it again.
pub struct ConnectionLimits {
    bounds: ConnectionBounds,
    house: Mutex<House>,
    open_over: [AtomicUsize; Transport::ALL.len()],
}

struct House {
    bounds: ConnectionBounds,
    clients: AHashMap<Whose, Client>,
    /// Clients by how many places they have, in the order in which they came to have so many.
    with: BTreeMap<usize, BTreeMap<u64, Whose>>,
    next_number: u64,
    /// Places that were quiet at `looked_at`, the one that had been longest last.
    quiet: Vec<Arc<Place>>,
    looked_at: f64,
    was_fruitful: bool,
    open: usize,
    octets: usize,
}

impl ConnectionLimits {
    /// Nobody is here yet.
    pub fn new(bounds: ConnectionBounds) -> ConnectionLimits {
        let house = House {
            bounds,
            clients: AHashMap::new(),
            with: BTreeMap::new(),
            next_number: 0,
            quiet: Vec::new(),
            looked_at: -NEVER,
            was_fruitful: true,
            open: 0,
            octets: 0,
        };
        ConnectionLimits { bounds, house: Mutex::new(house), open_over: Default::default() }
    }

    /// Take a place for one more connection.  An error says why it is refused.
    pub fn take(
        &self,
        address: IpAddr,
        transport: Transport,
        holder: Holder,
        is_stranger: bool,
        now: f64,
    ) -> Result<Taken, Limit> {
        let key = if is_stranger { Whose::Strangers } else { Whose::Client(client_key(address)) };
        let house = &mut *self.house.lock();
        let own = house.clients.get(&key).map_or(0, |client| client.places.len());
        if is_stranger && own >= STRANGERS_MAX {
            return Err(Limit::TooManyStrangers);
        }
        if own >= self.bounds.per_client_max {
            return Err(Limit::TooManyOfClient);
        }
        let mut yielding = None;
        if house.open >= self.bounds.connections_max {
            let yields = house.who_yields(key, own, now).ok_or(Limit::TooMany)?;
            self.free_in(house, &yields.place);
            yielding = Some(yields);
        }
        let place = Arc::new(Place::new(holder, transport, key, now));
        let client = house.clients.entry(key).or_default();
        client.places.push(Arc::clone(&place));
        let count = client.places.len();
        house.recount(key, count - 1, count);
        house.open += 1;
        self.open_over[transport as usize].fetch_add(1, Ordering::Relaxed);
        Ok(Taken { place, yielding })
    }

    /// Give back a place and what its buffers held; again: nothing.  What is lent stays lent.
    pub fn free(&self, place: &Arc<Place>) {
        self.free_in(&mut self.house.lock(), place);
    }

    fn free_in(&self, house: &mut House, place: &Arc<Place>) {
        if place.is_taken.swap(false, Ordering::Relaxed) {
            house.free(place);
            self.open_over[place.transport as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A question of this connection is open, and its query of so many octets is kept for it.
    pub fn lend(&self, place: &Place, octets: usize) {
        place.lend(octets);
        let house = &mut *self.house.lock();
        house.clients.entry(place.client).or_default().octets += octets;
        house.octets += octets;
    }

    /// That question has its answer; its connection may be gone.
    pub fn give_back(&self, place: &Place, octets: usize) {
        place.give_back(octets);
        self.house.lock().take_off(place.client, octets);
    }

    /// The buffers of a connection hold what `Place::set_held` was told; the one that has to go for it, if any has.
    pub fn hold(&self, place: &Arc<Place>) -> Option<Yielding> {
        let house = &mut *self.house.lock();
        if !place.is_taken() {
            return None;
        }
        house.note(place);
        let yielding = house.who_is_cut(place)?;
        self.free_in(house, &yielding.place);
        Some(yielding)
    }

    /// Look at what all connections hold: a client that reads is not reported to whoever counts.
    pub fn note_all(&self) {
        self.house.lock().of_all();
    }

    /// How long a connection may be quiet now, where `idle_s` holds in an empty house.
    pub fn idle_s(&self, idle_s: f64) -> f64 {
        let house = self.house.lock();
        let ConnectionBounds { connections_max, held_octets_max, .. } = self.bounds;
        let places = house.open as f64 / connections_max as f64;
        idle_s * idle_share(places.max(house.octets as f64 / held_octets_max as f64))
    }

    /// Connections that have a place now.
    pub fn open(&self) -> usize {
        self.house.lock().open
    }

    /// Those over one transport.
    pub fn open_over(&self, transport: Transport) -> usize {
        self.open_over[transport as usize].load(Ordering::Relaxed)
    }

    /// Octets that all hold, as last noted.
    pub fn octets(&self) -> usize {
        self.house.lock().octets
    }

    /// Clients that are remembered.
    #[cfg(test)]
    fn clients(&self) -> usize {
        self.house.lock().clients.len()
    }
}

impl House {
    fn free(&mut self, place: &Arc<Place>) {
        let key = place.client;
        if let Some(client) = self.clients.get_mut(&key) {
            client.places.retain(|other| !Arc::ptr_eq(other, place));
            let count = client.places.len();
            self.recount(key, count + 1, count);
        }
        self.open -= 1;
        let noted = place.noted.swap(0, Ordering::Relaxed);
        self.take_off(key, noted);
    }

    /// The client has one place more or less than `before`.
    fn recount(&mut self, key: Whose, before: usize, count: usize) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        if let Some(alike) = self.with.get_mut(&before) {
            alike.remove(&client.number);
            if alike.is_empty() {
                self.with.remove(&before);
            }
        }
        if count > 0 {
            client.number = self.next_number;
            self.next_number += 1;
            self.with.entry(count).or_default().insert(client.number, key);
        }
    }

    /// The client holds so many octets less; one that has and holds nothing is not remembered.
    fn take_off(&mut self, key: Whose, octets: usize) {
        self.octets = self.octets.saturating_sub(octets);
        let Some(client) = self.clients.get_mut(&key) else { return };
        client.octets = client.octets.saturating_sub(octets);
        if client.octets == 0 && client.places.is_empty() {
            self.clients.remove(&key);
        }
    }

    // Who yields.

    /// Who gives up its place to a client that has `own`; None: nobody has to.
    fn who_yields(&mut self, key: Whose, own: usize, now: f64) -> Option<Yielding> {
        let strangers = self.clients.get(&Whose::Strangers).and_then(|strangers| worst(strangers, now));
        if strangers.is_some() || key == Whose::Strangers {
            return strangers;
        }
        let most = self.with.last_key_value().map_or(0, |(&most, _)| most);
        if most > own + 1 {
            return self.of_the_largest(now);
        }
        if own == 0 {
            // As many clients as places.
            let place = self.longest_quiet(now)?;
            return Some(yielding(place, now));
        }
        let worst = self.clients.get(&key).and_then(|client| worst(client, now))?;
        (worst.limit != Limit::YieldedShare).then_some(worst)
    }

    /// A connection of a client with the most; one that waits for answers only where all do.
    fn of_the_largest(&self, now: f64) -> Option<Yielding> {
        let (_, largest) = self.with.last_key_value()?;
        let mut first = None;
        for key in largest.values().take(CLIENTS_COMPARED_MAX) {
            let found = self.clients.get(key).and_then(|client| worst(client, now));
            match found {
                Some(found) if found.limit != Limit::YieldedShare => return Some(found),
                // Of those that wait the last one looked at.
                found => first = found.or(first),
            }
        }
        first
    }

    /// The connection that has been slow, else quiet, longest; None: all wait for answers.
    ///
    /// All are looked at once, and then taken in this order: whoever has spoken since has been quiet for less than
    /// any that was looked at and has not.
    fn longest_quiet(&mut self, now: f64) -> Option<Arc<Place>> {
        let age_s = now - self.looked_at;
        let found = if age_s < LOOK_AGAIN_S { self.next_quiet(now) } else { None };
        if found.is_some() || !(self.was_fruitful || age_s >= FRUITLESS_LOOK_AGAIN_S) {
            return found;
        }
        let every = self.clients.values().flat_map(|client| &client.places);
        let mut ranked: Vec<((Rank, f64), Arc<Place>)> = every
            .map(|place| (place.rank(now), Arc::clone(place)))
            .filter(|(rank, _)| rank.0 != Rank::Waiting)
            .collect();
        ranked.sort_by(|(one, _), (other, _)| other.partial_cmp(one).unwrap_or(std::cmp::Ordering::Equal));
        self.was_fruitful = FRUITFUL * ranked.len() >= self.open;
        self.quiet = ranked.into_iter().map(|(_, place)| place).collect();
        self.looked_at = now;
        self.next_quiet(now)
    }

    fn next_quiet(&mut self, now: f64) -> Option<Arc<Place>> {
        while let Some(place) = self.quiet.pop() {
            let (rank, since) = place.rank(now);
            let is_still_quiet = rank == Rank::Slow || (rank == Rank::Quiet && since <= self.looked_at);
            if place.is_taken() && is_still_quiet {
                return Some(place);
            }
        }
        None
    }

    // Octets.

    fn who_is_cut(&mut self, place: &Arc<Place>) -> Option<Yielding> {
        if place.held() + place.lent() > CONNECTION_OCTETS_MAX {
            return Some(Yielding { place: Arc::clone(place), limit: Limit::OverConnection });
        }
        let held_octets_max = self.bounds.held_octets_max;
        let client_octets_max = held_octets_max / CLIENT_PART_OF_HELD;
        let key = place.client;
        let of_client = self.clients.get(&key).map_or(0, |client| client.octets);
        if of_client > client_octets_max && self.of_client(key) > client_octets_max {
            let place = self.clients.get(&key).and_then(fullest)?;
            return Some(Yielding { place, limit: Limit::OverClient });
        }
        if self.octets > held_octets_max && self.of_all() > held_octets_max {
            let holding = self.clients.values().filter(|client| !client.places.is_empty());
            let place = first_max(holding, |client| client.octets).and_then(fullest)?;
            return Some(Yielding { place, limit: Limit::OverAll });
        }
        None
    }

    fn note(&mut self, place: &Place) {
        let held = place.held();
        let noted = if held > UNNOTED_OCTETS_MAX { held } else { 0 };
        let before = place.noted.swap(noted, Ordering::Relaxed);
        if let Some(client) = self.clients.get_mut(&place.client) {
            client.octets = client.octets + noted - before;
            self.octets = self.octets + noted - before;
        }
    }

    /// What a client really holds: what was noted may have been read since.
    fn of_client(&mut self, key: Whose) -> usize {
        let places = self.clients.get(&key).map(|client| client.places.clone()).unwrap_or_default();
        for place in places.iter().filter(|place| place.noted.load(Ordering::Relaxed) > 0) {
            self.note(place);
        }
        self.clients.get(&key).map_or(0, |client| client.octets)
    }

    fn of_all(&mut self) -> usize {
        let keys: Vec<Whose> =
            self.clients.iter().filter(|(_, client)| client.octets > 0).map(|(&key, _)| key).collect();
        for key in keys {
            self.of_client(key);
        }
        self.octets
    }
}

/// The part of the idle time that holds in a house so full: all up to one half, then evenly less.
pub fn idle_share(fullness: f64) -> f64 {
    1.0 - (1.0 - FULL_IDLE_SHARE) * (2.0 * fullness - 1.0).clamp(0.0, 1.0)
}

/// The connection of this client that yields first.
fn worst(client: &Client, now: f64) -> Option<Yielding> {
    let mut found: Option<((Rank, f64), &Arc<Place>)> = None;
    for place in &client.places {
        let rank = place.rank(now);
        if found.map_or(true, |(least, _)| rank < least) {
            found = Some((rank, place));
        }
    }
    found.map(|(_, place)| yielding(Arc::clone(place), now))
}

fn yielding(place: Arc<Place>, now: f64) -> Yielding {
    let limit = match place.rank(now).0 {
        Rank::Slow => Limit::YieldedSlow,
        Rank::Quiet => Limit::YieldedIdle,
        Rank::Waiting => Limit::YieldedShare,
    };
    Yielding { place, limit }
}

/// The connection of this client that holds most.
fn fullest(client: &Client) -> Option<Arc<Place>> {
    first_max(client.places.iter(), |place| place.weight()).cloned()
}

/// The first of those with the most.
fn first_max<T: Copy>(all: impl Iterator<Item = T>, weight: impl Fn(T) -> usize) -> Option<T> {
    let mut found: Option<(usize, T)> = None;
    for one in all {
        let weighs = weight(one);
        if found.map_or(true, |(most, _)| weighs > most) {
            found = Some((weighs, one));
        }
    }
    found.map(|(_, one)| one)
}

#[cfg(test)]
#[path = "connections_tests.rs"]
mod tests;
