"""What abuse costs: memory, and the wait of everybody else, before, during and after each attack.

Knows: our own server, its ports and processes; the attacks by name.  Does not know: how an attack is made.
Each attack meets a fresh server with one thread.  A first round lets tables, pools and buffers grow to their
standing size; the rounds after it must be flat.  A client on an address of its own asks for names that are in
the cache, for fresh ones, and over TCP: a failure is to lose over a tenth of them meanwhile, or anything
afterwards.

The server has a core of its own where there are two; attackers, upstream and load generator share another.
Figures are noisy all the same: an attacker, in Python, is often slower than the server, and whatever else
this machine does shows.  Memory is what the server's processes hold resident.
"""

from __future__ import annotations

import json
import math
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode

from benchmarks.abuse_attacks import TYPE_A, Attack, fresh_names, query
from benchmarks.abuse_catalogue import ATTACKS, ENCRYPTED
from benchmarks.measure import LOAD_CORE, SERVER_CORE, Waits, compile_c, measure_waits, pinned
from tests.loopback.encrypted import EncryptedServer
from tests.loopback.process import Program, free_port, process_tree

ROOT = Path(__file__).parent.parent
HOT = 200
"""Names that the cache has."""
RATE = 1_000
"""Queries a second for them."""
RETURN_SHARE_MAX = 0.10
"""Memory afterwards may be this much over what it was before."""
STANDING_MB_MAX = 48.0
"""The first round may add so much for good: cache and memo at their limits here, pools and buffers."""
PEAK_MB_MAX = 128.0
"""Memory may rise so much while an attack lasts: whatever is queued for clients has a maximum in octets."""
LOST_SHARE_MAX = 0.10
LOST_MIN = 3
"""Others may lose so much while an attack lasts; less than so many may be the machine's doing."""
P99_RATIO_MAX = 1.5
P99_SLACK_US = 250.0
"""What one more program on the load generator's core may add to any wait."""
WAITS_JUDGED_S = 2.0
"""In shorter rounds a p99 is one or two waits."""
CACHE_MB = 16
TCP_IDLE_S = 2.0
"""Shorter than usual, so that what an attack left is over sooner."""
SETTLE_S_MAX = 20.0
"""Longer than any time limit of a connection."""
LOOK_S = 0.05
PATIENCE_S = 3.0
"""Of who asks a fresh name or over TCP; a question may take the upstream's time limit, 2 s."""
FRESH_EVERY_S = 0.05
TCP_EVERY_S = 0.1
AFTERWARDS = 10
"""Questions that must be answered afterwards, of each kind."""
DEFECTS = ('resolver_dropped_total{reason="defect"}', "resolver_native_panics_total")

BLOCKLIST = """\
version: 1
exchanges:
  blocked: {name: Blocked, domains: [blocked.example]}
"""


@dataclass(frozen=True)
class Lengths:
    """How long one run takes."""

    rounds: int = 3
    attack_s: float = 5.0
    probe_s: float = 3.0


QUICK = Lengths(rounds=1, attack_s=2.5, probe_s=1.0)


