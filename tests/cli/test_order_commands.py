"""order import, order list, order show and find, as people call them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from resolver.cli.app import app
from resolver.cli.order_file import PDF_OCTETS_MAX
from resolver.publishing.image_store import hash_file
from resolver.publishing.recorder import Applied, orders_of, record

POLICY = """\
version: 1
orders:
  house: {authority: Us, title: Rules, imposed_by: house}
exchanges:
  acme:
    name: Acme (Oldco)  # ours
    order: house
    domains: [acme.example]
  idle: {name: Idle, mode: shadow, order: house, domains: [idle.example]}
allow: [ok.new.example]
"""
CATALOGUE = """\
version: 1
exchanges:
  acme: {name: Acme, aliases: [Acme Global], domains: [acme.example, acme-app.example]}
  delta: {name: Delta Exchange, aliases: [Dex], domains: [delta.example]}
"""
ORDER = """\
 1. Acme     www.acme.example
 2. New      new.example, ok.new.example, https://t.me/new
 3. Idle     idle.example
"""


class Desk:
    """A folder with settings, a blocklist, a catalogue and an order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blocklist = folder / "blocklist.yaml"
        self.state = folder / "state"
        self.state.mkdir()
        self.order = folder / "order.txt"
        self.catalogue = folder / "catalogue.yaml"
        (folder / "resolver.yaml").write_text("blocklist: blocklist.yaml\nstate_dir: state\n")
        self.blocklist.write_text(POLICY)
        self.catalogue.write_text(CATALOGUE)
        self.order.write_text(ORDER)

    def run(self, *words: object, stdin: str | None = None) -> Result:
        command = [*map(str, words), "--config", str(self.folder / "resolver.yaml")]
        return CliRunner().invoke(app, command, input=stdin)

    def imports(self, *words: object, stdin: str | None = None, file: object = None) -> Result:
        return self.run(
            "order",
            "import",
            file or self.order,
            "--id",
            "x-1",
            "--catalogue",
            self.catalogue,
            *words,
            stdin=stdin,
        )

    def json(self, *words: object) -> dict[str, Any]:
        return dict(json.loads(self.run(*words, "--json").stdout))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_proposal_has_three_parts_and_writes_nothing(desk: Desk) -> None:
    result = desk.imports()
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "KNOWN: 2 platforms" in lines and "NEW: 1 platform" in lines and "NOT TAKEN: 1" in lines
    assert "  acme (Acme (Oldco)): line 1: www.acme.example" in lines
    assert "Nothing was written; --write does it." in lines
    assert desk.blocklist.read_text() == POLICY


def test_write_puts_it_in_and_show_says_what_stands(desk: Desk) -> None:
    result = desk.imports("--authority", "A", "--title", "T", "--reference", "N-7", "--write")
    assert result.exit_code == 1, result.output
    assert "# ours" in desk.blocklist.read_text()
    shown = desk.json("order", "show", "x-1")
    assert (shown["authority"], shown["reference"], shown["state"]) == ("A", "N-7", "in force")
    assert shown["asks"] == {"total": 5, "enforced": 2, "pending": 0, "unenforced": 3}
    reasons = {one["ask"]: one["reason"] for one in shown["names"] if one["reason"]}
    assert reasons == {
        "ok.new.example": "excepted",
        "https://t.me/new": "shared_platform",
        "idle.example": "not_in_force",
    }
    page = desk.run("order", "show", "x-1")
    assert page.exit_code == 1
    assert "idle.example  not_in_force: idle blocks it, and is in shadow: counted, not blocked" in page.stdout


def test_a_number_in_the_text_that_is_no_reference_is_remarked(desk: Desk) -> None:
    text = "ORDER No. N-2026/117\n\n1. Acme   www.acme.example\n"
    said = "--reference is not given: `find` and answers name the order by it; the text has N-2026/117"
    assert said in desk.imports(stdin=text, file="-").stdout
    assert said not in desk.imports("--reference", "N-7", stdin=text, file="-").stdout
    assert "--reference is not given" not in desk.imports().stdout


