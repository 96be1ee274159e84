"""The command line: argv -> settings -> a command -> exit code.

Knows: every room, because this is where they are put together.  Nothing imports it.
Commands are loaded when asked for, so `explain` does not pay for a web server.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script; leaves through SystemExit."""
    import sys

    from resolver.cli.loading import loading
    from resolver.cli.process import handle_signals, outlive_readers

    try:
        handle_signals()
        outlive_readers()
        with loading():
            from resolver.cli.app import app

        try:
            app(prog_name="exchange-resolver")
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        # A standard output that takes no more, such as a full disk.
        sys.stdout = None
        print(f"exchange-resolver: {error}", file=sys.stderr)
        sys.exit(2)
