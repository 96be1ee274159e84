"""Whatever has to be read for the API is read by one child at a time, and not more often than it must."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from resolver.api.refusal import Kind, Refusal
from resolver.children import Ended
from resolver.server.api_reading import FRESH_S, WAITING_MAX, Reader


class Child:
    """Instead of a process."""

    def __init__(self, **answers: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers = {"policy": {"exchanges": []}, **answers}
        self.gate = asyncio.Event()
        self.gate.set()
        self.generation = 1
        self.at = 0.0
        self.reader = Reader(
            Path("b.yaml"),
            Path("state"),
            generation=lambda: self.generation,
            wall=lambda: 5.0,
            now=lambda: self.at,
            run=self.run,
        )

    async def run(self, job: bytes) -> Ended:
        asked = json.loads(job)
        self.asked.append(asked)
        await self.gate.wait()
        answer = self.answers[asked["what"]]
        if isinstance(answer, BaseException):
            raise answer
        return Ended(
            0, answer if isinstance(answer, bytes) else json.dumps(answer).encode(), b"Traceback: secret"
        )

    @property
    def readings(self) -> int:
        return sum(one["what"] == "policy" for one in self.asked)


def test_the_policy_is_read_once_for_all_who_ask_and_again_when_another_judges() -> None:
    async def act() -> None:
        child = Child()
        await asyncio.gather(*(child.reader.policy() for _ in range(5)))
        await child.reader.policy()
        assert child.readings == 1 and child.asked[0]["wall"] == 5.0
        child.generation = 2
        await child.reader.policy()
        assert child.readings == 2

    asyncio.run(act())


def test_an_old_reading_is_told_while_a_new_one_is_made_but_never_one_of_another_policy() -> None:
    async def act() -> None:
        child = Child()
        await child.reader.policy()
        child.answers["policy"] = {"exchanges": ["new"]}
        child.at += FRESH_S
        assert await child.reader.policy() == {"exchanges": []}
        assert child.reader._reading is not None
        await child.reader._reading
        assert await child.reader.policy() == {"exchanges": ["new"]}
        child.answers["policy"], child.generation = {"exchanges": ["other"]}, 2
        assert await child.reader.policy() == {"exchanges": ["other"]}

    asyncio.run(act())


def test_before_there_is_a_policy_nothing_is_read() -> None:
    async def act() -> None:
        child = Child()
        child.generation = 0
        with pytest.raises(Refusal) as refused:
            await child.reader.policy()
        assert refused.value.kind is Kind.NOT_READY and child.asked == []

    asyncio.run(act())


def test_one_child_at_a_time_and_so_many_wait() -> None:
    async def act() -> None:
        child = Child(find={"found": []})
        child.gate.clear()
        waiting = [asyncio.create_task(child.reader.read("find", text=str(at))) for at in range(WAITING_MAX)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await child.reader.read("find", text="one more")
        assert refused.value.kind is Kind.BUSY and len(child.asked) == 1
        child.gate.set()
        await asyncio.gather(*waiting)
        assert [one["text"] for one in child.asked] == [str(at) for at in range(WAITING_MAX)]
        await child.reader.read("find", text="again")

    asyncio.run(act())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"refused": {"kind": "not-found", "detail": "no"}}, Kind.NOT_FOUND),
        ({"refused": {"kind": "new-in-a-later-version", "detail": "no"}}, Kind.CONFLICT),
        (b"", Kind.DEFECT),
        (b"{", Kind.DEFECT),
        (TimeoutError(), Kind.BUSY),
        (OSError(12, "Cannot allocate memory"), Kind.BUSY),
    ],
)
def test_what_goes_wrong_in_a_child_is_a_refusal_without_its_inside(answer: Any, kind: Kind) -> None:
    async def act() -> None:
        child = Child(find=answer)
        with pytest.raises(Refusal) as refused:
            await child.reader.read("find", text="x")
        assert refused.value.kind is kind and "secret" not in refused.value.detail

    asyncio.run(act())


def test_a_reading_that_failed_is_tried_again_by_the_next_who_asks() -> None:
    async def act() -> None:
        child = Child(policy=b"")
        with pytest.raises(Refusal):
            await child.reader.policy()
        child.answers["policy"] = {"exchanges": []}
        assert await child.reader.policy() == {"exchanges": []}
        await child.reader.close()

    asyncio.run(act())
