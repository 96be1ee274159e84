"""Writes the corpus of the native fuzz targets: the messages of `corpus`, the golden vectors, one policy.

    python -m tests.fuzz.write_corpus [FOLDER]

Knows: how the files of `native/fuzz/corpus` are spelt.  Does not know: who reads them.
A run gives the same octets again.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from resolver.publishing.compiler import compile_in_process
from tests.fuzz import corpus
from tests.fuzz.corpus import ANSWER_ID, Answer
from tests.fuzz.rig import POLICY

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "native" / "fuzz" / "corpus"
HEAD = "# Written by tests/fuzz/write_corpus.py; do not edit.\n"
SEED = bytes(range(8))


def vectors(name: str) -> list[dict[str, Any]]:
    """The cases of one file of golden vectors."""
    loaded: list[dict[str, Any]] = yaml.safe_load((ROOT / "tests" / "vectors" / name).read_text())
    return loaded


def queries() -> list[bytes]:
    """Whole queries, then those of the vectors that are none."""
    told = [bytes.fromhex(case["octets"]) for case in vectors("queries.yaml")]
    return list(dict.fromkeys([*corpus.queries(), *told]))


def answers() -> list[Answer]:
    """Answers with the questions they belong to, all under one ID."""
    canary = f"{corpus.CANARY} 86400 A {corpus.CANARY_ADDRESS}"
    made = [*corpus.answers(), corpus.made_answer(corpus.CANARY, "A", answer=(canary,))]
    leads_to_blocked = f"www.example.org. 300 CNAME www.{corpus.BLOCKED}"
    made.append(
        corpus.made_answer(
            "www.example.org.",
            "A",
            answer=(leads_to_blocked, f"www.{corpus.BLOCKED} 300 A {corpus.POISON_ADDRESS}"),
        )
    )
    for case in vectors("responses.yaml"):
        sent, octets = case["sent"], bytes.fromhex(case["octets"])
        if octets[:2] == sent["id"].to_bytes(2, "big"):
            octets = ANSWER_ID.to_bytes(2, "big") + octets[2:]
        made.append(Answer(bytes.fromhex(sent["qname"]), sent["qtype"], sent["dnssec_ok"], octets))
    return list(dict.fromkeys(made))


def policy() -> bytes:
    """The image of the policy that blocks the corpus's blocked name."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        # Relative, so that no folder of this machine comes into the image.
        Path("blocklist.yaml").write_text(POLICY)
        with mock.patch.object(os, "urandom", return_value=SEED):
            image, problems = compile_in_process(Path("blocklist.yaml"), Path("images"), force=True)
        assert image is not None, problems
        return image.read_bytes()


def files() -> dict[str, bytes]:
    """What is written, by name."""
    query_lines = [octets.hex() for octets in queries()]
    answer_lines = [
        f"{answer.qname.hex()} {answer.qtype} {answer.dnssec_ok:d} {answer.octets.hex()}"
        for answer in answers()
    ]
    return {
        "queries.hex": (HEAD + "\n".join(query_lines) + "\n").encode(),
        "answers.hex": (HEAD + "\n".join(answer_lines) + "\n").encode(),
        "canary.policy": policy(),
    }


def main() -> None:
    """See the head of this file."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    for name, octets in files().items():
        (folder / name).write_bytes(octets)


if __name__ == "__main__":
    main()
