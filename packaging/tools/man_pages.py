"""Writes the manual pages: one for each command, one for each of the two files.

    python packaging/tools/man_pages.py FOLDER

Knows: the command line's help, the schemas of settings and blocklist, man(7).  Does not know: what any of it
does: whatever a page says stands in the program, too, so none can grow old.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer.main

from resolver import __version__
from resolver.blocklist.keys import blocklist_schema
from resolver.cli.app import app
from resolver.config.settings import settings_schema

PROGRAM = "exchange-resolver"
SETTINGS = "/etc/exchange-resolver/resolver.yaml"
BLOCKLIST = "/etc/exchange-resolver/blocklist.yaml"

PAGES = {f"{PROGRAM}.yaml": 5, f"{PROGRAM}-blocklist": 5}
"""Pages of files, and their section; those of commands are in section 1."""

FILES = [
    (SETTINGS, f"Settings; see {PROGRAM}.yaml(5)."),
    (BLOCKLIST, f"The policy, read again when it changes; see {PROGRAM}-blocklist(5)."),
    ("/var/lib/exchange-resolver", "Compiled policies, the last good copy, history, hits."),
    ("/var/log/exchange-resolver", "Files of query_records, where the settings name any."),
]

EXIT_CODES = [
    ("0", "Fine."),
    ("1", "Findings: a difference, an uncovered domain, nothing found."),
    ("2", "Bad input; each problem is a line FILE:LINE: MESSAGE."),
    ("3", "run: another server serves with the same state_dir; run --take-over takes its place."),
    ("75", "run: ports, descriptors or threads are wanting; trying again may help."),
]

SIGNALS = [
    ("SIGHUP", "Read the blocklist again."),
    ("SIGTERM, SIGINT", "Stop."),
]


def main(folder: Path) -> None:
    """Write all pages into `folder`, flat, as NAME.SECTION."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in pages():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def pages() -> Iterator[tuple[str, list[str]]]:
    """Each page: its file's name, and its lines."""
    command = typer.main.get_command(app)
    yield f"{PROGRAM}.1", list(_program_page(command))
    yield from _command_pages(command, None, PROGRAM)
    yield f"{PROGRAM}.yaml.5", list(_file_page(f"{PROGRAM}.yaml", "settings", SETTINGS, settings_schema()))
    yield (
        f"{PROGRAM}-blocklist.5",
        list(_file_page(f"{PROGRAM}-blocklist", "policy", BLOCKLIST, blocklist_schema())),
    )


def _program_page(command: Any) -> Iterator[str]:
    yield from _head(PROGRAM, 1, _first_sentence(command.help))
    yield from [".SH SYNOPSIS", f"{_bold(PROGRAM)} {_italic('COMMAND')} [{_italic('OPTIONS')}]"]
    yield from [".SH DESCRIPTION", *_prose(command.help)]
    yield ".SH COMMANDS"
    for name, one in _visible(command):
        yield from _item(_bold(name), f"{_first_sentence(one.help)} See {PROGRAM}-{name}(1).")
    yield from _list("EXIT STATUS", EXIT_CODES)
    yield from _list("SIGNALS", SIGNALS)
    yield from _list("FILES", FILES)
    yield from _see_also([f"{name}({section})" for name, section in PAGES.items()])


def _command_pages(group: Any, parent: Any, words: str) -> Iterator[tuple[str, list[str]]]:
    context = group.context_class(group, info_name=words.split()[-1], parent=parent)
    for name, command in _visible(group):
        title = f"{words} {name}"
        yield f"{title.replace(' ', '-')}.1", list(_command_page(command, context, title))
        if hasattr(command, "commands"):
            yield from _command_pages(command, context, title)


