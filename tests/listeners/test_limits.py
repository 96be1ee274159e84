"""Places for connections and the octets these hold: who has a share, who has to yield, and when."""

from __future__ import annotations

import weakref
from ipaddress import ip_address

import pytest

from resolver.listeners.limits import (
    CLIENT_OCTETS_MAX,
    CLIENTS_COMPARED_MAX,
    CONNECTION_OCTETS_MAX,
    FRUITLESS_LOOK_AGAIN_S,
    FULL_IDLE_SHARE,
    HELD_OCTETS_MAX,
    OVER_ALL,
    OVER_CLIENT,
    OVER_CONNECTION,
    SLOW_AFTER_S,
    STRANGERS_MAX,
    TOO_MANY,
    TOO_MANY_OF_CLIENT,
    TOO_MANY_STRANGERS,
    UNNOTED_OCTETS_MAX,
    YIELDED_IDLE,
    YIELDED_SHARE,
    YIELDED_SLOW,
    ConnectionLimits,
    Place,
    idle_share,
)

BIG = 64_000
"""Octets of one long answer."""


class Holder:
    """A connection that holds what it is told to."""

    def __init__(self) -> None:
        self.octets = 0

    def held_octets(self) -> int:
        return self.octets

    def give_way(self, reason: str) -> None:
        raise AssertionError("limits decide, they do not carry out")


class House:
    """A server's limits, and connections that do nothing unless told to."""

    def __init__(self, connections_max: int = 1000, per_client_max: int = 100) -> None:
        self.limits = ConnectionLimits(connections_max, per_client_max)
        self.now = 1000.0
        self.gone: list[tuple[Place, str]] = []

    def come(self, address: str) -> Place:
        """A connection that has to get a place."""
        taken = self.limits.take(ip_address(address).packed, Holder(), self.now)
        if taken.yielding is not None:
            self.gone.append(taken.yielding[:2])
        assert taken.place is not None, taken.refusal
        return taken.place

    def come_as_stranger(self, address: str) -> str | None:
        """Why it is refused; None: it is not."""
        taken = self.limits.take(ip_address(address).packed, Holder(), self.now, is_stranger=True)
        if taken.yielding is not None:
            self.gone.append(taken.yielding[:2])
        return None if taken.place is not None else taken.refusal

    def refusal(self, address: str) -> str:
        taken = self.limits.take(ip_address(address).packed, Holder(), self.now)
        assert (taken.place, taken.yielding) == (None, None)
        return taken.refusal

    def ask(self, place: Place, octets: int = 40) -> None:
        """A query that waits for an upstream."""
        place.quiet_since = self.now
        self.limits.lend(place, octets)

    def queue(self, place: Place, octets: int) -> None:
        """So many more octets wait in its buffers."""
        holder = place.holder
        assert isinstance(holder, Holder)
        holder.octets += octets
        yielding = self.limits.hold(place, holder.octets)
        if yielding is not None:
            self.gone.append(yielding[:2])

    def read(self, place: Place) -> None:
        """Its client reads all; nobody tells the limits."""
        holder = place.holder
        assert isinstance(holder, Holder)
        holder.octets = 0


def test_each_client_has_its_own_places() -> None:
    house = House(10, 2)
    house.come("192.0.2.1")
    house.come("192.0.2.1")
    assert house.refusal("192.0.2.1") == TOO_MANY_OF_CLIENT
    house.come("192.0.2.2")
    assert house.limits.open == 3


def test_hosts_of_one_ipv6_64_share_their_places() -> None:
    house = House(10, 1)
    house.come("2001:db8::1")
    assert house.refusal("2001:db8::ffff:1") == TOO_MANY_OF_CLIENT
    house.come("2001:db8:0:1::1")


def test_a_place_given_back_is_free_and_given_back_twice_it_is_one() -> None:
    house = House(1, 1)
    place = house.come("2001:db8::1")
    house.limits.free(place)
    house.limits.free(place)
    assert house.limits.open == 0
    house.come("2001:db8::2")
    assert house.gone == []


