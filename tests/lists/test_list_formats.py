"""Lists in every format: what comes as a list but is none, budgets, and that no octets break a reader."""

from __future__ import annotations

import gzip
import ipaddress

import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.lists import adblock, content, reading, rpz
from resolver.lists.detection import detect_format
from resolver.lists.reader import BAD_LINES_FREE, FORMATS, ListLimits, ListReader
from resolver.lists.rpz import network_from_labels
from resolver.policy.verdict import PolicyAction, RuleForm
from resolver.wire.names import name_to_text
from tests.support.for_each import for_each

NAMES = b"".join(b"host%d.example\n" % number for number in range(1000))
SOA = b"@ SOA localhost. root.localhost. 1 2 3 4 5\n"


def read(octets: bytes, list_format: str = "auto", limits: ListLimits = ListLimits()) -> ListReader:
    reader = ListReader(octets, "list.txt", list_format, limits)
    for _ in reader.batches():
        pass
    return reader


def refusal(octets: bytes, limits: ListLimits = ListLimits()) -> str:
    """The one error of a list, which must have given nothing."""
    reader = read(octets, limits=limits)
    (error,) = [problem for problem in reader.problems() if problem.severity == "error"]
    return error.message


@for_each(
    ("octets", "message"),
    [
        (b"<!DOCTYPE html>\n<html><body>Too many requests</body></html>", "looks like an HTML page"),
        (b"\xef\xbb\xbf  <HTML lang=en>", "looks like an HTML page"),
        (b"<!-- cached -->\n<html>", "looks like an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "looks like an HTML page"),
        (b'{"message": "Not Found"}', "looks like JSON"),
        (b"404: Not Found", "no line of it"),
        (b"PK\x03\x04" + b"\0" * 50, "is a zip archive"),
        (b"\x7fELF\x02\x01\x01\0\0", "has NUL bytes"),
        ("a.example\n".encode("utf-16"), "is UTF-16"),
        (gzip.compress(NAMES, mtime=0)[:-20], "is gzip that ends too early"),
        (gzip.compress(NAMES, mtime=0)[:40] + b"\xff" * 40, "is damaged gzip"),
        (gzip.compress(NAMES, mtime=0) + b"more", "is gzip with other data after it"),
        (gzip.compress(b"<html>", mtime=0), "looks like an HTML page"),
    ],
)
def test_what_is_no_list_is_refused_by_what_it_is(octets: bytes, message: str) -> None:
    assert message in refusal(octets)


@pytest.mark.parametrize(
    "pack", [gzip.compress, bytes, lambda text: gzip.compress(text[:99]) + gzip.compress(text[99:])]
)
def test_list_is_read_packed_or_not(pack: object) -> None:
    assert callable(pack) and read(pack(NAMES)).entry_count == 1000


def test_gzip_bomb_costs_no_more_than_a_large_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "PIECE_OCTETS", 1 << 12)
    bomb = gzip.compress(b"a.example\n" * 300_000)
    assert len(bomb) < 20_000
    assert "over 100,000 bytes when unpacked" in refusal(bomb, ListLimits(size_octets_max=100_000))


def test_list_of_the_largest_size_is_read_and_one_octet_more_is_not() -> None:
    assert read(NAMES, limits=ListLimits(size_octets_max=len(NAMES))).entry_count == 1000
    assert "has over" in refusal(NAMES, ListLimits(size_octets_max=len(NAMES) - 1))


def test_list_of_too_many_names_is_refused() -> None:
    assert read(NAMES, limits=ListLimits(entries_max=1000)).problems() == []
    assert "over 999 entries" in refusal(NAMES, ListLimits(entries_max=999))


