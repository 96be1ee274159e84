"""`init`: a first configuration, and what stands in its way on this machine.

Knows: questions, the order of the steps, exit codes.  Does not know: the values (`init_profiles`), how a
port is found taken (`machine`), how upstreams are asked.
Nothing on the machine is changed but the files that are written; what has to be, is said as commands.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeVar

from resolver.cli.called_as import called_as
from resolver.cli.files import EXIT_FINDINGS, EXIT_FINE, BadInput, bad_input, print_problems
from resolver.cli.init_advice import advice, only_here, other_ports, reached_at
from resolver.cli.init_profiles import (
    BLOCKLIST_FILE,
    ENCRYPTED_SERVERS,
    EVERYWHERE,
    PLAIN_SERVERS,
    PROFILES,
    SETTINGS_FILE,
    Answers,
    files_for,
)
from resolver.cli.new_files import refuse_taken, write_files
from resolver.cli.upstreams import remark_on
from resolver.config.settings import Settings, load_settings
from resolver.config.settingvalues import endpoint_from, network_from
from resolver.config.upstream_settings import UpstreamSection
from resolver.config.upstream_values import upstream_from
from resolver.machine.files import Machine
from resolver.machine.network import gateway, own_addresses
from resolver.machine.port_conflicts import conflicts
from resolver.orders.platforms import SHIPPED
from resolver.problems import Problem, printable
from resolver.server.upstream_trial import Tried, try_upstreams

ASKED_MAX: Final = 5
"""How often one question is asked again."""

NONE: Final = "-"
"""The answer of somebody who gives none."""

T = TypeVar("T")

Ask = Callable[[str, str], str]
"""Question and default -> the answer."""


def make_configuration(
    profile: str | None,
    directory: Path,
    *,
    force: bool,
    yes: bool,
    offline: bool,
    root: Path = Path("/"),
    ask: Ask | None = None,
) -> int:
    """Ask, write, and say what is to be done; the exit code."""
    machine = Machine(root)
    if ask is None and not yes and sys.stdin.isatty() and sys.stdout.isatty():
        ask = _prompt
    try:
        refuse_taken(directory, (SETTINGS_FILE, BLOCKLIST_FILE), force=force)
        answers = _answers(profile, ask)
        tried = [] if offline else _tried(answers.upstreams)
        fine = {one.upstream.name for one in tried if one.is_fine}
        answers, remark = _reachable(answers, fine)
        catalogue = SHIPPED.read_text(encoding="utf-8")
        paths = write_files(directory, files_for(answers, directory, catalogue), force=force)
    except BadInput as error:
        return bad_input(error.problems)
    except OSError as error:
        return bad_input([Problem(str(error.filename or directory), 0, f"{error.strerror}")])
    for path in paths:
        print(f"written: {path}")
    _, problems = load_settings(paths[0])
    print_problems(problems)
    code = EXIT_FINDINGS if problems else EXIT_FINE
    code = max(code, _say_upstreams(tried, remark))
    code = max(code, _say_conflicts(machine, answers.listen))
    print()
    for line in _advice(machine, answers):
        print(line)
    print(f"\nnext: {called_as()} doctor --config {paths[0]}")
    print(f"then: {called_as()} run --config {paths[0]}")
    return code


def _advice(machine: Machine, answers: Answers) -> list[str]:
    endpoints = [endpoint_from(text) for text in answers.listen]
    listen = [(ip_address(endpoint.address), endpoint.port) for endpoint in endpoints]
    ports = other_ports(listen)
    if here := only_here(listen):
        return [*here, *ports]
    addresses = reached_at(listen, own_addresses(machine))
    return [*advice(answers.profile.name, addresses, gateway(machine)), *ports]


def _prompt(question: str, default: str) -> str:
    shown = f" [{default}]" if default != NONE else ""
    return input(f"{question}{shown}: ").strip() or default


def _answers(profile: str | None, ask: Ask | None) -> Answers:
    """What was chosen; without a terminal the profile alone decides.  Raises BadInput."""
    if ask is None:
        return Answers(PROFILES[profile or "home"])
    if profile is None:
        for one in PROFILES.values():
            print(f"  {one.name}: {one.title}")
        profile = _asked(ask, "For whom", "home", _profile_from)
    chosen = Answers(PROFILES[profile])
    listen = _asked(ask, "Where to listen (ADDRESS:PORT ...)", " ".join(EVERYWHERE), _each(endpoint_from))
    upstreams = _asked(ask, "Whom to ask (URLs)", " ".join(ENCRYPTED_SERVERS), _each(upstream_from))
    networks: Sequence[str] = ()
    if profile == "provider":
        networks = _asked(ask, "Your customers' networks (empty: private ones)", NONE, _networks_from)
    contact = _asked(
        ask, "Whom may a blocked person write to (mailto:..., empty: nobody)", NONE, _contact_from
    )
    return replace(chosen, listen=listen, upstreams=upstreams, networks=networks, contact=contact)


def _asked(ask: Ask, question: str, default: str, read: Callable[[str], T]) -> T:
    """Ask until the answer can be used.  Raises BadInput."""
    for _ in range(ASKED_MAX):
        try:
            return read(ask(question, default))
        except ValueError as error:
            print(f"  {error}")
        except EOFError:
            break
    raise BadInput([Problem(question, 0, "no answer that can be used; or use --yes, which asks nothing")])


def _profile_from(text: str) -> str:
    if text not in PROFILES:
        raise ValueError(f"write one of: {', '.join(PROFILES)}")
    return text


def _each(read: Callable[[object], object]) -> Callable[[str], list[str]]:
    """Words of a line, each as the settings take it."""

    def words(text: str) -> list[str]:
        found = [str(read(word.strip(","))) for word in text.split()]
        if not found:
            raise ValueError("write one at least")
        return found

    return words


def _networks_from(text: str) -> list[str]:
    return [] if text == NONE else [str(network_from(word.strip(","))) for word in text.split()]


def _contact_from(text: str) -> str:
    if text == NONE:
        return ""
    if len(text) > 100 or not text.isprintable():
        raise ValueError("write one line of 100 characters at most, e.g. mailto:noc@example.net")
    return text if ":" in text or "@" not in text else f"mailto:{text}"


def _tried(urls: Sequence[str]) -> list[Tried]:
    """Ask the servers as this server would, and those in clear text besides."""
    wanted = (
        list(dict.fromkeys([*urls, *PLAIN_SERVERS])) if list(urls) == list(ENCRYPTED_SERVERS) else list(urls)
    )
    section = UpstreamSection.model_construct(
        **{**dict(UpstreamSection()), "servers": tuple(upstream_from(url) for url in wanted)}
    )
    return asyncio.run(try_upstreams(Settings().model_copy(update={"upstreams": section})))


def _reachable(answers: Answers, fine: Collection[str]) -> tuple[Answers, str]:
    """Take those in clear text where a network lets nothing else through and nobody chose; with a remark.

    `fine`: the servers that answered.
    """
    is_chosen = list(answers.upstreams) != list(ENCRYPTED_SERVERS)
    if (
        is_chosen
        or any(url in fine for url in ENCRYPTED_SERVERS)
        or not any(url in fine for url in PLAIN_SERVERS)
    ):
        return answers, ""
    remark = (
        "encrypted servers do not answer here, so queries leave in clear text; a firewall may block port 853"
    )
    return replace(answers, upstreams=PLAIN_SERVERS), remark


def _say_upstreams(tried: Sequence[Tried], remark: str) -> int:
    code = EXIT_FINE
    for one in tried:
        said = remark_on(one, 0.0)
        time_s = one.warm_s or one.first_s
        shown = f"answers in {time_s * 1000:.0f} ms" if time_s is not None and not said else said
        print(f"upstream {one.upstream.name}: {shown}")
    if tried and not any(one.is_fine for one in tried):
        print(f"  no upstream answers: is there a way to the Internet?  {called_as()} upstreams test")
        code = EXIT_FINDINGS
    if remark:
        print(f"note: {remark}")
    return code


def _say_conflicts(machine: Machine, listen: Sequence[str]) -> int:
    endpoints = [endpoint_from(text) for text in listen]
    found = conflicts(machine, [(endpoint.address, endpoint.port) for endpoint in endpoints])
    for one in found:
        print(f"conflict: {printable(one.said)}")
        print(f"  mend it: {one.remedy}")
    if not found:
        print(f"listen.dns: nobody else has {' or '.join(listen)}")
    return EXIT_FINDINGS if found else EXIT_FINE
