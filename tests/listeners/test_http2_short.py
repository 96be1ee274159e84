"""The short way through HTTP/2 says and answers what the library does, and knows a head again only while it may."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hpack import Encoder

from resolver.listeners.http import BROKEN, MEDIA_TYPE, OVER_HEADERS, STALL_S, Arrived, HttpBroken
from resolver.listeners.http2 import Http2Session
from resolver.listeners.http2_frames import PREFACE
from resolver.listeners.http2_heads import KNOWN_HEAD_OCTETS_MAX, KNOWN_HEADS_MAX
from resolver.listeners.http2_short import ShortConnection
from tests.listeners.http2_rig import ANSWER, QUERY, TARGET, Talk, frame, frames_in

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END, WHOLE, PADDED, WEIGHED = 1, 4, 8, 32

Headers = list[tuple[bytes, bytes]]


def post(*more: tuple[bytes, bytes]) -> Headers:
    return [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"dns.example"),
        (b":path", b"/dns-query"),
        (b"content-type", MEDIA_TYPE),
        *more,
    ]


GET: Headers = [*post()[:3], (b":path", TARGET), (b"accept", MEDIA_TYPE)]
GET[0] = (b":method", b"GET")


class Raw:
    """A client that says frames, and a session."""

    def __init__(self, *, is_short: bool = True) -> None:
        self.session = Http2Session(streams_max=20, header_octets_max=1_500)
        if not is_short:
            self.session._take_shortly = lambda *_: None  # type: ignore[method-assign]
            self.session._h2.answer = lambda *_: b""  # type: ignore[method-assign]
        self.encoder = Encoder()
        self.said = bytearray(PREFACE)
        self.arrived: list[Arrived] = []
        self.now = 100.0
        self.say(frame(SETTINGS, 0, 0, b""))

    def say(self, octets: bytes) -> None:
        self.said += octets
        start = 0
        try:
            while True:
                taken, arrived = self.session.receive(self.said, start, self.now)
                if not taken:
                    break
                start += taken
                self.arrived += arrived
        finally:
            del self.said[:start]

    def head(self, stream: int, headers: Headers, flags: int = WHOLE) -> bytes:
        return frame(HEADERS, flags, stream, self.encoder.encode(headers))

    def ask(self, stream: int, headers: Headers, body: bytes = QUERY) -> None:
        self.say(self.head(stream, headers) + frame(DATA, END, stream, body))

    @property
    def known(self) -> int:
        return len(self.session._h2.decoder.known)


# The same either way.


def chatter(seed: int) -> tuple[list[bytes], list[int]]:
    """What a client says, piece by piece, right and wrong; and for each piece what the server answers then."""
    chance, encoder = random.Random(seed), Encoder()
    pieces: list[bytes] = []
    begun: list[int] = []
    heads: list[tuple[Headers, Sequence[bytes]]] = [
        (post(), (QUERY, QUERY, b"", bytes(5_000))),
        (post((b"content-length", b"%d" % len(QUERY))), (QUERY,)),
        (GET, (QUERY,)),
    ]
    is_wrong = seed % 4 == 0
    for number in range(chance.randrange(20, 60)):
        stream = 2 * number + 1
        odd = chance.random() if begun else 0.5
        some = chance.choice(begun) if begun else 0
        if odd < 0.75:
            headers, bodies = chance.choice(heads)
            if chance.random() < 0.1:
                value = b"%d" % number
                wrong = [(b"x-a", b"\n"), (b"x-a", b"y" * 1_400), (b"content-length", b"x"), (b"Te", b"1")]
                headers = [*headers, chance.choice(wrong) if is_wrong else (b"x-a", value)]
            flags = chance.choice((WHOLE, WHOLE, WHOLE | WEIGHED, WHOLE | PADDED, WHOLE | END))
            block = encoder.encode(headers)
            if flags & WEIGHED:
                parent = stream if is_wrong and odd > 0.7 else 0
                block = parent.to_bytes(4, "big") + b"\x10" + block
            if flags & PADDED:
                block = b"\2" + block + b"\0\0"
            said = frame(HEADERS, flags, stream, block)
            begun.append(stream)
            if not flags & END:
                body = b"x" * 9 if is_wrong and odd < 0.05 else chance.choice(bodies)
                if chance.random() < 0.2:
                    said += frame(DATA, 0, stream, body[:20]) + frame(DATA, END, stream, body[20:])
                else:
                    said += frame(DATA, END, stream, body)
        elif odd < 0.8:
            said = frame(RESET, 0, some, bytes(4))
        elif odd < 0.85:
            said = frame(WINDOW, 0, chance.choice((0, some)), chance.randrange(1, 5_000).to_bytes(4, "big"))
        elif odd < 0.9:
            said = frame(SETTINGS, 0, 0, b"\0\4" + chance.choice((0, 10, 100, 65_535)).to_bytes(4, "big"))
        elif odd < 0.94:
            said = frame(PING, 0, 0, bytes(8))
        elif odd < 0.98 or not is_wrong:
            said = frame(PRIORITY, 0, some, bytes(5))
        else:
            block = encoder.encode(GET)
            said = chance.choice(
                (
                    frame(DATA, END, some, b"late"),
                    frame(HEADERS, WHOLE | END, some, block),
                    frame(HEADERS, END, stream, block[:3]) + frame(HEADERS, WHOLE | END, stream + 2, block),
                    frame(HEADERS, END, stream, block[:3]) + frame(CONTINUATION, WHOLE, stream, block[3:]),
                    frame(DATA, END, stream + 10, b"idle"),
                    frame(HEADERS, WHOLE | END, 2, block),
                )
            )
        pieces.append(said)
    return pieces, [chance.choice((0, 1, 1, 3)) for _ in pieces]


def heard(seed: int, *, is_short: bool) -> list[object]:
    """All that the server makes of one chatter."""
    client, found = Raw(is_short=is_short), list[object]()
    pieces, answers = chatter(seed)
    chance = random.Random(seed)
    for piece, count in zip(pieces, answers, strict=True):
        try:
            client.say(piece)
        except HttpBroken as broken:
            return [*found, broken.reason, client.session.outgoing()]
        found.append(list(client.arrived))
        for _ in range(min(count, len(client.arrived))):
            arrived = client.arrived.pop(chance.randrange(len(client.arrived)))
            body = chance.choice((ANSWER, ANSWER, ANSWER + bytes(400), ANSWER + bytes(20_000)))
            message = b"" if arrived.status else body
            if chance.random() < 0.1:
                client.session.reset(arrived.request)
                continue
            client.session.answer(arrived.request, arrived.status or 200, message, b"Mon", client.now)
        session = client.session
        if chance.random() < 0.1:
            found.append(session.give_up(client.now + STALL_S + 1.0))
        found += [session.outgoing(), session.held_octets, session.owes, session.waits_for_client]
    return found


@pytest.mark.parametrize("seed", range(40))
def test_both_ways_say_the_same_to_whatever_a_client_says(seed: int) -> None:
    assert heard(seed, is_short=True) == heard(seed, is_short=False)


def test_the_comparison_sees_both_ways_and_broken_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []
    begin = ShortConnection.begin

    def noting(self: ShortConnection, stream_id: int, block: bytes, *, ends: bool) -> object:
        head = begin(self, stream_id, block, ends=ends)
        taken.append(head is not None)
        return head

    monkeypatch.setattr(ShortConnection, "begin", noting)
    ends = [heard(seed, is_short=True)[-2:] for seed in range(40)]
    assert taken.count(True) > 400 and taken.count(False) > 20
    assert 5 <= sum(BROKEN in end for end in ends) <= 30
    assert sum(OVER_HEADERS in end for end in ends) >= 1


# What is known again.


def test_a_head_that_is_repeated_is_known_from_the_second_time_on() -> None:
    client = Raw()
    for number in range(5):
        client.ask(2 * number + 1, post())
        # The first puts its fields into the table, the second says where they stand.
        assert client.known == (number > 0)
    assert [arrived.message for arrived in client.arrived] == [QUERY] * 5
    assert len({id(arrived.request.headers) for arrived in client.arrived[1:]}) <= 2


def test_behind_a_change_of_the_table_the_same_octets_are_read_anew() -> None:
    client = Raw()
    for number in range(3):
        client.ask(2 * number + 1, [*post(), (b"x-a", b"1")])
    block = client.encoder.encode([*post(), (b"x-a", b"1")])
    assert client.known == 1
    client.ask(7, [*post(), (b"x-b", b"2")])  # moves all others by one
    assert client.known == 0
    with pytest.raises(HttpBroken, match=BROKEN):  # its path is an authority now
        client.say(frame(HEADERS, WHOLE, 9, block))


def test_a_table_that_is_made_smaller_forgets_what_is_known() -> None:
    client = Raw()
    for number in range(3):
        client.ask(2 * number + 1, post())
    block = client.encoder.encode(post())
    assert client.known == 1
    client.encoder.header_table_size = 0
    client.ask(7, post())
    assert client.known <= 1
    with pytest.raises(HttpBroken):  # nothing stands there any more
        client.say(frame(HEADERS, WHOLE, 9, block))


def test_few_and_small_heads_are_known() -> None:
    client = Raw()
    for number in range(3 * KNOWN_HEADS_MAX):
        # Never put into the table, so that each block could be known.
        headers = [(name, value, True) for name, value in post((b"x-a", b"%d" % number))]
        client.say(frame(HEADERS, WHOLE, 2 * number + 1, client.encoder.encode(headers, huffman=False)))
        assert 0 <= client.known <= KNOWN_HEADS_MAX
    client.session._h2.decoder.known.clear()
    large = [(name, value, True) for name, value in post((b"x-a", b"y" * KNOWN_HEAD_OCTETS_MAX))]
    client.say(frame(HEADERS, WHOLE, 99, client.encoder.encode(large)))
    assert client.known == 0


def test_a_head_that_is_not_well_formed_is_never_known() -> None:
    client = Raw()
    with pytest.raises(HttpBroken):
        client.say(client.head(1, [*post(), (b"Upper", b"1")]))
    assert client.known == 0


# What only looks usual.


def ready() -> Raw:
    """A client whose head is known."""
    client = Raw()
    for number in range(3):
        client.ask(2 * number + 1, post())
    client.session.outgoing()
    return client


@pytest.mark.parametrize(
    "said",
    [
        [(HEADERS, 0, 7, b"\x82"), (HEADERS, WHOLE, 9, None)],
        [(HEADERS, 0, 7, b"\x82"), (DATA, END, 5, QUERY)],
        [(HEADERS, WHOLE | WEIGHED, 7, b"\0\0\0\7\x10")],
        [(HEADERS, WHOLE, 8, None)],
        [(DATA, END, 9, QUERY)],
    ],
)
def test_what_is_wrong_in_frames_that_look_usual_ends_the_connection(
    said: Sequence[tuple[int, int, int, bytes | None]],
) -> None:
    client = ready()
    block = client.encoder.encode(post())
    frames = [frame(kind, flags, stream, payload or block) for kind, flags, stream, payload in said]
    with pytest.raises(HttpBroken, match=BROKEN):
        client.say(b"".join(frames))


def test_a_body_of_another_length_than_its_head_says_is_reset() -> None:
    client = Raw()
    headers = post((b"content-length", b"%d" % len(QUERY)))
    for number in range(3):
        client.ask(2 * number + 1, headers)
    assert client.known == 1 and len(client.arrived) == 3
    with pytest.raises(HttpBroken, match=BROKEN):
        client.ask(7, headers, QUERY[:-1])


def test_of_bodies_that_go_the_short_way_the_window_of_the_connection_is_given_back() -> None:
    client = ready()
    given = 0
    for number in range(3, 3_000):
        client.ask(2 * number + 1, post())
        arrived = client.arrived.pop()
        client.session.answer(arrived.request, 200, ANSWER, b"Mon", client.now)
        for kind, stream, payload in frames_in(client.session.outgoing()):
            if kind == WINDOW:
                assert stream == 0
                given += int.from_bytes(payload, "big")
            if kind == DATA:
                # Its client gives back, too.
                client.say(frame(WINDOW, 0, 0, len(payload).to_bytes(4, "big")))
    assert given > 3_000 * len(QUERY) - 65_535
    assert not client.session._h2.streams or len(client.session._h2.streams) < 5


def test_an_answer_that_the_window_has_no_room_for_waits() -> None:
    talk = Talk(window=len(ANSWER) - 1)
    for _ in range(3):
        stream = talk.ask()
        talk.pump()
        talk.answer_all()
        assert talk.session.owes and talk.body_of(stream) == ANSWER[:-1]
        talk.client.increment_flow_control_window(10, stream)
        talk.pump()
        assert talk.body_of(stream) == ANSWER and not talk.session.owes


def test_refused_streams_are_counted_on_the_short_way_too() -> None:
    client = ready()
    client.arrived.clear()
    for number in range(4, 30):
        client.ask(2 * number + 1, post())
    assert client.session.refused == 26 + 3 - 20
    resets = [stream for kind, stream, _ in frames_in(client.session.outgoing()) if kind == RESET]
    assert len(set(resets)) == client.session.refused


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_streams_that_end_without_an_answer_are_let_go_of(method: bytes) -> None:
    raw = Raw()
    head = [(b":method", method), *post()[1:3], (b":path", b"/x")]
    for number in range(1_000):
        raw.say(frame(HEADERS, WHOLE | END, 2 * number + 1, raw.encoder.encode(head)))
        for arrived in raw.arrived:
            raw.session.answer(arrived.request, arrived.status, b"", b"", raw.now)
            raw.session.outgoing()
        raw.arrived.clear()
    assert len(raw.session._h2.streams) <= 300
