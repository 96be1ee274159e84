"""How the next process of this program is started."""

from __future__ import annotations

import sys

from resolver.cli.starter import words_of


def test_it_is_our_own_command_line_with_one_word_more() -> None:
    own = ["/usr/bin/python3", "-m", "resolver", "run", "--config", "x.yaml"]
    assert words_of(own) == [sys.executable, *own[1:], "--take-over"]
    # And not one more each time.
    assert words_of(words_of(own)) == words_of(own)