def test_import_in_shadow_opens_nothing_that_is_enforced(desk: Desk) -> None:
    assert desk.imports("--mode", "shadow", "--write").exit_code == 1
    decisions = {
        name: json.loads(desk.run("explain", name, "--json").stdout)["decision"]
        for name in ("www.acme.example", "new.example")
    }
    assert decisions["www.acme.example"]["blocked"] is True
    assert decisions["new.example"]["blocked"] is False
    assert decisions["new.example"]["shadow"] == "new"
    assert desk.json("order", "show", "x-1")["state"] == "shadow"


def test_dates_decide_and_those_of_another_zone_have_their_offset(desk: Desk) -> None:
    words = (
        "--from",
        "2026-12-05",
        "--through",
        "2027-12-04",
        "--time-zone",
        "Europe/Berlin",
        "--due",
        "2026-12-10",
    )
    desk.imports(*words, "--write")
    text = desk.blocklist.read_text()
    assert 'from: "2026-12-05T00:00:00+01:00"' in text
    assert 'until: "2027-12-05T00:00:00+01:00"' in text
    assert 'due: "2026-12-10T00:00:00+01:00"' in text
    assert "through" not in text


def test_days_of_the_blocklists_own_zone_are_written_as_days(desk: Desk) -> None:
    desk.imports("--from", "2026-12-05", "--through", "2027-12-04", "--write")
    text = desk.blocklist.read_text()
    assert "from: 2026-12-05\n" in text and "through: 2027-12-04\n" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "5 December"), "--from: '5 December' is not a date"),
        (("--through", "2026-12-05T00:00:00Z"), "--through: '2026-12-05T00:00:00Z' is a moment"),
        (("--until", "2027-01-01", "--through", "2027-01-01"), "give one of both"),
        (("--time-zone", "Europe/Berln"), "Europe/Berlin"),
        (("--take", "stranger.example"), "is no suggestion and no doubtful name"),
        (("--encoding", "nonsense"), "no such encoding"),
        (("--from", "2027-01-02", "--until", "2027-01-01"), "is not after 'from'"),
        (("--catalogue", "/nonexistent.yaml"), "cannot be read"),
    ],
)
def test_a_slip_in_the_options_is_an_error_with_its_remedy(
    desk: Desk, words: tuple[str, ...], said: str
) -> None:
    result = desk.imports(*words, "--write")
    assert result.exit_code == 2
    assert said in result.stderr
    assert desk.blocklist.read_text() == POLICY


def test_an_id_that_is_none_is_refused(desk: Desk) -> None:
    result = desk.run("order", "import", desk.order, "--id", "NAFM 2026", "--write")
    assert result.exit_code == 2 and "--id" in result.stderr


def test_what_the_server_would_refuse_is_not_written(desk: Desk) -> None:
    desk.blocklist.write_text(POLICY + "lists: [{name: gone, path: gone.txt}]\n")
    result = desk.imports("--write")
    assert result.exit_code == 2
    assert "gone.txt" in result.stderr and "nothing was written" in result.stderr
    assert "x-1" not in desk.blocklist.read_text()


def test_a_broken_blocklist_is_named_and_left_alone(desk: Desk) -> None:
    desk.blocklist.write_text("version: 1\nexchanges:\n  acme: {name: Acme, domains: ['not a name']}\n")
    result = desk.imports("--write")
    assert result.exit_code == 2 and "blocklist.yaml:3" in result.stderr


def test_a_tidy_blocklist_stays_tidy(desk: Desk) -> None:
    assert desk.run("fmt", desk.blocklist).exit_code == 0
    desk.order.write_text("1. Acme   acme.example, aaa.example\n2. New   z.example, b.example\n")
    assert desk.imports("--write").exit_code == 0
    assert desk.run("fmt", "--check", desk.blocklist).exit_code == 0
    assert "domains: [aaa.example, acme.example]" in desk.blocklist.read_text()