def test_a_client_without_connections_is_not_remembered() -> None:
    house = House(10, 1)
    for number in range(100):
        place = house.come(f"192.0.2.{number}")
        house.ask(place)
        house.limits.free(place)
        assert house.limits._clients
        house.limits.give_back(place, 40)
    assert (house.limits.open, house.limits.octets) == (0, 0)
    assert not house.limits._clients
    assert not house.limits._with


# Who yields when all places are taken.


def test_ten_clients_that_take_every_place_leave_one_to_each_of_seventy_others() -> None:
    house = House(1000, 100)
    for number in range(10):
        for _ in range(100):
            house.ask(house.come(f"192.0.2.{number}"))
    others = [house.come(f"198.51.100.{number}") for number in range(70)]
    assert all(place.is_taken for place in others)
    assert house.limits.open == 1000
    left = [len(house.limits._clients[ip_address(f"192.0.2.{number}").packed].places) for number in range(10)]
    assert (min(left), max(left)) == (93, 93)
    assert {reason for _, reason in house.gone} == {YIELDED_SHARE}


def test_a_client_takes_no_place_of_one_that_has_as_few() -> None:
    house = House(4, 4)
    for number in range(4):
        house.ask(house.come(f"192.0.2.{number}"))
    assert house.refusal("192.0.2.9") == TOO_MANY
    # One more would have two where others have one: its own waits for answers, theirs are not its to take.
    assert house.refusal("192.0.2.0") == TOO_MANY
    assert house.gone == []


def test_clients_that_come_by_turns_end_with_equal_shares() -> None:
    house = House(12, 12)
    for _ in range(12):
        house.ask(house.come("192.0.2.1"))
    for number in range(4):
        for _ in range(2, 5):
            taken = house.limits.take(ip_address(f"192.0.2.{number}").packed, Holder(), house.now)
            if taken.place is not None:
                house.ask(taken.place)
    counts = sorted(len(client.places) for client in house.limits._clients.values())
    assert counts == [3, 3, 3, 3]


def test_of_a_client_with_the_most_the_slow_go_first_then_the_longest_quiet_then_the_busy() -> None:
    house = House(5, 5)
    quiet, busy, quiet_for_longer, slow, busy_for_longer = (house.come("192.0.2.1") for _ in range(5))
    house.ask(busy_for_longer)
    house.now += 1.0
    house.ask(busy)
    quiet_for_longer.quiet_since = house.now
    quiet.quiet_since = house.now + 1.0
    slow.quiet_since = slow.slow_since = house.now + 2.0
    house.now += 2.0 + SLOW_AFTER_S
    for number in range(4):
        house.come(f"198.51.100.{number}")
    assert house.gone == [
        (slow, YIELDED_SLOW),
        (quiet_for_longer, YIELDED_IDLE),
        (quiet, YIELDED_IDLE),
        (busy_for_longer, YIELDED_SHARE),
    ]
    assert busy.is_taken


def test_a_client_that_has_not_read_for_a_moment_is_not_slow_yet() -> None:
    house = House(3, 3)
    reading, quiet, _ = (house.come("192.0.2.1") for _ in range(3))
    house.now += 5.0
    reading.quiet_since = reading.slow_since = house.now - SLOW_AFTER_S / 2
    house.come("192.0.2.2")
    assert house.gone == [(quiet, YIELDED_IDLE)]


def test_among_clients_with_the_most_one_is_found_that_does_not_wait_for_answers() -> None:
    house = House(2 * CLIENTS_COMPARED_MAX, 2)
    places = [house.come(f"192.0.2.{number // 2}") for number in range(2 * CLIENTS_COMPARED_MAX)]
    for place in places[:-1]:
        house.ask(place)
    house.come("198.51.100.1")
    assert house.gone == [(places[-1], YIELDED_IDLE)]


def test_where_nobody_has_several_the_longest_quiet_yields() -> None:
    house = House(4, 4)
    places = []
    for number in range(4):
        places.append(house.come(f"192.0.2.{number}"))
        house.now += 1.0
    places[0].quiet_since = house.now  # it has just asked, and was answered
    house.ask(places[1])
    for number in range(3):
        house.come(f"198.51.100.{number}")
        house.now += 0.1
    assert [place for place, _ in house.gone] == [places[2], places[3], places[0]]


