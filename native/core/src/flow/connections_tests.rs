//! Places for connections and the octets these hold: who has a share, who has to yield, and when.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::connection_place::SLOW_AFTER_S;
use super::*;

const BIG: usize = 64_000;
const CLIENT_OCTETS_MAX: usize = HELD_OCTETS_MAX / CLIENT_PART_OF_HELD;
const HELD_OCTETS_MAX: usize = 32 << 20;

/// A server's limits, and connections that do nothing unless told to.
struct Rig {
    limits: ConnectionLimits,
    now: f64,
    next: u32,
    gone: Vec<(u32, Limit)>,
}

fn rig(connections_max: usize, per_client_max: usize) -> Rig {
    let bounds = ConnectionBounds { connections_max, per_client_max, held_octets_max: HELD_OCTETS_MAX };
    Rig { limits: ConnectionLimits::new(bounds), now: 1000.0, next: 0, gone: Vec::new() }
}

fn one(network: u8, number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, network, number).into()
}

impl Rig {
    fn try_to_come(&mut self, address: IpAddr) -> Result<Arc<Place>, Limit> {
        let holder = Holder { thread: 0, connection: self.next, generation: 0 };
        self.next += 1;
        self.take(address, holder, false)
    }

    fn come_as_stranger(&mut self, address: IpAddr) -> Result<Arc<Place>, Limit> {
        let holder = Holder { thread: 0, connection: self.next, generation: 0 };
        self.next += 1;
        self.take(address, holder, true)
    }

    fn take(&mut self, address: IpAddr, holder: Holder, is_stranger: bool) -> Result<Arc<Place>, Limit> {
        let taken = self.limits.take(address, Transport::Tcp, holder, is_stranger, self.now)?;
        self.note_gone(taken.yielding);
        Ok(taken.place)
    }

    fn come(&mut self, address: IpAddr) -> Arc<Place> {
        self.try_to_come(address).unwrap()
    }

    fn refusal(&mut self, address: IpAddr) -> Limit {
        self.try_to_come(address).unwrap_err()
    }

    fn note_gone(&mut self, yielding: Option<Yielding>) {
        self.gone.extend(yielding.map(|gone| (gone.place.holder.connection, gone.limit)));
    }

    fn ask(&self, place: &Place, octets: usize) {
        place.set_quiet_since(self.now);
        self.limits.lend(place, octets);
    }

    /// So many more octets wait in its buffers.
    fn queue(&mut self, place: &Arc<Place>, octets: usize) {
        if place.set_held(place.held() + octets) {
            let yielding = self.limits.hold(place);
            self.note_gone(yielding);
        }
    }

    fn gone(&self) -> Vec<(u32, Limit)> {
        self.gone.clone()
    }
}

fn number(place: &Place) -> u32 {
    place.holder.connection
}

#[test]
fn each_client_has_its_own_places_and_hosts_of_one_ipv6_64_share_them() {
    let mut rig = rig(10, 2);
    rig.come(one(2, 1));
    rig.come(one(2, 1));
    assert_eq!(rig.refusal(one(2, 1)), Limit::TooManyOfClient);
    rig.come(one(2, 2));
    let host = |low| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, low, 0, 0, 1));
    rig.come(host(0));
    rig.come(host(7));
    assert_eq!(rig.refusal(host(9)), Limit::TooManyOfClient);
    assert_eq!((rig.limits.open(), rig.limits.open_over(Transport::Tcp)), (5, 5));
}

#[test]
fn a_place_given_back_is_free_and_given_back_twice_it_is_one() {
    let mut rig = rig(1, 1);
    let place = rig.come(one(2, 1));
    rig.limits.free(&place);
    rig.limits.free(&place);
    assert_eq!((rig.limits.open(), rig.limits.open_over(Transport::Tcp), rig.limits.clients()), (0, 0, 0));
    rig.come(one(2, 2));
    assert_eq!(rig.gone(), []);
}

#[test]
fn a_client_without_connections_is_remembered_while_its_queries_wait() {
    let mut rig = rig(10, 1);
    for client in 0..100 {
        let place = rig.come(one(2, client));
        rig.ask(&place, 40);
        rig.limits.free(&place);
        assert_eq!(rig.limits.clients(), 1);
        rig.limits.give_back(&place, 40);
    }
    assert_eq!((rig.limits.open(), rig.limits.octets(), rig.limits.clients()), (0, 0, 0));
    assert!(rig.limits.house.lock().with.is_empty());
}

#[test]
fn ten_clients_that_take_every_place_leave_one_to_each_of_seventy_others() {
    let mut rig = rig(1000, 100);
    for client in 0..10 {
        for _ in 0..100 {
            let place = rig.come(one(2, client));
            rig.ask(&place, 40);
        }
    }
    let others: Vec<_> = (0..70).map(|client| rig.come(one(100, client))).collect();
    assert!(others.iter().all(|place| place.is_taken()));
    assert_eq!(rig.limits.open(), 1000);
    let house = rig.limits.house.lock();
    let left = (0..10).map(|client| house.clients[&Whose::Client(client_key(one(2, client)))].places.len());
    assert!(left.into_iter().all(|left| left == 93));
    assert!(rig.gone.iter().all(|(_, limit)| *limit == Limit::YieldedShare));
}

