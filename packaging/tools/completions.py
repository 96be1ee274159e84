"""Writes the completion scripts for bash, zsh and fish.

    python packaging/tools/completions.py FOLDER

Knows: Typer's scripts, the names under which shells look for them.  Does not know: any command: a script asks
the program itself.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer.completion

PROGRAM = "exchange-resolver"
VARIABLE = "_EXCHANGE_RESOLVER_COMPLETE"

NAMES = {"bash": PROGRAM, "zsh": f"_{PROGRAM}", "fish": f"{PROGRAM}.fish"}
"""Shell -> the name of its file; a shell finds it by that alone."""

ZSH_REGISTERS = "compdef _exchange_resolver_completion exchange-resolver"
ZSH_AUTOLOADED = f"""if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _exchange_resolver_completion "$@"
else
  {ZSH_REGISTERS}
fi"""
"""zsh loads the file when it first completes the command, and wants that completion of it, too."""


def scripts() -> dict[str, str]:
    """Shell -> its script."""
    write = typer.completion.get_completion_script  # type: ignore[attr-defined]  # Typer has no public word.
    made: dict[str, str] = {
        shell: write(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell) for shell in NAMES
    }
    assert ZSH_REGISTERS in made["zsh"]
    made["zsh"] = made["zsh"].replace(ZSH_REGISTERS, ZSH_AUTOLOADED)
    return made


def main(folder: Path) -> None:
    """Write them into `folder`, each under its shell's name: FOLDER/bash/exchange-resolver."""
    for shell, script in scripts().items():
        path = folder / shell / NAMES[shell]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script.rstrip("\n") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
