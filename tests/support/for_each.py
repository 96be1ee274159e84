"""Many short cases of one claim in one test: all are tried, and those that fail are named, each with what it said.

Knows: the parameters that it fills in.  Does not know: what is claimed.
Theory: a test costs the run some ten milliseconds beside what it does, in each worker.  Where thousands of cases
differ in what they ask and not in what they need, `for_each` stands in the place of `pytest.mark.parametrize`: the
function keeps its words and its claim, and becomes one test.  A fixture is made once for all cases; only a
`tmp_path` is a folder of its own for each.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

SHOWN_MAX = 5
"""So many failures are told in full; the others by name."""


Test = Callable[..., None]


def for_each(
    names: str | tuple[str, ...],
    cases: Iterable[Any],
    ids: Callable[[Any], object] | Iterable[object] | None = None,
) -> Callable[[Test], Test]:
    """As `pytest.mark.parametrize`, but all cases are one test.

    Fails with a `BaseExceptionGroup` whose message names every case that failed; also where there is no case at all.
    What cannot be tried must not be passed over: a case that skips fails.
    """
    words = (names,) if isinstance(names, str) else names
    rows = list(_rows(words, cases, ids))

    def fold(test: Test) -> Test:
        signature = inspect.signature(test)
        assert set(words) <= set(signature.parameters), f"{test.__name__} has no parameters {words}"

        @functools.wraps(test)
        def all_cases(*args: Any, **fixtures: Any) -> None:
            failures: dict[str, BaseException] = {}
            for number, (name, values) in enumerate(rows):
                given = dict(fixtures)
                if "tmp_path" in given:
                    given["tmp_path"] = _folder(given["tmp_path"], number)
                try:
                    test(*args, **given, **values)
                except (Exception, pytest.fail.Exception, pytest.skip.Exception) as failure:
                    failure.add_note(f"in the case {name}")
                    failures[f"{number}: {name}"] = failure
            assert rows, "there is no case"
            if failures:
                raise BaseExceptionGroup(
                    f"{len(failures)} of {len(rows)} cases: {', '.join(failures)}",
                    list(failures.values())[:SHOWN_MAX],
                )

        left = [value for name, value in signature.parameters.items() if name not in words]
        all_cases.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return all_cases

    return fold


def _rows(
    words: tuple[str, ...], cases: Iterable[Any], ids: Callable[[Any], object] | Iterable[object] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of each case, and its values by parameter."""
    told = list(ids) if ids is not None and not callable(ids) else None
    for number, case in enumerate(cases):
        name = None if told is None else str(told[number])
        if isinstance(case, ParameterSet):
            assert not case.marks, f"case {number} has marks: they would be lost"
            values, name = case.values, str(case.id) if case.id else name
        else:
            values = (case,) if len(words) == 1 else tuple(case)
        assert len(values) == len(words), f"case {number} has {len(values)} values for {words}"
        if name is None:
            name = "-".join(str(ids(value)) if callable(ids) else ascii(value)[:60] for value in values)
        yield name, dict(zip(words, values, strict=True))


def _folder(above: Path, number: int) -> Path:
    folder = above / str(number)
    folder.mkdir()
    return folder