#[test]
fn a_client_takes_no_place_of_one_that_has_as_few() {
    let mut rig = rig(4, 4);
    for client in 0..4 {
        let place = rig.come(one(2, client));
        rig.ask(&place, 40);
    }
    assert_eq!(rig.refusal(one(2, 9)), Limit::TooMany);
    assert_eq!(rig.refusal(one(2, 0)), Limit::TooMany);
    assert_eq!(rig.gone(), []);
}

#[test]
fn of_a_client_with_the_most_the_slow_go_first_then_the_longest_quiet_then_the_busy() {
    let mut rig = rig(5, 5);
    let places: Vec<_> = (0..5).map(|_| rig.come(one(2, 1))).collect();
    let [quiet, busy, quiet_for_longer, slow, busy_for_longer] = &places[..] else { unreachable!() };
    rig.ask(busy_for_longer, 40);
    rig.now += 1.0;
    rig.ask(busy, 40);
    quiet_for_longer.set_quiet_since(rig.now);
    quiet.set_quiet_since(rig.now + 1.0);
    slow.set_quiet_since(rig.now + 2.0);
    slow.set_slow_since(rig.now + 2.0);
    rig.now += 2.0 + SLOW_AFTER_S;
    for client in 0..4 {
        rig.come(one(100, client));
    }
    let expected = [
        (number(slow), Limit::YieldedSlow),
        (number(quiet_for_longer), Limit::YieldedIdle),
        (number(quiet), Limit::YieldedIdle),
        (number(busy_for_longer), Limit::YieldedShare),
    ];
    assert_eq!(rig.gone(), expected);
    assert!(busy.is_taken());
}

#[test]
fn among_clients_with_the_most_one_is_found_that_does_not_wait_for_answers() {
    let mut rig = rig(2 * CLIENTS_COMPARED_MAX, 2);
    let count = 2 * CLIENTS_COMPARED_MAX as u8;
    let places: Vec<_> = (0..count).map(|place| rig.come(one(2, place / 2))).collect();
    for place in &places[..places.len() - 1] {
        rig.ask(place, 40);
    }
    rig.come(one(100, 1));
    assert_eq!(rig.gone(), [(u32::from(count) - 1, Limit::YieldedIdle)]);
}

#[test]
fn where_nobody_has_several_the_longest_quiet_yields() {
    let mut rig = rig(4, 4);
    let mut places = Vec::new();
    for client in 0..4 {
        places.push(rig.come(one(2, client)));
        rig.now += 1.0;
    }
    places[0].set_quiet_since(rig.now); // It has just asked, and was answered.
    rig.ask(&places[1], 40);
    for client in 0..3 {
        rig.come(one(100, client));
        rig.now += 0.1;
    }
    let gone: Vec<u32> = rig.gone.iter().map(|&(place, _)| place).collect();
    assert_eq!(gone, [2, 3, 0]);
}

#[test]
fn whoever_has_spoken_since_all_were_looked_at_is_not_the_longest_quiet() {
    let mut rig = rig(3, 3);
    let places: Vec<_> = (0..3).map(|client| rig.come(one(2, client))).collect();
    places[1].set_quiet_since(rig.now + 0.1);
    places[2].set_quiet_since(rig.now + 0.2);
    rig.now += 0.5;
    let newcomer = rig.come(one(100, 1));
    places[1].set_quiet_since(rig.now + 0.1);
    rig.now += 0.2;
    rig.come(one(100, 2));
    rig.come(one(100, 3));
    let gone: Vec<u32> = rig.gone.iter().map(|&(place, _)| place).collect();
    assert_eq!(gone, [0, 2, number(&newcomer)]);
}

#[test]
fn where_all_wait_for_answers_nobody_yields_until_one_has_its_answer() {
    let mut rig = rig(3, 3);
    let places: Vec<_> = (0..3).map(|client| rig.come(one(2, client))).collect();
    for place in &places {
        rig.ask(place, 40);
    }
    assert_eq!(rig.refusal(one(100, 1)), Limit::TooMany);
    rig.limits.give_back(&places[1], 40);
    places[1].set_quiet_since(rig.now);
    rig.now += FRUITLESS_LOOK_AGAIN_S;
    rig.come(one(100, 1));
    assert_eq!(rig.gone(), [(1, Limit::YieldedIdle)]);
}

#[test]
fn places_and_octets_shorten_the_idle_time_whichever_is_scarcer() {
    let mut rig = rig(4, 4);
    assert_eq!(rig.limits.idle_s(10.0), 10.0);
    let places: Vec<_> = (0..3).map(|_| rig.come(one(2, 1))).collect();
    assert!((rig.limits.idle_s(10.0) - 5.5).abs() < 1e-9);
    rig.limits.lend(&places[0], HELD_OCTETS_MAX);
    assert!((rig.limits.idle_s(10.0) - 10.0 * FULL_IDLE_SHARE).abs() < 1e-9);
}