def test_whoever_has_spoken_since_all_were_looked_at_is_not_the_longest_quiet() -> None:
    house = House(3, 3)
    first, second, third = (house.come(f"192.0.2.{number}") for number in range(3))
    second.quiet_since += 0.1
    third.quiet_since += 0.2
    house.now += 0.5
    newcomer = house.come("198.51.100.1")
    second.quiet_since = house.now + 0.1
    house.now += 0.2
    house.come("198.51.100.2")
    house.come("198.51.100.3")
    assert [place for place, _ in house.gone] == [first, third, newcomer]


def test_a_slow_client_yields_before_one_that_has_been_quiet_for_longer() -> None:
    house = House(2, 2)
    house.come("192.0.2.1")
    slow = house.come("192.0.2.2")
    house.ask(slow)
    house.now += 5.0
    slow.slow_since = house.now - SLOW_AFTER_S
    house.come("192.0.2.3")
    assert house.gone == [(slow, YIELDED_SLOW)]


def test_where_all_wait_for_answers_nobody_yields_until_one_has_its_answer() -> None:
    house = House(3, 3)
    places = [house.come(f"192.0.2.{number}") for number in range(3)]
    for place in places:
        house.ask(place)
    assert house.refusal("198.51.100.1") == TOO_MANY
    house.limits.give_back(places[1], 40)
    places[1].quiet_since = house.now
    house.now += FRUITLESS_LOOK_AGAIN_S
    house.come("198.51.100.1")
    assert house.gone == [(places[1], YIELDED_IDLE)]


def test_a_client_with_its_share_may_take_the_place_of_its_own_longest_quiet_connection() -> None:
    house = House(4, 4)
    own = [house.come("192.0.2.1") for _ in range(2)]
    others = [house.come("192.0.2.2") for _ in range(2)]
    own[0].quiet_since += 1.0
    others[0].quiet_since -= 9.0
    house.come("192.0.2.1")
    assert house.gone == [(own[1], YIELDED_IDLE)]


def test_a_connection_that_is_gone_is_kept_by_nobody() -> None:
    house = House(2, 2)
    house.come("192.0.2.1")
    yielding = house.come("192.0.2.1")
    holders = [weakref.ref(place.holder) for place in (yielding, house.come("192.0.2.2"))]
    house.gone.clear()
    house.limits.free(yielding)
    assert holders[0]() is None
    assert holders[1]() is not None


# How long a connection may be quiet.


def test_the_idle_time_shrinks_from_half_full_on_down_to_a_part() -> None:
    assert [idle_share(fullness) for fullness in (0.0, 0.3, 0.5)] == [1.0, 1.0, 1.0]
    assert idle_share(0.75) == pytest.approx((1.0 + FULL_IDLE_SHARE) / 2)
    assert idle_share(1.0) == idle_share(3.0) == pytest.approx(FULL_IDLE_SHARE)


def test_places_and_octets_shorten_the_idle_time_whichever_is_scarcer() -> None:
    house = House(4, 4)
    assert house.limits.idle_s(10.0) == 10.0
    for _ in range(3):
        place = house.come("192.0.2.1")
    assert house.limits.idle_s(10.0) == pytest.approx(5.5)
    house.limits.lend(place, HELD_OCTETS_MAX)
    assert house.limits.idle_s(10.0) == pytest.approx(10.0 * FULL_IDLE_SHARE)


# Octets.


