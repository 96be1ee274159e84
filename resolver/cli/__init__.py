"""The command line: argv -> settings -> a command -> exit code.

Knows: every room, because this is where they are put together.  Nothing imports it.
Commands are loaded when asked for, so `explain` does not pay for a web server.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script; leaves through SystemExit."""
    from resolver.cli.app import app

    app()