def test_standard_input_is_read(desk: Desk) -> None:
    result = desk.imports("--json", stdin="1. New   new.example\n", file="-")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["new"][0]["domains"] == ["new.example"]


def test_a_file_of_100_mb_is_refused_unread(desk: Desk) -> None:
    huge = desk.folder / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(100_000_000)
    result = desk.imports(file=huge)
    assert result.exit_code == 2
    assert f"too large: 100,000,000 bytes; allowed: at most {PDF_OCTETS_MAX:,}" in result.stderr


def test_a_device_or_a_folder_is_refused(desk: Desk) -> None:
    for file in ("/dev/zero", desk.folder, desk.folder / "gone.txt"):
        assert desk.imports(file=file).exit_code == 2


def test_a_pdf_needs_its_program_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pdf = desk.folder / "order.pdf"
    pdf.write_bytes(b"%PDF-1.4\n...")
    monkeypatch.setenv("PATH", str(desk.folder))
    result = desk.imports(file=pdf)
    assert result.exit_code == 2 and "pdftotext is not installed (package poppler-utils)" in result.stderr


def program(folder: Path, text: str) -> str:
    """A `pdftotext` of our own, in front of PATH."""
    path = folder / "bin" / "pdftotext"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"{path.parent}{os.pathsep}{os.environ['PATH']}"


def test_the_text_of_a_pdf_is_read_like_any(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pdf = desk.folder / "order.pdf"
    pdf.write_bytes(b"%PDF-1.4\n...")
    monkeypatch.setenv(
        "PATH", program(desk.folder, "cat >/dev/null; printf ' 1.  New     new.example\\f\\n'")
    )
    report = json.loads(desk.imports("--json", file=pdf).stdout)
    assert (report["format"], report["new"][0]["domains"]) == ("pdf", ["new.example"])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 1", "cannot read"),
        ("head -c 9000000 /dev/zero | tr '\\0' x", "of text, the most allowed"),
        ("true", "a scanned page has none"),
    ],
)
def test_a_pdf_that_yields_no_order_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    pdf = desk.folder / "order.pdf"
    pdf.write_bytes(b"%PDF-1.4\n...")
    monkeypatch.setenv("PATH", program(desk.folder, script))
    result = desk.imports(file=pdf)
    assert result.exit_code == 2 and said in result.stderr


@pytest.mark.needs("pdftotext")
def test_a_real_pdf_is_read(desk: Desk) -> None:
    stream = b"BT /F1 12 Tf 72 720 Td (1.  New     new.example) Tj ET"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Courier>>",
    ]
    octets, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(octets))
        octets += b"%d 0 obj%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    octets += b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        len(octets),
    )
    pdf = desk.folder / "order.pdf"
    pdf.write_bytes(octets)
    report = json.loads(desk.imports("--json", file=pdf).stdout)
    assert report["new"][0]["domains"] == ["new.example"]


def test_list_has_every_order_and_reports_what_is_overdue(desk: Desk) -> None:
    assert desk.run("order", "list").exit_code == 0
    desk.imports("--due", "2020-01-01T00:00:00Z", "--mode", "shadow", "--write")
    result = desk.run("order", "list")
    assert result.exit_code == 1
    assert "x-1" in result.stdout and "OVERDUE" in result.stdout and "house" in result.stdout
    orders = {one["id"]: one for one in desk.json("order", "list")["orders"]}
    assert orders["x-1"]["overdue"] is True and orders["house"]["overdue"] is False
    assert orders["house"]["exchanges"] == ["acme", "idle"]


def test_show_knows_since_when_an_order_is_served(desk: Desk) -> None:
    record(desk.state, Applied(1.7e9, [hash_file(desk.blocklist)], {"exchanges": 2, "domains": 2}))
    desk.imports("--write")
    record(desk.state, Applied(1.71e9, [hash_file(desk.blocklist)], {"exchanges": 3, "domains": 3}))
    first = desk.json("order", "show", "x-1")["first_served"]
    assert first == {"generation": 2, "at": "2024-03-09T16:00:00Z"}


