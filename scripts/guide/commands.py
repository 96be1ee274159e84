"""The page of all commands, from the program's own help.

Knows: the tree of commands that Typer makes.  Does not know: what any command does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer.main

from resolver.cli.app import app
from scripts.guide.words import anchor, code, heading, prose, table

INTRO = """\
Every command of `exchange-resolver`, also as `python -P -m resolver`. Exit code 0: all is well; 1:
there are findings; 2: bad input; others are said below. Every command that lists something has `--json`.
`exchange-resolver COMMAND -h` says the same on your machine, `--install-completion` teaches your shell
the commands. """


@dataclass(frozen=True, slots=True)
class Command:
    """One command, or a group of them."""

    name: str
    """With the groups it is in: `order import`."""
    text: str
    usage: str
    parameters: tuple[tuple[str, str], ...]
    """How each is written -> its help."""


def commands() -> Iterator[Command]:
    """All that are not hidden, in the order of the help."""
    root: Any = typer.main.get_command(app)
    yield from _under(root, root.make_context("exchange-resolver", [], resilient_parsing=True), ())


def _under(group: Any, context: Any, names: tuple[str, ...]) -> Iterator[Command]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = type(context)(command, parent=context, info_name=name)
        path = (*names, name)
        is_group = hasattr(command, "list_commands")
        if not is_group or command.invoke_without_command:
            yield _told(command, inner, " ".join(path))
        if is_group:
            yield from _under(command, inner, path)


def _told(command: Any, context: Any, name: str) -> Command:
    given = [_written(one) for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([*given, *["[OPTIONS]"] * (len(command.params) > len(given))])
    text = inspect.cleandoc(command.help or "")
    return Command(name, text, usage, tuple(_parameters(command, context)))


def _written(argument: Any) -> str:
    """An argument as the usage shows it."""
    if argument.metavar:
        return str(argument.metavar)
    name = argument.name.upper() + "..." * (argument.nargs != 1)
    return name if argument.required else f"[{name}]"


def _parameters(command: Any, context: Any) -> Iterator[tuple[str, str]]:
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False) or "--help" in parameter.opts:
            continue
        text = (getattr(parameter, "help", "") or "").strip()
        if parameter.param_type_name == "argument":
            yield _written(parameter), text
        else:
            written, _ = parameter.get_help_record(context)
            yield " ".join(written.split()), text


def commands_page() -> str:
    """Every command with its arguments and options."""
    parts = [heading(1, "Every command", id_="page"), INTRO]
    for command in commands():
        parts += [
            heading(2, code(f"exchange-resolver {command.name}"), id_=anchor(command.name)),
            "\n\n".join(prose(" ".join(text.split())) for text in command.text.split("\n\n")) + "\n",
            f"Usage: {code(f'exchange-resolver {command.name} {command.usage}'.strip())}\n",
        ]
        if command.parameters:
            rows = [(code(name), prose(text)) for name, text in command.parameters]
            parts.append(table(("argument or option", "meaning"), rows))
    return "\n".join(parts)
