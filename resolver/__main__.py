"""`python -m resolver`, which is also the console script: compiled modules where there are any that fit."""

from __future__ import annotations

from resolver import compiled


def main() -> None:
    """Entry point of the program; leaves through SystemExit."""
    compiled.use()
    from resolver import cli

    cli.main()


if __name__ == "__main__":
    main()
