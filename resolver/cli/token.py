"""`token`: makes a token of the API, and the line that belongs into the file of tokens.

Knows: the settings, files, words.  Does not know: what a token may do.
"""

from __future__ import annotations

import sys
from pathlib import Path

from resolver.api.token_file import read_file
from resolver.api.tokens import TOKENS_MAX, line_of, name_from, new_token, role_from
from resolver.cli.files import EXIT_FINE, BadInput, bad_input, read_settings, settings_path
from resolver.durable import replace_file
from resolver.portions import open_regular, read_up_to
from resolver.problems import Problem, has_errors, printable

FILE_OCTETS_MAX = 1 << 20


def make_token(name: str, role: str, config: Path | None, *, writes: bool) -> int:
    """Print a new token alone on standard output, and what to do with it on standard error; the exit code."""
    try:
        token = new_token()
        try:
            line = line_of(name_from(name), role_from(role), token)
        except ValueError as error:
            raise BadInput([Problem("token", 0, str(error))]) from None
        if writes:
            path = _write(name, line, config)
            said = f"written to {path}; a running server takes it within a second"
        else:
            said = f"put this line into the file that http.tokens_file names:\n{line}"
    except BadInput as error:
        return bad_input(error.problems)
    print(token)
    print(printable(said) if writes else said, file=sys.stderr)
    print("The token is shown once, and kept nowhere: give it to whom it is for.", file=sys.stderr)
    return EXIT_FINE


def _write(name: str, line: str, config: Path | None) -> Path:
    """Add the line to the file of the settings.  Raises BadInput."""
    source = settings_path(config)
    settings, _ = read_settings(source)
    path = settings.http.tokens_file
    if path is None:
        message = (
            f"{source} names no file: write `tokens_file: tokens` under `http:` there and restart the "
            "server, or put the line into the environment"
        )
        raise BadInput([Problem("--write", 0, message)])
    before = b""
    if path.exists():
        tokens, problems = read_file(path)
        if has_errors(problems):
            raise BadInput(problems)
        if any(token.caller.name == name for token in tokens):
            message = f"has a token for {name} already; take its line out first"
            raise BadInput([Problem(str(path), 0, message)])
        if len(tokens) >= TOKENS_MAX:
            raise BadInput([Problem(str(path), 0, f"has {TOKENS_MAX} tokens already")])
    try:
        if path.exists():
            with open_regular(path) as file:
                before = read_up_to(file, FILE_OCTETS_MAX)
        if before and not before.endswith(b"\n"):
            before += b"\n"
        replace_file(path, before + line.encode() + b"\n", mode=0o640)
    except OSError as error:
        raise BadInput([Problem(str(path), 0, f"cannot be written: {error.strerror or error}")]) from None
    return path