def test_bad_lines_within_the_budget_are_told_and_beyond_it_refuse_the_list() -> None:
    good = read(NAMES + b"bad..name\n" * 111)
    assert {problem.severity for problem in good.problems()} == {"warning"}
    assert "over 10 % of them all" in refusal(NAMES + b"bad..name\n" * 112)
    assert read(b"a.example\n" + b"bad..name\n" * BAD_LINES_FREE).problems()[-1].severity == "warning"
    assert "over 10 %" in refusal(b"a.example\n" + b"bad..name\n" * (BAD_LINES_FREE + 1))
    assert "over 0 %" in refusal(NAMES + b"bad..name\n", ListLimits(error_budget_percent=0))


def test_skipped_lines_are_no_bad_lines() -> None:
    reader = read(b"! ads\n||a.example^\n" + b"example.org##.ad\n" * 500)
    assert reader.entry_count == 1 and reader.notes.skipped == {"cosmetic rules": 500}
    assert all(problem.severity == "warning" for problem in reader.problems())


@pytest.mark.parametrize("list_format", sorted(FORMATS))
def test_crlf_byte_order_mark_and_a_missing_last_line_end_change_nothing(list_format: str) -> None:
    line = {
        "domains": "n%d.example", "hosts": "0.0.0.0 n%d.example", "wildcard": "*.n%d.example",
        "adblock": "||n%d.example^", "dnsmasq": "server=/n%d.example/", "rpz": "n%d.example CNAME .",
    }[list_format]  # fmt: skip
    text = "\n".join(line % number for number in range(50)).encode()
    for octets in (text, text + b"\n", text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text, text.upper()):
        reader = read(octets, list_format)
        assert reader.entry_count == 50 and reader.problems() == []
        assert detect_format(octets) == list_format


@pytest.mark.parametrize("list_format", sorted(FORMATS))
def test_hostile_lines_are_read_in_bounded_time(list_format: str) -> None:
    lines = [
        b"a" * 1_000_000,
        b"a." * 500_000,
        b"(" * 100_000,
        b'"' + b"\\" * 100_000,
        b"|" * 100_000,
        b"#" * 1_000_000,
    ]
    lines += [b"address=/" + b"a/" * 500_000, b"*." * 300_000, b"\xff" * 100_000, b"/" * 200_000, b"\0" * 10]
    reader = read(b"x.example\n" + b"\n".join(lines) + b"\n", list_format)
    assert all(len(str(problem)) < 400 for problem in reader.problems())


@given(
    st.lists(
        st.binary(max_size=40) | st.text("ab.*|^@$#/=\\();,: -\t0129", max_size=30).map(str.encode),
        max_size=8,
    )
)
def test_no_octets_break_a_reader(lines: list[bytes]) -> None:
    for list_format in FORMATS:
        reader = ListReader(b"\n".join(lines), "x", list_format, ListLimits(error_budget_percent=100))
        for batch in reader.batches():
            assert len(batch.names) == len(batch.lines)
            for name in batch.names:
                assert name[-1] == 0 and 4 <= len(name) <= 255 and name == name.lower()
        reader.problems()


PLAIN = st.from_regex(r"[a-z][a-z0-9-]{0,5}\.(?:example|test)", fullmatch=True)
ACTIONS = st.sampled_from([".", "*.", "rpz-passthru.", "rpz-drop.", "rpz-tcp-only.", "garden.example.net."])


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.sampled_from(["", "*."]), PLAIN, ACTIONS), max_size=12),
    st.sampled_from(["", " ; why", "  "]),
)
def test_zone_says_the_same_fast_and_slow_and_in_absolute_names(
    rules: list[tuple[str, str, str]], rest: str
) -> None:
    def said(text: str) -> set[tuple[object, ...]]:
        reader = ListReader(text.encode(), "x", "rpz", ListLimits(error_budget_percent=100))
        found: set[tuple[object, ...]] = set()
        for names, _, said in reader.batches():
            forms = [RuleForm.EXACT, RuleForm.BELOW] if said.form is RuleForm.SUBTREE else [said.form]
            found |= {
                (name, form, said.effect, said.action, said.local_data) for name in names for form in forms
            }
        assert reader.notes.bad_line_count == 0
        return found

    head = f"$ORIGIN rpz.example.\n{SOA.decode()}"
    fast = said(head + "".join(f"{star}{name} CNAME {target}{rest}\n" for star, name, target in rules))
    # Parentheses are never plain.
    slow = said(head + "".join(f"{star}{name} ( CNAME\n {target} ) ; x\n" for star, name, target in rules))
    absolute = said(
        head + "".join(f"{star}{name}.rpz.example. 60 IN CNAME {target}\n" for star, name, target in rules)
    )
    assert fast == slow == absolute
    assert len({(row[0], row[1]) for row in fast}) == len({(star, name) for star, name, _ in rules})


