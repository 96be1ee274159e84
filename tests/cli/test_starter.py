"""How the next process of this program is started."""

from __future__ import annotations

import sys

import pytest

from resolver.cli.starter import Starter, words_of


def test_it_is_our_own_command_line_with_one_word_more() -> None:
    own = ["/usr/bin/python3", "-m", "resolver", "run", "--config", "x.yaml"]
    assert words_of(own) == [sys.executable, *own[1:], "--take-over"]
    # And not one more each time.
    assert words_of(words_of(own)) == words_of(own)


def test_where_a_successor_would_end_with_us_none_is_started(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr("resolver.cli.starter.subprocess.Popen", lambda *words, **_: started.append(words))
    starter = Starter({}, "process 1 of its container (tini) ends when this one does")
    starter.start()
    starter.start_successor()
    assert "(tini)" in caplog.text and "start a new container" in caplog.text
    assert started == [] and not starter._is_busy.is_set()
