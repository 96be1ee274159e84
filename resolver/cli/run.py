"""`run`: serve until told to stop.

Knows: signals, exit codes, the ready line.  Does not know: how the server is put together.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import uvloop

from resolver.children import Share, niceness
from resolver.cli.certificates import certificate_problems
from resolver.cli.files import (
    EXIT_BAD_INPUT,
    EXIT_FINE,
    EXIT_MAY_PASS,
    EXIT_SERVES_ALREADY,
    BadInput,
    print_problems,
    read_settings,
    settings_path,
)
from resolver.cli.paths import path_problems
from resolver.cli.starter import Starter
from resolver.clock import LoopClock
from resolver.config.settings import Settings
from resolver.identity import become_owner_of
from resolver.listeners.inheritance import adopted
from resolver.machine.outliving import who_ends_with
from resolver.observe.log import LogWriter, json_line, set_up_logging
from resolver.plane import THREADS
from resolver.scratch import remove_left
from resolver.server.changeover import Arrival
from resolver.server.engine import Choice, NoSuchEngine, choose_engine
from resolver.server.one_server import Presence, ServesAlready, be_the_one
from resolver.server.predecessor import TakeoverFailed, find_predecessor
from resolver.server.server import CannotStart, Server
from resolver.server.supervised import Supervised
from resolver.supervision import Supervisor, handed_descriptors

_log = logging.getLogger(__name__)

FULL_COLLECTION_NEVER = 1_000_000_000
"""Collections of the middle generation until one of all that lives: with thousands a day, none."""


def run_server(config: Path | None, *, take_over: bool = False) -> int:
    """Serve by the settings of `config`; the exit code.

    `take_over`: in the place of the server that runs with the same `state_dir`, if there is one.
    """
    try:
        settings, warnings = read_settings(config)
        choice = choose_engine(settings.engine)
    except BadInput as error:
        print_problems(error.problems)
        return EXIT_BAD_INPUT
    except NoSuchEngine as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    _say(settings, "warning", warnings)
    try:
        # Before the first thread: each has rights of its own.
        user = become_owner_of(settings.state_dir)
    except OSError as error:
        _say(settings, "error", [f"state_dir: {error.strerror}"])
        return EXIT_BAD_INPUT
    remove_left()
    writer = set_up_logging(settings.log.level, settings.log.format)
    presence: Presence | None = None
    try:
        presence, arrival = _arrive(settings, take_over=take_over)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if user is not None:
                _log.info("serving as the owner of state_dir, not as root", extra={"user": user})
            code = runner.run(_serve(settings, choice, writer, arrival))
    except TakeoverFailed as error:
        _say(settings, "error", [error])
        return EXIT_MAY_PASS
    except ServesAlready as error:
        _say(settings, "error", [error])
        return EXIT_SERVES_ALREADY
    finally:
        if presence is not None:
            presence.close()
        writer.close()
    if code == EXIT_BAD_INPUT:
        # What did not start may be the settings' doing, which name the path.
        path = settings_path(config)
        found = [*path_problems(path, settings).values(), *certificate_problems(path, settings)]
        _say(settings, "error", [problem for problem in found if problem.severity == "error"])
    return code


def _arrive(settings: Settings, *, take_over: bool) -> tuple[Presence, Arrival]:
    """What is there before us.  Raises TakeoverFailed, ServesAlready."""
    supervisor = Supervisor(os.environ)
    handed = adopted(handed_descriptors(os.environ))
    if handed:
        _log.info("sockets were handed over", extra={"sockets": len(handed)})
    presence, predecessor = be_the_one(
        settings.state_dir, lambda: find_predecessor(settings.state_dir) if take_over else None
    )
    if take_over and predecessor is None:
        _log.info("there is nobody to take over from: no server runs with this state_dir")
    ends_with = who_ends_with(os.getpid())
    return presence, Arrival(
        handed=handed, predecessor=predecessor, supervisor=supervisor, ends_with=ends_with
    )


async def _serve(settings: Settings, choice: Choice, writer: LogWriter, arrival: Arrival) -> int:
    _log.info("%s", choice)
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    # Before anything that takes time: a stop while loading is a stop, not a crash.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # What is asked of it before we serve waits until we do.
    starter = Starter(arrival.supervisor.for_successor, arrival.ends_with)
    loop.add_signal_handler(signal.SIGUSR2, starter.start_successor)
    try:
        server = Server(
            settings, engine=choice.engine, native=choice.module, log_writer=writer, arrival=arrival
        )
    except CannotStart as error:
        _say(settings, "error", error.reasons)
        return EXIT_BAD_INPUT
    supervised = Supervised(server, arrival.supervisor, LoopClock(loop))
    server.changeover.on_retired = stopping.set
    loop.add_signal_handler(signal.SIGHUP, supervised.reload)
    starting = loop.create_task(server.start())
    stopped = loop.create_task(stopping.wait())
    telling = loop.create_task(supervised.starting(starting))
    await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        await server.stop()
        return EXIT_FINE
    try:
        starting.result()
    except CannotStart as error:
        stopped.cancel()
        _say(settings, "error", error.reasons)
        return EXIT_MAY_PASS if error.may_pass else EXIT_BAD_INPUT
    _settle_down(server, starter)
    supervised.ready(server.describe())
    if settings.log.format == "json":
        _announce(json_line(time.time(), "info", "ready", server.description()))
    else:
        _announce(server.describe())
    await stopped
    _log.info("stopping")
    supervised.stop(is_told=not server.changeover.is_retired)
    await server.stop()
    _log.info("stopped")
    return EXIT_FINE


def _settle_down(server: Server, starter: Starter) -> None:
    """The start is over: from now on answers come first."""
    # What lives now lives until the end: the garbage collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    # A full collection walks the whole cache: 60 ms for 64 MB, with every client waiting.  What lives
    # long here (cache entries, policies) is in no cycle; the young collections go on.
    gc.set_threshold(*gc.get_threshold()[:2], FULL_COLLECTION_NEVER)
    starter.start()
    # Where Python asks the upstreams, its threads answer, too.
    if server.answers_natively and server.asks_natively:
        let_the_plane_go_first(but=starter.thread_id)


def let_the_plane_go_first(tasks: Path = Path("/proc/self/task"), *, but: int = 0) -> None:
    """Set all other threads of this process back: what they do, and start, can wait for an answer.

    `but`: the kernel's number of one that is left alone.

    Threads and children that are yet to come inherit it.
    """
    # A thread may have ended; /proc may be hidden, or the call forbidden: then all are equals.
    with contextlib.suppress(OSError):
        for task in tasks.iterdir():
            with contextlib.suppress(OSError):
                if int(task.name) != but and not (task / "comm").read_text().startswith(THREADS):
                    os.setpriority(os.PRIO_PROCESS, int(task.name), niceness(Share.NICE))


def _say(settings: Settings, level: str, texts: Iterable[object]) -> None:
    """A line each on standard error, beside the log and in its format."""
    for text in texts:
        is_json = settings.log.format == "json"
        print(json_line(time.time(), level, str(text), {}) if is_json else text, file=sys.stderr)


def _announce(line: str) -> None:
    """The one line on standard output.  A reader that is gone is no reason to stop serving."""
    try:
        print(line, flush=True)
    except OSError:
        # Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
