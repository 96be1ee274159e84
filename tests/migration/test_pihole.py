"""Pi-hole of version 5 and 6 taken over, from its folder, its files and its exports."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import pytest

from resolver.migration.gathered import BadConfig
from tests.support.for_each import for_each
from tests.support.importing import FORWARD, Taken

TOML = """\
[dns]
  upstreams = ["192.0.2.1#5335", "192.0.2.2"]
  hosts = ["192.0.2.7 nas.example files.example"]
  cnameRecords = ["alias.example,nas.example,300"]
  revServers = ["true,192.0.2.0/24,192.0.2.254#53,lan.example"]
  port = 53
  dnssec = true
  blockTTL = 9
  interface = "eth0"
  [dns.blocking]
    active = true
    mode = "NULL"
  [dns.specialDomains]
    iCloudPrivateRelay = true
  [dns.rateLimit]
    count = 1000
    interval = 60
[dhcp]
  active = true
[misc]
  dnsmasq_lines = ["address=/wild.example/192.0.2.8"]
"""

DOMAINS = [
    # id, type, domain, enabled; types: 0 exact allow, 1 exact deny, 2 regex allow, 3 regex deny
    (1, 0, "good.example", 1),
    (2, 1, "bad.example", 1),
    (3, 1, "off.example", 0),
    (4, 3, r"(\.|^)regex\.example$", 1),
    (5, 3, r"^ad[0-9]+\.", 1),
    (6, 2, r"(\.|^)ok\.example$", 1),
    (7, 1, "deep.ok.example", 1),
    (8, 1, "kids.example", 1),
    (9, 3, r"(\.|^)query\.example$;querytype=A", 1),
]


def gravity(path: Path) -> bytes:
    """A database as version 6 has it, as far as it is read."""
    database = sqlite3.connect(path)
    database.executescript(
        """
        CREATE TABLE "group" (id INTEGER PRIMARY KEY, enabled BOOLEAN, name TEXT);
        CREATE TABLE domainlist (id INTEGER PRIMARY KEY, type INTEGER, domain TEXT, enabled BOOLEAN, comment TEXT);
        CREATE TABLE adlist (id INTEGER PRIMARY KEY, address TEXT, enabled BOOLEAN, comment TEXT, type INTEGER);
        CREATE TABLE domainlist_by_group (domainlist_id INTEGER, group_id INTEGER);
        CREATE TABLE adlist_by_group (adlist_id INTEGER, group_id INTEGER);
        CREATE TABLE client (id INTEGER PRIMARY KEY, ip TEXT);
        INSERT INTO "group" VALUES (0, 1, 'Default'), (1, 1, 'kids');
        INSERT INTO adlist VALUES (1, 'https://lists.example/hosts', 1, 'Main', 0);
        INSERT INTO adlist VALUES (2, 'https://lists.example/allow', 1, NULL, 1);
        INSERT INTO adlist VALUES (3, 'https://lists.example/off', 0, NULL, 0);
        INSERT INTO adlist_by_group VALUES (1, 0), (2, 0), (3, 0);
        INSERT INTO client VALUES (1, '192.0.2.99');
        """
    )
    database.executemany("INSERT INTO domainlist (id, type, domain, enabled) VALUES (?, ?, ?, ?)", DOMAINS)
    groups = [(row, 1 if domain == "kids.example" else 0) for row, _, domain, _ in DOMAINS]
    database.executemany("INSERT INTO domainlist_by_group VALUES (?, ?)", groups)
    database.commit()
    database.close()
    return path.read_bytes()


TABLE = [
    # What Pi-hole answers with its default mode, by its documentation: exact and regular expressions, and that
    # whatever is allowed is never blocked.
    ("good.example", FORWARD),
    ("bad.example", "0.0.0.0"),
    ("www.bad.example", FORWARD),
    ("off.example", FORWARD),
    ("regex.example", "0.0.0.0"),
    ("a.b.regex.example", "0.0.0.0"),
    ("notregex.example", FORWARD),
    ("ok.example", FORWARD),
    ("deep.ok.example", FORWARD),
    ("kids.example", FORWARD),
    ("query.example", FORWARD),
    ("nas.example", "192.0.2.7"),
    ("files.example", "192.0.2.7"),
    ("x.nas.example", FORWARD),
    ("wild.example", "192.0.2.8"),
    ("x.wild.example", "192.0.2.8"),
]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Taken:
    folder = tmp_path_factory.mktemp("pihole")
    source = folder / "pihole"
    source.mkdir()
    gravity(source / "gravity.db")
    (source / "pihole.toml").write_text(TOML)
    return Taken.of(folder, source, "auto")


@for_each(("name", "decision"), TABLE)
def test_a_name_is_decided_as_the_documentation_says(taken: Taken, name: str, decision: str) -> None:
    assert taken.decision(name) == decision


def test_settings_are_those_of_the_file(taken: Taken) -> None:
    settings = taken.settings
    assert [str(one) for one in settings.upstreams.servers] == ["udp://192.0.2.1:5335", "udp://192.0.2.2:53"]
    assert len(settings.upstreams.forward) == 2 and settings.special_names.browser_relay == "block"
    assert settings.clients.rate_limit_qps == 16 and taken.gathered.defaults["ttl_s"] == 9


def test_lists_keep_their_kind_and_whether_they_are_on(taken: Taken) -> None:
    lists = {one.name: one.keys for one in taken.gathered.lists}
    assert set(lists) == {"main", "lists-example-allow", "lists-example-off"}
    assert (
        lists["lists-example-allow"]["kind"] == "allow" and lists["lists-example-off"]["mode"] == "disabled"
    )
    assert {one["format"] for one in lists.values()} == {"adblock"}


@pytest.mark.parametrize(
    "word", ["ad[0-9]", "kids", "querytype", "client 192.0.2.99", "dnssec", "dhcp", "eth0"]
)
def test_what_has_no_counterpart_is_told(taken: Taken, word: str) -> None:
    assert taken.lost(word)


def test_a_key_is_told_with_its_line(taken: Taken) -> None:
    [loss] = [loss for loss in taken.gathered.losses if loss.key == "dns.dnssec"]
    assert TOML.split("\n")[loss.place.line - 1].strip() == "dnssec = true"


def test_what_teleporter_exports_says_the_same(tmp_path: Path, taken: Taken) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("etc/pihole/pihole.toml", f"{TOML}  etc_dnsmasq_d = true\n")
        archive.writestr("etc/pihole/gravity.db", gravity(tmp_path / "gravity.db"))
        archive.writestr("etc/dnsmasq.d/99-own.conf", "address=/own.example/\n")
        archive.writestr("../../etc/passwd", "no")
    exported = Taken(tmp_path, "auto", packed.getvalue(), "export.zip")
    assert exported.gathered.blocked.keys() > taken.gathered.blocked.keys()
    assert exported.decision("own.example") == "0.0.0.0"


def test_version_5_is_read_from_its_files(tmp_path: Path) -> None:
    source = tmp_path / "etc"
    source.mkdir()
    (source / "setupVars.conf").write_text(
        "PIHOLE_DNS_1=192.0.2.1\nPIHOLE_DNS_2=192.0.2.2#5335\nDNSSEC=true\nBLOCKING_ENABLED=true\n"
        "REV_SERVER=true\nREV_SERVER_CIDR=192.0.2.0/24\nREV_SERVER_TARGET=192.0.2.254\nREV_SERVER_DOMAIN=lan.example\n"
        "WEBPASSWORD=secret\n"
    )
    (source / "pihole-FTL.conf").write_text("#; comment\nBLOCKINGMODE=NXDOMAIN\nBLOCK_ICLOUD_PR=false\n")
    (source / "custom.list").write_text("192.0.2.7 nas.example\n")
    (source / "adlists.list").write_text("https://lists.example/hosts\n#https://lists.example/off\n")
    (source / "blacklist.txt").write_text("bad.example\n")
    (source / "whitelist.txt").write_text("good.example\n")
    (source / "regex.list").write_text("(\\.|^)regex\\.example$\n")
    taken = Taken.of(tmp_path, source, "pihole")
    names = ["bad.example", "good.example", "x.regex.example", "nas.example"]
    assert list(taken.decisions(names).values()) == ["nxdomain", FORWARD, "nxdomain", "192.0.2.7"]
    assert len(taken.gathered.lists) == 1 and len(taken.settings.upstreams.forward) == 2
    assert "secret" not in taken.written


def test_version_5_is_read_from_its_export(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, rows in (
            (
                "blacklist.exact.json",
                [{"domain": "bad.example", "enabled": 1}, {"domain": "off.example", "enabled": 0}],
            ),
            ("adlist.json", [{"address": "https://lists.example/hosts", "enabled": 1}]),
        ):
            octets = json.dumps(rows).encode()
            member = tarfile.TarInfo(name)
            member.size = len(octets)
            archive.addfile(member, io.BytesIO(octets))
    taken = Taken(tmp_path, "auto", gzip.compress(packed.getvalue()), "export.tar.gz")
    assert list(taken.decisions(["bad.example", "off.example"]).values()) == ["0.0.0.0", FORWARD]
    assert len(taken.gathered.lists) == 1


def test_a_database_that_would_never_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolver.migration.pihole_gravity.QUERY_STEPS_MAX", 300_000)
    path = tmp_path / "hostile.db"
    database = sqlite3.connect(path)
    # `domainlist` is a table, and the groups of its rows are a view without an end.
    database.executescript(
        """
        CREATE TABLE domainlist (id INTEGER, type INTEGER, domain TEXT, enabled BOOLEAN);
        CREATE TABLE adlist (id INTEGER, address TEXT, enabled BOOLEAN, comment TEXT, type INTEGER);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        INSERT INTO adlist SELECT i, 'x', 1, '', 0 FROM n;
        """
    )
    database.commit()
    database.close()
    with pytest.raises(BadConfig, match="interrupted"):
        Taken(tmp_path, "pihole", path.read_bytes(), "gravity.db")


@pytest.mark.parametrize(
    ("name", "octets", "said"),
    [
        ("gravity.db", b"no database", "SQLite"),
        ("gravity.db", b"SQLite format 3\0" + b"\xff" * 5_000, "cannot be read"),
        ("pihole.toml", b"[dns\n", "TOML"),
        ("pihole.toml", b"x = " + b"[" * 60_000, "nested too deep"),
        ("pihole.toml", b"x = '\xff'", "UTF-8"),
        ("export.zip", b"PK\x03\x04broken", "ZIP"),
        ("export.tar.gz", b"\x1f\x8bbroken", "tar"),
        ("something.conf", b"nothing=1\n", "none of Pi-hole's files"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, name: str, octets: bytes, said: str) -> None:
    with pytest.raises(BadConfig, match=said):
        Taken(tmp_path, "pihole", octets, name)


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """`/etc/pihole` of version 5, and `/etc/dnsmasq.d` beside it."""
    for name in ("pihole", "dnsmasq.d"):
        (tmp_path / "etc" / name).mkdir(parents=True)
    (tmp_path / "etc" / "pihole" / "setupVars.conf").write_text("PIHOLE_DNS_1=192.0.2.1\n")
    (tmp_path / "etc" / "dnsmasq.d" / "01-pihole.conf").write_text("server=192.0.2.66\n")
    (tmp_path / "etc" / "dnsmasq.d" / "99-own.conf").write_text("address=/own.example/\n")
    return tmp_path / "etc"


@pytest.mark.parametrize("name", ["pihole", "pihole/setupVars.conf"])
def test_options_of_dnsmasq_are_found_beside_the_folder(etc: Path, name: str) -> None:
    taken = Taken.of(etc.parent, etc / name, "auto")
    assert taken.decision("own.example") == "0.0.0.0"
    assert [str(one) for one in taken.settings.upstreams.servers] == ["udp://192.0.2.1:53"]


@pytest.mark.parametrize("name", ["pihole", "pihole/pihole.toml"])
@pytest.mark.parametrize("is_read", [True, False])
def test_version_6_reads_them_only_where_it_is_told_to(etc: Path, name: str, is_read: bool) -> None:
    (etc / "pihole" / "pihole.toml").write_text(f"{TOML}  etc_dnsmasq_d = {str(is_read).lower()}\n")
    taken = Taken.of(etc.parent, etc / name, "auto")
    assert taken.decision("own.example") == ("0.0.0.0" if is_read else FORWARD)
    assert bool(taken.lost("dnsmasq.d/99-own.conf")) is not is_read and not taken.lost("01-pihole")


@pytest.mark.parametrize("name", ["pihole", "pihole/gravity.db", "pihole/setupVars.conf"])
def test_changes_that_stand_in_a_log_are_told(etc: Path, name: str) -> None:
    gravity(etc / "pihole" / "gravity.db")
    log = etc / "pihole" / "gravity.db-wal"
    log.write_bytes(b"")
    assert not Taken.of(etc.parent, etc / name, "auto").lost("gravity.db-wal")
    log.write_bytes(b"frames")
    taken = Taken.of(etc.parent, etc / name, "auto")
    [loss] = [loss for loss in taken.gathered.losses if loss.key == "gravity.db-wal"]
    assert loss.changes_answers and "wal_checkpoint(TRUNCATE)" in loss.instead


@pytest.mark.parametrize("kind", ["x", None, b"\xff", 9, 1e300])
def test_a_row_of_no_known_type_costs_itself_alone(tmp_path: Path, kind: object) -> None:
    path = tmp_path / "gravity.db"
    gravity(path)
    database = sqlite3.connect(path)
    database.execute("INSERT INTO domainlist VALUES (20, ?, 'odd.example', 1, NULL)", (kind,))
    database.execute("INSERT INTO domainlist_by_group VALUES (20, 0)")
    database.commit()
    database.close()
    taken = Taken.of(tmp_path, path, "auto")
    assert taken.decision("bad.example") == "0.0.0.0" and taken.decision("odd.example") == FORWARD
    assert taken.lost("odd.example")
