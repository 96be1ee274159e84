"""Says on a terminal what takes so long.

Knows: spinners, patience.  Does not know: the work.  Pipes and log files never see any of it.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeElapsedColumn

PATIENCE_S = 1.0
"""What is done by then needs no words."""


def progress_bar(*columns: ProgressColumn) -> Progress:
    """A progress display on standard error, gone at the end; off where that is no terminal."""
    console = Console(stderr=True)
    is_shown = sys.stderr.isatty() and console.is_interactive
    return Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=not is_shown,
    )


@contextlib.contextmanager
def long_work(step: str) -> Iterator[Callable[[str], None]]:
    """Show `step`, and what is said later to what this yields, once `PATIENCE_S` is over."""
    progress = progress_bar(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    )
    if progress.disable:
        yield lambda _: None
        return
    task = progress.add_task(step)
    timer = threading.Timer(PATIENCE_S, progress.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda step: progress.update(task, description=step)
    finally:
        timer.cancel()
        timer.join()
        progress.stop()