#[test]
fn a_connection_that_holds_too_much_is_cut_with_its_queries_that_wait() {
    let mut rig = rig(1000, 100);
    let place = rig.come(one(2, 1));
    rig.queue(&place, CONNECTION_OCTETS_MAX);
    assert_eq!(rig.gone(), []);
    rig.queue(&place, 1);
    assert_eq!(
        (rig.gone(), rig.limits.open(), rig.limits.octets()),
        (vec![(0, Limit::OverConnection)], 0, 0)
    );
    let asking = rig.come(one(2, 1));
    rig.ask(&asking, BIG);
    rig.queue(&asking, CONNECTION_OCTETS_MAX - BIG + 1);
    assert_eq!(rig.gone.pop(), Some((1, Limit::OverConnection)));
}

#[test]
fn of_a_client_that_holds_too_much_the_fullest_connection_is_cut() {
    let mut rig = rig(1000, 100);
    let fullest = rig.come(one(2, 1));
    rig.queue(&fullest, 2 * BIG);
    while rig.gone.is_empty() {
        let place = rig.come(one(2, 1));
        rig.queue(&place, BIG);
        assert!(rig.limits.octets() <= CLIENT_OCTETS_MAX + BIG);
    }
    assert_eq!(rig.gone(), [(0, Limit::OverClient)]);
    assert!(rig.limits.octets() <= CLIENT_OCTETS_MAX);
}

#[test]
fn of_all_that_hold_too_much_the_client_with_the_most_loses_its_fullest() {
    let mut rig = rig(10_000, 100);
    let modest = rig.come(one(100, 1));
    rig.queue(&modest, 3 * BIG);
    let greedy: Vec<_> = (0..4).map(|_| rig.come(one(100, 2))).collect();
    for place in &greedy {
        rig.queue(place, CONNECTION_OCTETS_MAX - BIG);
    }
    for host in 0..(HELD_OCTETS_MAX / BIG - 10) as u16 {
        let place = rig.come(Ipv6Addr::new(0x2001, 0xdb8, 0, host, 0, 0, 0, 1).into());
        rig.queue(&place, BIG);
    }
    assert!(!rig.gone.is_empty());
    assert!(rig.gone.iter().all(|&(place, limit)| limit == Limit::OverAll && (1..=4).contains(&place)));
    assert!(rig.limits.octets() <= HELD_OCTETS_MAX && modest.is_taken());
}

#[test]
fn what_has_been_read_meanwhile_is_held_against_nobody() {
    let mut rig = rig(1000, 100);
    let places: Vec<_> = (0..100).map(|_| rig.come(one(2, 1))).collect();
    for _ in 0..20 {
        for place in &places {
            rig.queue(place, BIG);
            place.set_held(0);
        }
    }
    rig.limits.note_all();
    assert_eq!((rig.gone(), rig.limits.octets()), (vec![], 0));
}

#[test]
fn queries_of_a_connection_that_is_gone_count_until_they_are_answered() {
    let mut rig = rig(1000, 100);
    let mut asked = Vec::new();
    for _ in 0..=CLIENT_OCTETS_MAX / BIG {
        let place = rig.come(one(2, 1));
        rig.ask(&place, BIG);
        rig.limits.free(&place);
        asked.push(place);
    }
    let last = rig.come(one(2, 1));
    rig.queue(&last, UNNOTED_OCTETS_MAX + 1);
    assert_eq!(rig.gone(), [(number(&last), Limit::OverClient)]);
    for place in &asked {
        rig.limits.give_back(place, BIG);
    }
    assert_eq!((rig.limits.octets(), rig.limits.clients()), (0, 0));
}

#[test]
fn reasons_have_labels_of_their_own() {
    let mut labels: Vec<_> = Limit::ALL.iter().map(|limit| limit.label()).collect();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), Limit::ALL.len());
}

#[test]
fn strangers_are_one_client_with_few_places() {
    let mut rig = rig(1000, 100);
    for number in 0..STRANGERS_MAX as u8 {
        assert!(rig.come_as_stranger(one(51, number)).is_ok_and(|place| place.is_strangers()));
    }
    let another = rig.come_as_stranger(Ipv6Addr::LOCALHOST.into());
    assert_eq!(another.unwrap_err(), Limit::TooManyStrangers);
    assert!(!rig.come(one(2, 1)).is_strangers());
}

#[test]
fn strangers_yield_before_anybody_else_and_push_nobody_out() {
    let mut rig = rig(4, 100);
    let mine = [rig.come(one(2, 1)), rig.come(one(2, 1))];
    assert!(rig.come_as_stranger(one(51, 1)).is_ok());
    rig.come(one(2, 2));
    assert!(rig.come_as_stranger(one(51, 2)).is_ok(), "another stranger's place");
    rig.come(one(2, 1));
    assert_eq!(rig.gone.iter().map(|gone| gone.0).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(rig.come_as_stranger(one(51, 3)).unwrap_err(), Limit::TooMany);
    assert!(mine.iter().all(|place| place.is_taken()));
}