def test_zone_text_is_read_as_another_implementation_reads_it() -> None:
    text = (
        "$TTL 1h\n$ORIGIN rpz.example.\n@ IN SOA a. b. ( 1 2\n 3 4 ; five\n 5 )\n NS ns.example.\n"
        "one.example CNAME .\n*.one.example 60 CNAME .\n\ntwo.example IN 1d CNAME *. ; no\n"
        "three.example A 192.0.2.1\n    A 192.0.2.2\n\tAAAA 2001:db8::1\n$ORIGIN sub.rpz.example.\nfour A ( 192.0.2.3 )\n"
        "five.example.rpz.example. CNAME rpz-drop.\nsix CNAME .\n"
    )
    ours: set[str] = set()
    for names, _, said in ListReader(text.encode(), "x", "rpz").batches():
        for name in map(name_to_text, names):
            ours |= {name} if said.form is not RuleForm.BELOW else set()
            ours |= {f"*.{name}"} if said.form is not RuleForm.EXACT else set()
    zone = dns.zone.from_text(text, "rpz.example.", relativize=True)
    assert ours == {str(name) for name in zone.nodes if str(name) != "@"}


def filters(text: str) -> tuple[set[tuple[str, str, RuleForm | None]], ListReader]:
    reader = ListReader(text.encode(), "x", "adblock")
    found: set[tuple[str, str, RuleForm | None]] = {
        (name_to_text(name), batch.said.effect, batch.said.form)
        for batch in reader.batches()
        for name in batch.names
    }
    return found, reader


@pytest.mark.parametrize("sign", ["||", "|", "@@||", "||*."])
@pytest.mark.parametrize("options", ["", "$important"])
@pytest.mark.parametrize("is_before", [True, False])
def test_badfilter_cancels_the_same_rule_wherever_it_stands(
    sign: str, options: str, is_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK_OCTETS", 16)
    rule = f"{sign}A.example^{options}"
    cancel = f"{sign}a.example^{options},badfilter" if options else f"{rule}$badfilter"
    lines = [rule, *(f"||n{number}.example^" for number in range(9))]
    lines.insert(0 if is_before else len(lines), cancel)
    found, reader = filters("\n".join(lines))
    assert {name for name, _, _ in found} == {f"n{number}.example" for number in range(9)}
    assert reader.notes.skipped == {"cancelled rules": 2} and reader.problems()[-1].severity == "warning"


@pytest.mark.parametrize(
    "cancel",
    [
        "||b.example^$badfilter", "|a.example^$badfilter", "@@||a.example^$badfilter", "||*.a.example^$badfilter",
        "||a.example^$important,badfilter", "||a.example^$third-party,badfilter", "||x.a.example^$badfilter",
        "! ||a.example^$badfilter", "||a.example/path$badfilter", "/a.example/$badfilter",
    ],
)  # fmt: skip
def test_badfilter_cancels_no_other_rule(cancel: str) -> None:
    found, _ = filters(f"{cancel}\n||a.example^\n{cancel}\n")
    assert found == {("a.example", "block", RuleForm.SUBTREE)}


def test_names_cancelled_by_one_list_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adblock, "CANCELLED_MAX", 2)
    text = "".join(f"||n{number}.example^\n||n{number}.example^$badfilter\n" for number in range(4))
    assert {name for name, _, _ in filters(text)[0]} == {"n2.example", "n3.example"}


