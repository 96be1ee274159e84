"""Changes the blocklist for the API; a child process of a running server.

Knows: what it is told, which function does it.  Does not know: HTTP, tokens, what a change is.
Theory: to check a blocklist as the server would takes seconds of CPU where lists are large, and whatever
befalls it must not befall the server.  The server runs one such child at a time.

    python -m resolver.cli.change_child < JSON of {"do": WORD, "blocklist": PATH, "state_dir": PATH,
        "two_person": BOOL, "who": NAME, "may_approve": BOOL, ...}

prints one line of JSON: `{"done": ...}`, or `{"refused": {"kind", "detail", "remedy", "more"}}`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from resolver.changing.blocklist import Author, Place
from resolver.changing.doing import do
from resolver.changing.refusal import Kind, Refused
from resolver.changing.suggested import accept, dismiss
from resolver.cli.files import BadInput
from resolver.cli.suggestions import desk_of
from resolver.config.settings import Settings


def carry_out(job: dict[str, Any]) -> dict[str, Any]:
    """What the job asks for.  Raises Refused."""
    place = Place(Path(job["blocklist"]), Path(job["state_dir"]), bool(job["two_person"]))
    author = Author(str(job["who"]), "api", bool(job["may_approve"]))
    word: str = job["do"]
    if word not in ("accept", "dismiss"):
        return do(place, author, word, job)
    settings = Settings(blocklist=place.blocklist, state_dir=place.state_dir)
    try:
        desk = desk_of(place.blocklist, settings, place.now())
    except BadInput as error:
        raise Refused(Kind.CONFLICT, str(error)) from None
    act = accept if word == "accept" else dismiss
    return act(place, author, desk, job)


def main() -> int:
    """The child process: see the head of this file."""
    job: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    try:
        told: dict[str, Any] = {"done": carry_out(job)}
    except Refused as refused:
        told = {
            "refused": {
                "kind": refused.kind.value,
                "detail": refused.detail,
                "remedy": refused.remedy,
                "more": refused.more,
            }
        }
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