def _command_page(command: Any, parent: Any, words: str) -> Iterator[str]:
    context = command.context_class(command, info_name=words.split()[-1], parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield from _head(words.replace(" ", "-"), 1, _first_sentence(command.help))
    yield from [".SH SYNOPSIS", f"{_bold(words)} {_escape(usage)}"]
    yield from [".SH DESCRIPTION", *_prose(command.help)]
    if hasattr(command, "commands"):
        yield ".SH COMMANDS"
        for name, one in _visible(command):
            yield from _item(_bold(name), _first_sentence(one.help))
    for title, kind in (("ARGUMENTS", "argument"), ("OPTIONS", "option")):
        wanted = [one for one in command.get_params(context) if one.param_type_name == kind]
        records = [record for one in wanted if (record := one.get_help_record(context))]
        if records:
            yield f".SH {title}"
            for left, right in records:
                yield from _item(_bold(left), right)
    yield from _see_also([f"{PROGRAM}(1)"])


def _visible(group: Any) -> list[tuple[str, Any]]:
    return [(name, one) for name, one in sorted(group.commands.items()) if not one.hidden]


def _file_page(name: str, kind: str, path: str, schema: dict[str, Any]) -> Iterator[str]:
    """A page with every key of a YAML file, by sections."""
    yield from _head(name, 5, f"{kind} of {PROGRAM}(1)")
    yield from [".SH SYNOPSIS", _italic(path), ".SH DESCRIPTION"]
    yield from _prose(f"{schema.get('description', '')}\n\nYAML. Unknown keys are errors. ")
    yield from _prose(f"{PROGRAM} schema prints the same as a JSON Schema, for editors.")
    yield from [".SH KEYS", *_keys(schema)]
    for title, section in sorted(schema["$defs"].items()):
        if section.get("properties"):
            yield f".SH {_escape(_spaced(title).upper())}"
            yield from _prose(section.get("description", ""))
            yield from _keys(section)
    yield from _see_also([f"{PROGRAM}(1)", f"{PROGRAM}-check(1)", f"{PROGRAM}-schema(1)"])


def _keys(section: dict[str, Any]) -> Iterator[str]:
    required = set(section.get("required", ()))
    for key, about in section.get("properties", {}).items():
        remarks = [about.get("description", "")]
        if names := _sections_of(about):
            remarks.append(f"See {', '.join(names)}.")
        if "unit" in about:
            remarks.append(f"Unit: {about['unit']}.")
        if "minimum" in about or "maximum" in about:
            remarks.append(f"Allowed: {about.get('minimum', '')} to {about.get('maximum', '')}.")
        if key in required:
            remarks.append("Required.")
        elif not names and "default" in about:
            remarks.append(f"Default: {_as_yaml(about['default'])}.")
        if "applies" in about:
            remarks.append(f"Takes effect {about['applies']}.")
        yield from _item(_bold(key), " ".join(filter(None, remarks)))


def _sections_of(about: Any) -> list[str]:
    """The sections that a key's values are described in."""
    found = re.findall(r"#/\$defs/(\w+)", str(about))
    return sorted({_spaced(name).upper() for name in found})


def _spaced(title: str) -> str:
    """`CacheSection` -> `Cache section`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", title).capitalize()


def _as_yaml(value: object) -> str:
    words = {None: "null", True: "true", False: "false", "": '""'}
    return words[value] if value is None or isinstance(value, bool) or value == "" else str(value)


def _head(name: str, section: int, purpose: str) -> Iterator[str]:
    day = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or _now(), UTC)
    title = _escape(name.upper())
    yield f'.TH "{title}" {section} "{day:%Y-%m-%d}" "{PROGRAM} {__version__}" "{PROGRAM}"'
    yield from [".SH NAME", f"{_escape(name)} \\- {_escape(purpose.rstrip('.'))}"]


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _list(title: str, pairs: list[tuple[str, str]]) -> Iterator[str]:
    yield f".SH {title}"
    for left, right in pairs:
        yield from _item(_bold(left), right)


def _item(left: str, right: str) -> Iterator[str]:
    yield from [".TP", left, *(_prose(right, first="") or ["\\&"])]


def _see_also(pages: list[str]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    yield ", ".join(f"\\fB{_escape(page.partition('(')[0])}\\fR({page.partition('(')[2]}" for page in pages)


def _prose(text: str | None, first: str = ".PP") -> list[str]:
    """Paragraphs, parted by empty lines."""
    lines: list[str] = []
    for at, paragraph in enumerate(re.split(r"\n\s*\n", (text or "").strip())):
        words = _escape(" ".join(paragraph.split()))
        if words:
            lines += [mark for mark in (first if at == 0 else ".PP",) if mark]
            lines.append(words)
    # `.PP` directly after a heading says nothing.
    return lines[1:] if lines[:1] == [".PP"] else lines


def _first_sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s{1,2}(?=[A-Z-])", paragraph)[0]


def _bold(text: str) -> str:
    return f"\\fB{_escape(text)}\\fR"


def _italic(text: str) -> str:
    return f"\\fI{_escape(text)}\\fR"


def _escape(text: str) -> str:
    """Plain text for man(7): a hyphen is a hyphen, and no line begins with a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    text = "".join(one if ord(one) < 128 else f"\\[u{ord(one):04X}]" for one in text)
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
