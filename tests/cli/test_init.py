"""`init`: a first configuration, commented, checked, and never over another."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.cli import init, init_profiles
from resolver.cli.check import check_files
from resolver.cli.init import make_configuration
from resolver.cli.init_profiles import ENCRYPTED_SERVERS, PLAIN_SERVERS, PROFILES, Answers
from resolver.config.settings import Settings, load_settings
from tests.support.faked_machine import FakedMachine


@pytest.fixture
def faked(tmp_path: Path) -> FakedMachine:
    return FakedMachine(tmp_path / "machine")


def made(
    folder: Path,
    faked: FakedMachine,
    profile: str | None = "home",
    *,
    force: bool = False,
    ask: init.Ask | None = None,
) -> int:
    return make_configuration(
        profile, folder, force=force, yes=ask is None, offline=True, root=faked.folder, ask=ask
    )


def settings_in(folder: Path) -> Settings:
    settings, problems = load_settings(folder / "resolver.yaml")
    assert settings is not None, problems
    return settings


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_passes_the_strictest_check(tmp_path: Path, faked: FakedMachine, profile: str) -> None:
    folder = tmp_path / "new"
    assert made(folder, faked, profile) == 0
    assert check_files(folder / "resolver.yaml", None, strict=True, as_json=False) == 0


@pytest.mark.parametrize("profile", PROFILES)
def test_the_files_say_what_was_chosen(tmp_path: Path, faked: FakedMachine, profile: str) -> None:
    made(tmp_path, faked, profile)
    text = (tmp_path / "resolver.yaml").read_text()
    head = " ".join(line.removeprefix("# ") for line in text.split("listen:")[0].split("\n"))
    assert PROFILES[profile].title in head
    assert all(meaning in head for meaning in PROFILES[profile].meaning)
    assert text.count(" # ") > 50


def test_nothing_is_written_over_unless_it_is_forced(
    tmp_path: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "blocklist.yaml").write_text("mine")
    assert made(tmp_path, faked) == 2
    assert (tmp_path / "blocklist.yaml").read_text() == "mine" and not (tmp_path / "resolver.yaml").exists()
    assert "--force" in capsys.readouterr().err
    assert made(tmp_path, faked, force=True) == 0
    assert (tmp_path / "blocklist.yaml").read_text() != "mine"


def test_a_port_that_is_taken_is_told_with_the_remedy(
    tmp_path: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    faked.listen("udp", "127.0.0.53", 53, inode=1)
    faked.process(9, "systemd-resolve", inodes=(1,))
    assert made(tmp_path, faked) == 1
    out = capsys.readouterr().out
    assert "systemd-resolve (process 9)" in out and "DNSStubListener=no" in out


def test_the_network_is_pointed_at_this_machines_address(
    tmp_path: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    faked.write("/proc/net/fib_trie", "Local:\n     |-- 192.0.2.2\n        /32 host LOCAL\n")
    made(tmp_path, faked)
    out = capsys.readouterr().out
    assert "192.0.2.2 as the only DNS server" in out and "dhcp-option=option:dns-server,192.0.2.2" in out


@pytest.mark.parametrize(
    ("listen", "told", "not_told"),
    [
        ("0.0.0.0:53", "point the network at 192.0.2.2;", "devices ask port 53"),
        ("192.0.2.53:53", "point the network at 192.0.2.53;", "192.0.2.2"),
        ("192.0.2.53:5353", "devices ask port 53; listen.dns has 5353", "192.0.2.2"),
        ("127.0.0.1:53 [::1]:53", "only this machine can ask", "point the network"),
        ("127.0.0.1:5335", "listen.dns has 5335", "point the network"),
    ],
)
def test_the_network_is_pointed_at_what_the_server_listens_on(
    tmp_path: Path,
    faked: FakedMachine,
    capsys: pytest.CaptureFixture[str],
    listen: str,
    told: str,
    not_told: str,
) -> None:
    faked.write("/proc/net/fib_trie", "Local:\n     |-- 192.0.2.2\n        /32 host LOCAL\n")
    given = iter([listen, "udp://192.0.2.1:53", "-"])
    assert made(tmp_path, faked, "office", ask=lambda question, default: next(given)) == 0
    out = capsys.readouterr().out
    assert told in out and not_told not in out


def test_answers_on_a_terminal_are_taken_and_wrong_ones_asked_again(
    tmp_path: Path, faked: FakedMachine
) -> None:
    given = iter(
        [
            "castle",
            "provider",
            "192.0.2.53",
            "192.0.2.53:53",
            "udp://192.0.2.1:53",
            "198.51.100.0/24",
            "noc@example.net",
        ]
    )
    assert made(tmp_path, faked, None, ask=lambda question, default: next(given)) == 0
    settings = settings_in(tmp_path)
    assert [str(one) for one in settings.listen.dns] == ["192.0.2.53:53"]
    assert [str(one) for one in settings.upstreams.servers] == ["udp://192.0.2.1:53"]
    assert [str(one) for one in settings.clients.allow] == ["198.51.100.0/24"]
    assert '  contact: "mailto:noc@example.net"' in (tmp_path / "blocklist.yaml").read_text()
    assert "clear text" in (tmp_path / "resolver.yaml").read_text().split("listen:")[0]


def test_answers_that_do_not_go_together_are_told(
    tmp_path: Path, faked: FakedMachine, capsys: pytest.CaptureFixture[str]
) -> None:
    given = iter(["0.0.0.0:53", "udp://127.0.0.1:53", "-"])
    assert made(tmp_path, faked, "office", ask=lambda question, default: next(given)) == 1
    assert "resolver.yaml" in (told := capsys.readouterr().err) and "is this server itself" in told


def test_somebody_who_goes_away_gets_no_files(tmp_path: Path, faked: FakedMachine) -> None:
    def gone(question: str, default: str) -> str:
        raise EOFError

    assert made(tmp_path / "new", faked, None, ask=gone) == 2
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("answering", "chosen", "is_told"),
    [
        ({*ENCRYPTED_SERVERS, *PLAIN_SERVERS}, ENCRYPTED_SERVERS, False),
        ({ENCRYPTED_SERVERS[1]}, ENCRYPTED_SERVERS, False),
        (set(PLAIN_SERVERS), PLAIN_SERVERS, True),
        (set(), ENCRYPTED_SERVERS, False),
    ],
)
def test_clear_text_is_taken_only_where_nothing_else_gets_through_and_is_told(
    answering: set[str], chosen: tuple[str, ...], is_told: bool
) -> None:
    answers, remark = init._reachable(Answers(PROFILES["home"]), answering)
    assert tuple(answers.upstreams) == chosen and bool(remark) is is_told


def test_what_somebody_chose_is_never_changed() -> None:
    chosen = ["tls://192.0.2.1:853"]
    answers = Answers(PROFILES["home"], upstreams=chosen)
    assert init._reachable(answers, set(PLAIN_SERVERS)) == (answers, "")


def test_state_of_the_systems_own_folder_is_where_the_package_has_it(
    tmp_path: Path, faked: FakedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(init_profiles, "SYSTEM_DIRECTORY", tmp_path / "etc")
    (tmp_path / "etc").mkdir()
    (tmp_path / "link").symlink_to("etc")
    for folder, state in (
        ("etc", Path("/var/lib/exchange-resolver")),
        ("link", Path("/var/lib/exchange-resolver")),
        ("else/../etc", Path("/var/lib/exchange-resolver")),
        ("elsewhere", tmp_path / "elsewhere" / "state"),
    ):
        made(tmp_path / folder, faked, force=True)
        assert settings_in(tmp_path / folder).state_dir == state


def test_files_hold_no_secret_and_belong_to_who_made_them(tmp_path: Path, faked: FakedMachine) -> None:
    made(tmp_path / "new", faked)
    assert {path.stat().st_mode & 0o022 for path in (tmp_path / "new").iterdir()} == {0}