def resident_mb(pid: int) -> float:
    """Megabytes (2**20) that the process and its children hold resident."""
    kilobytes = 0
    for member in process_tree(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue  # It ended meanwhile.
        kilobytes += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return kilobytes / 1024


@dataclass
class Asked:
    """What somebody else asked meanwhile."""

    count: int = 0
    lost: int = 0

    def share(self) -> float:
        """Part that was lost, 0 to 1."""
        return self.lost / max(1, self.count)


@dataclass(frozen=True)
class Round:
    """One round of an attack."""

    peak_mb: float
    after_mb: float
    returned_s: float
    """From the end of the attack until memory was near what it was before; infinite: it was not."""
    during: Waits
    fresh: Asked
    over_tcp: Asked
    seen: dict[str, int] = field(default_factory=dict)
    """What the attacker reports."""


@dataclass(frozen=True)
class Reading:
    """All of one attack against one engine."""

    engine: str
    attack: str
    rest_mb: float
    before_mb: float
    before: Waits
    rounds: list[Round]
    after: Waits
    failures: list[str]


class Bystander:
    """Asks fresh names over UDP and a known one over TCP, beside an attack."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self.fresh, self.over_tcp = Asked(), Asked()
        self._threads = [
            threading.Thread(target=self._ask_fresh),
            threading.Thread(target=self._ask_over_tcp),
        ]

    def _ask_fresh(self) -> None:
        """At a steady rate, however long answers take."""
        names = fresh_names("example.com")
        open_until: dict[int, float] = {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", self._port))
            client.setblocking(False)
            while not self._is_over.is_set() or open_until:
                now = time.monotonic()
                if not self._is_over.is_set():
                    number = self.fresh.count
                    self.fresh.count += 1
                    open_until[number] = now + PATIENCE_S
                    with suppress(OSError):
                        client.send(query(next(names), TYPE_A, number))
                next_at = now + FRESH_EVERY_S
                while (rest_s := next_at - time.monotonic()) > 0:
                    if select.select([client], [], [], rest_s)[0]:
                        with suppress(OSError):
                            reply = client.recv(4096)
                            if len(reply) > 12 and reply[3] & 15 == 0 and reply[7]:
                                open_until.pop(int.from_bytes(reply[:2]), None)
                for number in [number for number, until in open_until.items() if until <= time.monotonic()]:
                    del open_until[number]
                    self.fresh.lost += 1

    def _ask_over_tcp(self) -> None:
        while not self._is_over.wait(TCP_EVERY_S):
            self.over_tcp.count += 1
            self.over_tcp.lost += not is_answered(self._port, "hot1.example.org", over_tcp=True)

    def __enter__(self) -> Bystander:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def is_answered(port: int, name: str, *, over_tcp: bool = False) -> bool:
    """Whether an address comes in time."""
    ask = dns.query.tcp if over_tcp else dns.query.udp
    try:
        reply = ask(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=PATIENCE_S)
    except (OSError, EOFError, dns.exception.DNSException):
        return False
    return reply.rcode() == dns.rcode.NOERROR and bool(reply.answer)


class Rig:
    """One server, its upstream, and who watches both."""

    def __init__(self, directory: Path, engine: str, lengths: Lengths, load_program: Path) -> None:
        self._directory = directory
        self._lengths = lengths
        self._load_program = load_program
        directory.mkdir(parents=True, exist_ok=True)
        self._hot = directory / "hot.txt"
        self._hot.write_text("".join(f"hot{number}.example.org A\n" for number in range(HOT)))
        ports = [free_port() for _ in range(3)]
        upstream, mute, dead = ports
        self._upstream = Program(
            [*pinned(LOAD_CORE), sys.executable, "-m", "benchmarks.abuse_upstream", *map(str, ports)],
            directory,
            name="upstream",
        )
        self.server = EncryptedServer(
            directory / "server",
            upstream_ports=(upstream,),
            blocklist=BLOCKLIST,
            prefix=pinned(SERVER_CORE),
            changes={
                "engine": engine,
                **({"threads": 1} if engine == "native" else {}),
                "clients": {"allow": ["127.0.0.0/9"]},
                "cache": {"size_mb": CACHE_MB},
                "limits": {"tcp_idle_s": TCP_IDLE_S},
                "log": {"level": "warning"},
                "upstreams": {
                    "forward": {
                        "mute.example.org": [f"udp://127.0.0.1:{mute}"],
                        "dead.example.org": [f"udp://127.0.0.1:{dead}"],
                    }
                },
            },
        )

    def __enter__(self) -> Rig:
        self._upstream.start(cwd=ROOT)
        self.server.__enter__()
        # The first question may come before the upstream is up.
        self.server.wait_for(lambda: is_answered(self.server.port, "hot0.example.org"), "an answer")
        self._probe(1.0)
        # What compiles and records at a start is no part of what serves.
        self.server.wait_for(lambda: len(process_tree(self.server.pid)) == 1, "its children have ended")
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self._upstream.stop()

    def memory_mb(self) -> float:
        """Of the server, now."""
        return resident_mb(self.server.pid)

    def _probe(self, seconds: float) -> Waits:
        return measure_waits(self._load_program, self.server.pid, self.server.port, self._hot, seconds, RATE)

    def run(self, name: str, attack: Attack, engine: str) -> Reading:
        """All rounds of one attack."""
        rest_mb, counted_before = self.memory_mb(), self._counted(attack)
        self._round(name, rest_mb + STANDING_MB_MAX)
        before_mb, before = self.memory_mb(), self._probe(self._lengths.probe_s)
        rounds = [self._round(name, before_mb) for _ in range(self._lengths.rounds)]
        if any(losses_of_others(rounds)):
            # A machine that stood still for a moment loses answers, too; it seldom does so in each round.
            more = [self._round(name, before_mb) for _ in rounds]
            rounds = [min(pair, key=lost_share) for pair in zip(rounds, more, strict=True)]
        after = self._probe(self._lengths.probe_s)
        if after.lost:
            after = self._probe(self._lengths.probe_s)
        failures = list(failures_of(rest_mb, before_mb, rounds, after))
        failures += losses_of_others(rounds)
        failures += excesses(attack, rounds)
        if name in ENCRYPTED and self._lengths.attack_s >= WAITS_JUDGED_S:
            failures += slower_hits(before, rounds, after)
        if attack.counted and self._counted(attack) <= counted_before:
            failures.append(f"none of {', '.join(attack.counted)} has counted it")
        failures += self._failures_afterwards(attack)
        return Reading(engine, name, rest_mb, before_mb, before, rounds, after, failures)

    def _counted(self, attack: Attack) -> float:
        """What the metrics that should count this attack say together."""
        return sum(self.server.metric(name) for name in attack.counted)

    def _round(self, name: str, base_mb: float) -> Round:
        """Attack, watch, and wait until what it left is over."""
        lengths, server = self._lengths, self.server
        command = [*pinned(LOAD_CORE), sys.executable, "-m", "benchmarks.abuse_catalogue", name]
        ports = (server.port, server.http_port, server.ports["tls"], server.ports["https"])
        command += [*map(str, ports), str(lengths.attack_s)]
        peaks = [self.memory_mb()]
        attacker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            with Bystander(server.port) as others, watching(self.memory_mb, peaks):
                during = self._probe(lengths.attack_s)
                output, _ = attacker.communicate(timeout=SETTLE_S_MAX)
        finally:
            if attacker.poll() is None:
                attacker.kill()
                attacker.wait()
        ended = time.monotonic()
        near_mb = base_mb * (1 + RETURN_SHARE_MAX)
        while (after_mb := self.memory_mb()) > near_mb and time.monotonic() - ended < SETTLE_S_MAX:
            time.sleep(LOOK_S)
        returned_s = time.monotonic() - ended if after_mb <= near_mb else math.inf
        seen = json.loads(output) if attacker.returncode == 0 else {"failed": 1}
        return Round(max(peaks), after_mb, returned_s, during, others.fresh, others.over_tcp, seen)

    def _failures_afterwards(self, attack: Attack) -> Iterator[str]:
        """What an attack has left behind for others."""
        if not self.server.is_running():
            yield "the server ended"
            return
        for under, over_tcp in (
            ("example.com", False),
            ("example.com", True),
            (attack.asks_afterwards, False),
        ):
            if not under:
                continue
            names = fresh_names(under)
            lost = sum(
                not is_answered(self.server.port, next(names), over_tcp=over_tcp) for _ in range(AFTERWARDS)
            )
            if lost:
                how = "over TCP" if over_tcp else "over UDP"
                yield f"{lost} of {AFTERWARDS} fresh names under {under} get no answer {how} afterwards"
        if "Traceback" in (said := self.server.stderr()):
            yield f"the log has a traceback: {said.strip().splitlines()[-1]}"
        metrics = self.server.metrics()
        yield from (f"{name} is {metrics[name]:.0f}" for name in DEFECTS if metrics.get(name))


@contextmanager
def watching(look: Callable[[], float], seen: list[float]) -> Iterator[None]:
    """Look again and again, in a thread."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_S):
            seen.append(look())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def failures_of(rest_mb: float, before_mb: float, rounds: Sequence[Round], after: Waits) -> Iterator[str]:
    """What must not be: memory that rises far or stays, an attacker that failed, answers lost afterwards."""
    if before_mb - rest_mb > STANDING_MB_MAX:
        yield (f"the first round left {before_mb - rest_mb:.0f} MB behind; allowed: {STANDING_MB_MAX:.0f} MB")
    for number, one in enumerate(rounds, 1):
        if one.after_mb > before_mb * (1 + RETURN_SHARE_MAX):
            percent = (one.after_mb / before_mb - 1) * 100
            yield f"after round {number} memory is {percent:.0f} % over what it was before"
            break
    peak_mb = max(one.peak_mb for one in rounds)
    if peak_mb - before_mb > PEAK_MB_MAX:
        yield f"memory rose by {peak_mb - before_mb:.0f} MB meanwhile; allowed: {PEAK_MB_MAX:.0f} MB"
    if any("failed" in one.seen for one in rounds):
        yield "the attacker itself failed"
    if after.lost:
        yield f"{after.lost} of {after.sent} answers lost afterwards"


def lost_share(one: Round) -> float:
    """The largest share that others lost of anything."""
    return max(one.during.lost / max(1, one.during.sent), one.fresh.share(), one.over_tcp.share())


def losses_of_others(rounds: Sequence[Round]) -> Iterator[str]:
    """Whom an attack takes too much from while it lasts."""
    for what, asked in (
        ("hits", [Asked(one.during.sent, one.during.lost) for one in rounds]),
        ("fresh names", [one.fresh for one in rounds]),
        ("questions over TCP", [one.over_tcp for one in rounds]),
    ):
        worst = max(asked, key=Asked.share)
        if worst.lost >= LOST_MIN and worst.share() > LOST_SHARE_MAX:
            yield f"others lose {worst.lost} of {worst.count} {what} meanwhile"


def slower_hits(before: Waits, rounds: Sequence[Round], after: Waits) -> Iterator[str]:
    """An attack on streams that moves the p99 of hits over UDP by more than half, in its mildest round.

    Alone they wait so short that a change of threads on the shared core would be half as long again.
    """
    alone_us = max(before.p99_us, after.p99_us)
    beside_us = min(one.during.p99_us for one in rounds)
    if beside_us > max(alone_us * P99_RATIO_MAX, alone_us + P99_SLACK_US):
        yield f"p99 of hits is {beside_us / 1e3:.2f} ms meanwhile, {alone_us / 1e3:.2f} ms alone"


def excesses(attack: Attack, rounds: Sequence[Round]) -> Iterator[str]:
    """What the attacker saw more of than it may."""
    for word, most in attack.most.items():
        seen = max(one.seen.get(word, 0) for one in rounds)
        if seen > most:
            yield f"{word}: {seen:,}; allowed: {most:,}"


def measure_abuse(
    directory: Path, engines: Sequence[str], attacks: Sequence[str], lengths: Lengths
) -> list[Reading]:
    """Every attack against every engine, each printed as it is read."""
    program = compile_c("udp_load.c", directory)
    readings = []
    print(HEAD, flush=True)
    for engine in engines:
        for name in attacks:
            with Rig(directory / engine / name, engine, lengths, program) as rig:
                reading = rig.run(name, ATTACKS[name], engine)
            readings.append(reading)
            print(line_of(reading), flush=True)
    return readings


HEAD = (
    f"{'':23} | memory, MB                | back | p99 of hits, ms       | lost, %: hits| fresh TCP\n"
    f"{'engine attack':23} | rest before   peak  after |    s | before during   after | during after | during"
)


def line_of(reading: Reading) -> str:
    """One reading, for who watches; of several rounds the worst."""
    rounds = reading.rounds

    def worst(figure: Callable[[Round], float]) -> float:
        return max(map(figure, rounds))

    def ms(us: float) -> str:
        return f"{us / 1e3:7.2f}" if math.isfinite(us) else "  >1000"

    def percent(share: float) -> str:
        return f"{share * 100:5.1f}"

    seen = ", ".join(f"{word} {count:,}" for word, count in rounds[-1].seen.items())
    verdict = "; ".join(reading.failures) or "ok"
    return (
        f"{reading.engine:6} {reading.attack:16} | {reading.rest_mb:4.0f} {reading.before_mb:6.1f} "
        f"{worst(lambda one: one.peak_mb):6.1f} {worst(lambda one: one.after_mb):6.1f} | "
        f"{worst(lambda one: one.returned_s):4.1f} | {ms(reading.before.p99_us)}"
        f"{ms(worst(lambda one: one.during.p99_us))} {ms(reading.after.p99_us)} | "
        f"{percent(worst(lambda one: one.during.lost / max(1, one.during.sent)))}  "
        f"{percent(reading.after.lost / max(1, reading.after.sent))} | "
        f"{percent(worst(lambda one: one.fresh.share()))} "
        f"{percent(worst(lambda one: one.over_tcp.share()))} | "
        f"{verdict} ({seen})"
    )


def as_documents(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    """For the file of raw readings."""
    return [asdict(reading) for reading in readings]