def test_a_connection_that_holds_too_much_is_cut() -> None:
    house = House()
    place = house.come("192.0.2.1")
    for _ in range(CONNECTION_OCTETS_MAX // BIG):
        house.queue(place, BIG)
    assert house.gone == []
    house.queue(place, BIG)
    assert house.gone == [(place, OVER_CONNECTION)]
    assert (house.limits.open, house.limits.octets) == (0, 0)


def test_queries_that_wait_for_upstreams_count_with_the_buffers() -> None:
    house = House()
    place = house.come("192.0.2.1")
    house.ask(place, BIG)
    house.queue(place, CONNECTION_OCTETS_MAX - BIG + 1)
    assert house.gone == [(place, OVER_CONNECTION)]


def test_of_a_client_that_holds_too_much_the_fullest_connection_is_cut() -> None:
    house = House()
    fullest = house.come("192.0.2.1")
    house.queue(fullest, 2 * BIG)
    while not house.gone:
        house.queue(house.come("192.0.2.1"), BIG)
        assert house.limits.octets <= CLIENT_OCTETS_MAX + BIG
    assert house.gone == [(fullest, OVER_CLIENT)]
    assert house.limits.octets <= CLIENT_OCTETS_MAX


def test_of_all_that_hold_too_much_the_client_with_the_most_loses_its_fullest() -> None:
    house = House(10_000, 100)
    modest = house.come("198.51.100.1")
    house.queue(modest, 3 * BIG)
    greedy = [house.come("198.51.100.2") for _ in range(4)]
    for place in greedy:
        house.queue(place, CONNECTION_OCTETS_MAX - BIG)
    for number in range(HELD_OCTETS_MAX // BIG - 10):
        house.queue(house.come(f"2001:db8:0:{number:x}::1"), BIG)
    assert house.gone
    assert {reason for _, reason in house.gone} == {OVER_ALL}
    assert {place for place, _ in house.gone} <= set(greedy)
    assert house.limits.octets <= HELD_OCTETS_MAX
    assert modest.is_taken


def test_what_has_been_read_meanwhile_is_held_against_nobody() -> None:
    house = House()
    places = [house.come("192.0.2.1") for _ in range(100)]
    for _ in range(20):
        for place in places:
            house.queue(place, BIG)
            house.read(place)
    assert house.gone == []
    house.limits.note_all()
    assert house.limits.octets == 0


def test_queries_of_a_connection_that_is_gone_count_until_they_are_answered() -> None:
    house = House()
    asked = []
    for _ in range(CLIENT_OCTETS_MAX // BIG + 1):
        asked.append(house.come("192.0.2.1"))
        house.ask(asked[-1], BIG)
        house.limits.free(asked[-1])
    last = house.come("192.0.2.1")
    house.queue(last, UNNOTED_OCTETS_MAX)
    assert house.gone == [(last, OVER_CLIENT)]
    other = house.come("192.0.2.2")
    house.queue(other, BIG)
    for place in asked:
        house.limits.give_back(place, BIG)
    house.limits.free(other)
    assert house.limits.octets == 0
    assert not house.limits._clients


def test_another_bound_of_all_octets_moves_that_of_one_client_with_it() -> None:
    house = House()
    house.limits = ConnectionLimits(held_octets_max=8 * 2 * BIG)
    first = house.come("192.0.2.1")
    house.queue(first, BIG + 1)
    house.queue(house.come("192.0.2.1"), BIG)
    assert house.gone == [(first, OVER_CLIENT)]
    for number in range(2, 20):
        house.queue(house.come(f"192.0.2.{number}"), BIG)
    assert {reason for _, reason in house.gone[1:]} == {OVER_ALL}


# Strangers.


def test_strangers_are_one_client_with_few_places() -> None:
    house = House()
    for number in range(STRANGERS_MAX):
        assert house.come_as_stranger(f"198.51.100.{number}") is None
    assert house.come_as_stranger("2001:db8::1") == TOO_MANY_STRANGERS
    assert house.come("192.0.2.1").is_strangers is False


def test_strangers_yield_before_anybody_else_and_push_nobody_out() -> None:
    house = House(connections_max=4)
    mine = [house.come("192.0.2.1"), house.come("192.0.2.1")]
    assert house.come_as_stranger("198.51.100.1") is None
    house.come("192.0.2.2")
    assert house.come_as_stranger("198.51.100.2") is None, "another stranger's place"
    assert len(house.gone) == 1
    house.come("192.0.2.1")
    assert [place.is_strangers for place, _ in house.gone] == [True, True]
    assert house.come_as_stranger("198.51.100.3") == TOO_MANY
    assert all(place.is_taken for place in mine)
