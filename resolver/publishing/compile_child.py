"""Runs the compiler in a process of its own, and reads what it says.

Knows: how the child is called, how long it may take.  Does not know: what is compiled, what is done with it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from resolver.children import Share, run_child, run_child_when_idle
from resolver.problems import Problem
from resolver.publishing.approvals import Approval
from resolver.publishing.compiled import Compiled, InputFile

COMPILE_TIMEOUT_S = 600.0
"""A million names take 2 s of CPU, so a tenth of a core does ten million."""


async def compile_in_child(
    blocklist: Path, out_dir: Path, idle: bool, *, two_person: bool = False
) -> Compiled:
    """Compile in a process of its own, whose end, memory and crashes are not ours.

    `idle`: it stands back for whoever serves, at first altogether, then by less.  `two_person`: what people
    edited needs the approval of a second one.
    """
    more = ("--two-person",) if two_person else ()
    return await _compile_in_child(blocklist, out_dir, *more, idle=idle)


async def compile_text_in_child(blocklist: Path, out_dir: Path, text: Path) -> Compiled:
    """The same at once, of a text that served: the rails have nothing more to say of it."""
    return await _compile_in_child(blocklist, out_dir, "--text", str(text), "--force", idle=False)


async def _compile_in_child(blocklist: Path, out_dir: Path, *more: str, idle: bool) -> Compiled:
    words = (
        "resolver.publishing.compiler",
        str(blocklist),
        "--out",
        str(out_dir),
        "--state",
        str(out_dir.parent),
        *more,
    )
    try:
        if idle:
            ended = await run_child_when_idle(*words, timeout_s=COMPILE_TIMEOUT_S)
        else:
            ended = await run_child(*words, timeout_s=COMPILE_TIMEOUT_S, share=Share.EQUAL)
    except TimeoutError:
        return _failed(blocklist, f"the compiler took over {COMPILE_TIMEOUT_S:g} s")
    except OSError as error:
        return _failed(blocklist, f"cannot start the compiler: {error}")
    try:
        return compiled_from_json(ended.output)
    except (ValueError, KeyError, TypeError):
        return _failed(blocklist, f"the compiler ended with code {ended.code}: {ended.last_words()!r}")


def compiled_from_json(octets: bytes) -> Compiled:
    """What a child printed.  Raises ValueError, KeyError or TypeError for anything else."""
    fields: dict[str, Any] = json.loads(octets)
    return Compiled(
        image=Path(fields["image"]) if fields["image"] else None,
        key=fields["key"],
        inputs=[InputFile(**entry) for entry in fields["inputs"]],
        paths=fields["paths"],
        downloaded=fields["downloaded"],
        counts=fields["counts"],
        problems=[Problem(**problem) for problem in fields["problems"]],
        losses=fields["losses"],
        transient=fields["transient"],
        granted=fields["granted"],
        approval=Approval(**fields["approval"]) if fields["approval"] else None,
    )


def _failed(blocklist: Path, message: str) -> Compiled:
    return Compiled(problems=[Problem(str(blocklist), 0, message)], transient=True)