def test_show_knows_since_when_an_order_is_in_force(desk: Desk) -> None:
    desk.imports("--write")
    assert desk.json("order", "show", "x-1")["in_force_since"] is None
    orders_of(desk.state, Applied(1.71e9, [hash_file(desk.blocklist)]))
    assert desk.json("order", "show", "x-1")["in_force_since"] == "2024-03-09T16:00:00Z"
    assert "In force since 2024-03-09T16:00:00Z" in desk.run("order", "show", "x-1").stdout


def test_show_knows_what_a_list_enforces_for_its_order(desk: Desk) -> None:
    desk.blocklist.write_text(
        "version: 1\norders: {y: {authority: A, title: T, asks: [one.example, two.example]}}\n"
        "lists: [{name: ours, path: ours.txt, format: domains, order: y}]\n"
    )
    (desk.folder / "ours.txt").write_text("one.example\n")
    states = {one["ask"]: (one["state"], one["exchange"]) for one in desk.json("order", "show", "y")["names"]}
    assert states == {"one.example": ("enforced", "list ours"), "two.example": ("unenforced", None)}
    (desk.folder / "ours.txt").unlink()
    result = desk.run("order", "show", "y")
    assert result.exit_code == 2 and "ours.txt" in result.stderr


def test_an_order_that_is_not_there_is_named_with_a_guess(desk: Desk) -> None:
    result = desk.run("order", "show", "hose")
    assert result.exit_code == 2 and "did you mean 'house'?" in result.stderr


@pytest.mark.parametrize(
    ("text", "kind", "found", "state"),
    [
        ("acme", "exchange", "acme", "in force"),
        ("Oldco", "exchange", "acme", "in force"),
        ("acme global", "exchange", "acme", "in force"),
        ("https://www.acme.example/login", "exchange", "acme", "in force"),
        ("ACME.EXAMPLE.", "exchange", "acme", "in force"),
        ("idle", "exchange", "idle", "shadow"),
        ("dex", "exchange", "delta", "in the catalogue, not in the blocklist"),
        ("delta.exam", "exchange", "delta", "in the catalogue, not in the blocklist"),
        ("N-7", "order", "x-1", "in force"),
        ("Rules", "order", "house", "in force"),
        ("t.me/new", "order", "x-1", "in force"),
    ],
)
def test_find_looks_at_ids_names_aliases_domains_and_references(
    desk: Desk, text: str, kind: str, found: str, state: str
) -> None:
    desk.imports("--reference", "N-7", "--write")
    hits = json.loads(desk.run("find", text, "--catalogue", desk.catalogue, "--json").stdout)["found"]
    assert (kind, found, state) in {(hit["kind"], hit["id"], hit["state"]) for hit in hits}


def test_find_says_until_when_and_puts_exact_matches_first(desk: Desk) -> None:
    desk.blocklist.write_text(
        POLICY.replace("    order: house\n", "    order: house\n    until: 2099-01-01\n")
    )
    (hit, *_) = json.loads(desk.run("find", "acme", "--catalogue", desk.catalogue, "--json").stdout)["found"]
    assert (hit["exact"], hit["until"], hit["orders"]) == (True, "2099-01-01T00:00:00Z", ["house"])
    shown = desk.run("find", "acme", "--catalogue", desk.catalogue)
    assert "until 2099-01-01, that day not included" in shown.stdout


def test_what_is_confidential_is_named_here_and_marked(desk: Desk) -> None:
    desk.imports("--confidential", "--write")
    shown = desk.run("find", "new.example", "--catalogue", desk.catalogue).stdout
    assert "new" in shown and "(confidential)" in shown
    assert "(CONFIDENTIAL)" in desk.run("order", "show", "x-1").stdout