def blocked(text: str) -> set[str]:
    reader = ListReader(text.encode(), "x", "rpz", ListLimits(error_budget_percent=100))
    return {name_to_text(name) for batch in reader.batches() for name in batch.names}


@pytest.mark.parametrize("records", ["", "@ NS localhost.\n", "$ORIGIN sub.rpz.test.\n$ORIGIN rpz.test.\n"])
def test_zone_without_its_soa_is_named_by_its_first_origin(records: str) -> None:
    text = f"$ORIGIN rpz.test.\n{records}a.example CNAME .\nb.example.rpz.test. CNAME .\n\tA 192.0.2.1\n"
    assert blocked(text) == {"a.example", "b.example"}
    assert blocked(f"{text}$ORIGIN example.rpz.test.\nc CNAME .\n") == {"a.example", "b.example", "c.example"}


def test_name_outside_a_zone_without_its_soa_is_a_bad_line() -> None:
    reader = read(b"$ORIGIN rpz.test.\na.example CNAME .\nb.example. CNAME .\n", "rpz")
    assert reader.entry_count == 1 and reader.notes.bad_line_count == 1


@pytest.mark.parametrize("head", ["", "$ORIGIN .\n"])
def test_zone_without_any_name_has_its_triggers_as_written(head: str) -> None:
    assert blocked(f"{head}a.example CNAME .\nb.example. CNAME .\n") == {"a.example", "b.example"}


def test_soa_names_the_zone_whatever_the_origin() -> None:
    text = "$ORIGIN test.\nrpz NS localhost.\nrpz SOA a. b. 1 2 3 4 5\na.example.rpz CNAME .\n"
    assert blocked(text) == {"a.example"}


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6), st.integers(0, 128))
def test_networks_of_rpz_are_read_backwards(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, cut: int
) -> None:
    network = ipaddress.ip_network((address, min(cut, address.max_prefixlen)), strict=False)
    separator = "." if network.version == 4 else ":"
    text = str(network.network_address)
    if network.version == 6:
        left, gap, right = text.partition("::")
        parts = [*filter(None, left.split(":")), *(["zz"] if gap else []), *filter(None, right.split(":"))]
    else:
        parts = text.split(separator)
    assert network_from_labels([str(network.prefixlen), *reversed(parts)]) == network


@pytest.mark.parametrize(
    "text",
    ["", "24", "33.1.2.0.192", "24.1.2.0.192", "x.1.2.0.192", "128.zz.1.zz.2", "64.zz.1.2.3.4.5.6.7.8"],
)
def test_what_is_no_network_of_rpz_is_a_bad_line(text: str) -> None:
    with pytest.raises(ValueError):
        network_from_labels(text.split("."))


def test_answers_of_a_list_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpz, "ANSWERS_MAX", 3)
    lines = b"".join(b"n%d.example CNAME t%d.example.\n" % (number, number % 5) for number in range(10))
    reader = read(SOA + lines)
    assert reader.entry_count == 6 and reader.notes.skipped == {"answers beyond the limit": 4}


def test_addresses_of_one_name_may_stand_apart() -> None:
    text = (
        SOA
        + b"a.example A 192.0.2.1\nb.example A 192.0.2.9\na.example AAAA 2001:db8::1\na.example A 192.0.2.2\n"
    )
    (first, second) = ListReader(text, "x", "auto").batches()
    data = first.said.local_data if first.names == [b"\x01a\x07example\0"] else second.said.local_data
    assert data is not None and [len(packed) for packed in data.addresses] == [4, 16, 4]
    assert first.said.action is PolicyAction.LOCAL_DATA
