"""The memo of whole answers."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from resolver.flow.memo import ENTRY_OVERHEAD_OCTETS, LEAVE_AT_ONCE, SEEN_MAX, Memo, Remembered
from resolver.flow.outcome import Respond, Source


def answer(tail: bytes) -> Remembered:
    return Remembered(Respond(tail, 0, 1, Source.CACHE))


def look_up(memo: Memo, key: bytes) -> Remembered | None:
    return memo.find(key) or memo.recall(key)


def test_an_answer_is_found_by_the_very_same_octets_only() -> None:
    memo = Memo(100_000)
    kept = answer(b"tail")
    memo.remember(b"question", kept)
    assert look_up(memo, b"question") is kept
    assert look_up(memo, b"Question") is None


def test_it_never_holds_more_than_its_octets() -> None:
    each = ENTRY_OVERHEAD_OCTETS + 4 + 96
    memo = Memo(100 * each)
    for number in range(10_000):
        memo.remember(number.to_bytes(4, "big"), answer(b"x" * 96))
        assert len(memo) <= 100


MEASURE = """
import ctypes, gc, os
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages of one size
from resolver.flow.memo import Memo, Remembered
from resolver.flow.outcome import Respond, Source

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")

memo = Memo(1 << 30)
gc.collect()
before = resident()
for count in (21_840, 21_850, 40_000):  # before and after the dict has grown
    for number in range(len(memo), count):
        mark = b"%08d" % number
        answer = Respond(mark.ljust(40 + number % 160), 0, 1, Source.CACHE)
        known = Remembered(answer, 7, 0.5 + number, head=mark.ljust(50), opt=mark.ljust(11))
        memo.remember(mark.ljust(20 + number % 40), known)
    print((resident() - before) / memo._young_octets)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_what_it_says_an_entry_takes_is_what_it_takes() -> None:
    ratios = subprocess.check_output([sys.executable, "-c", MEASURE], text=True).split()
    assert len(ratios) == 3
    assert all(0.8 < float(ratio) < 1.15 for ratio in ratios), ratios


def test_what_is_asked_often_survives_a_scan_of_names_asked_once() -> None:
    memo = Memo(200 * (ENTRY_OVERHEAD_OCTETS + 100))
    hot = answer(b"hot")
    memo.remember(b"hot", hot)
    for number in range(5_000):
        memo.remember(number.to_bytes(4, "big"), answer(b"x" * 90))
        if number % 20 == 0:
            assert look_up(memo, b"hot") is hot


def test_what_is_not_asked_again_leaves() -> None:
    memo = Memo(200 * (ENTRY_OVERHEAD_OCTETS + 100))
    memo.remember(b"cold", answer(b"cold"))
    for number in range(500):
        memo.remember(number.to_bytes(4, "big"), answer(b"x" * 90))
    assert look_up(memo, b"cold") is None


def test_an_answer_larger_than_its_half_is_not_kept() -> None:
    memo = Memo(2_000)
    memo.remember(b"big", answer(b"x" * 60_000))
    assert look_up(memo, b"big") is None
    assert len(memo) == 0


def test_only_the_second_question_in_a_while_counts_as_asked_again() -> None:
    memo = Memo(2_000)
    assert not memo.is_asked_again(b"question")
    assert memo.is_asked_again(b"question")
    assert not memo.is_asked_again(b"another")


def test_questions_asked_once_take_a_bounded_place() -> None:
    memo = Memo(2_000)
    for number in range(3 * SEEN_MAX):
        memo.is_asked_again(number.to_bytes(4, "big"))
        assert len(memo._seen) <= SEEN_MAX


def test_the_leaving_half_goes_a_few_at_a_time() -> None:
    memo = Memo(200 * (ENTRY_OVERHEAD_OCTETS + 100))
    sizes = []
    for number in range(450):
        memo.remember(number.to_bytes(4, "big"), answer(b"x" * 96))
        sizes.append(len(memo._leaving))
    assert max(sizes) > 90
    assert all(later >= earlier - LEAVE_AT_ONCE for earlier, later in pairwise(sizes))
    assert sizes[-1] == 0


def test_a_cache_entry_that_it_holds_counts() -> None:
    memo = Memo(100_000)
    response = SimpleNamespace(body=b"x" * 60_000)
    memo.remember(
        b"key",
        Remembered(Respond(b"", 0, 1, Source.CACHE), entry=cast(Any, SimpleNamespace(response=response))),
    )
    assert look_up(memo, b"key") is None