def test_find_says_when_there_is_nothing(desk: Desk) -> None:
    result = desk.run("find", "nothing-like-it", "--catalogue", desk.catalogue)
    assert result.exit_code == 1 and "Nothing is called" in result.stdout
    assert desk.run("find", " ").exit_code == 2


def test_explain_prints_one_line_for_each_name_of_a_file(desk: Desk) -> None:
    names = desk.folder / "names.txt"
    names.write_text("# names\nwww.acme.example\n\nopen.example\nidle.example\nok.new.example\n192.0.2.1\n")
    result = desk.run("explain", "-f", names)
    assert result.exit_code == 0
    place = f"{desk.blocklist}:"
    assert result.stdout.splitlines() == [
        f"www.acme.example  nxdomain  acme.example  exchange acme  order house  no start date, no end date  {place}8",
        "open.example  not blocked",
        "idle.example  not blocked  in shadow: exchange idle",
        f"ok.new.example  let through  ok.new.example  allow  {place}10",
        "192.0.2.1  not blocked",
    ]


def test_explain_reads_standard_input_and_writes_one_object_a_line(desk: Desk) -> None:
    result = desk.run("explain", "-f", "-", "--json", stdin="acme.example\nnot a name\nopen.example")
    assert result.exit_code == 2
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["line"] for one in objects] == [1, 2, 3]
    assert objects[0]["decision"]["label"] == "acme"
    assert "problem" in objects[1] and objects[2]["decision"]["blocked"] is False


def test_explain_goes_on_behind_a_line_that_is_no_name(desk: Desk) -> None:
    names = desk.folder / "names.txt"
    names.write_bytes(b"\xef\xbb\xbfacme.example\r\n" + b"x" * 100_000 + b"\n\xff\xfe\nopen.example\n")
    result = desk.run("explain", "-f", names)
    assert result.exit_code == 2
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["acme.example", "open.example"]
    assert f"{names}:2: " in result.stderr and f"{names}:3: " in result.stderr


@pytest.mark.parametrize(
    ("pasted", "says"),
    [
        ("https://www.acme.example/login?x=1", "is a URL; write the domain: 'www.acme.example'"),
        ("acme.example:443", "has a port, but DNS has no ports; write the domain: 'acme.example'"),
        ("acme[.]example", "has its dots written in another way; write the domain: 'acme.example'"),
        ("info@acme.example", "is a mail address; write the domain: 'acme.example'"),
    ],
)
def test_explain_of_what_people_paste_says_which_name_is_in_it(desk: Desk, pasted: str, says: str) -> None:
    alone, listed = desk.run("explain", pasted), desk.run("explain", "-f", "-", stdin=f"{pasted}\n")
    assert alone.exit_code == listed.exit_code == 2
    assert f"{pasted!r} {says}" in alone.output and f"{pasted!r} {says}" in listed.output


def test_explain_takes_a_name_or_a_file(desk: Desk) -> None:
    assert desk.run("explain").exit_code == 2
    assert desk.run("explain", "acme.example", "-f", "-").exit_code == 2
    assert desk.run("explain", "-f", desk.folder / "gone.txt").exit_code == 2


def test_find_shows_names_beyond_ascii_in_both_spellings(desk: Desk) -> None:
    desk.blocklist.write_text(POLICY.replace("[idle.example]", "[münze.example]"))
    assert "domain xn--mnze-0ra.example (münze.example)" in desk.run("find", "münze.example").output


def test_show_says_which_lists_are_in_shadow(desk: Desk) -> None:
    (desk.folder / "a.txt").write_text("x.example\n")
    desk.blocklist.write_text(
        POLICY + "lists:\n- {name: loud, path: a.txt, order: house}\n"
        "- {name: quiet, path: a.txt, order: house, mode: shadow}\n"
    )
    assert "loud, quiet (in shadow)" in desk.run("order", "show", "house").output
