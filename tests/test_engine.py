from __future__ import annotations

import pytest

from resolver.cli.engine import NoSuchEngine, choose_engine, describe_engine


@pytest.mark.parametrize("wanted", ["auto", "python"])
def test_this_build_runs_the_python_engine(wanted: str) -> None:
    assert choose_engine(wanted) == "python"


def test_an_engine_that_is_not_there_is_refused_not_replaced() -> None:
    with pytest.raises(NoSuchEngine, match="native"):
        choose_engine("native")


def test_the_engine_is_told_in_one_line() -> None:
    assert describe_engine().startswith("engine: python")
    assert "\n" not in describe_engine()
