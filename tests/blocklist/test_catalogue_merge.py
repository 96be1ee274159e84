"""What people wrote in a blocklist survives the script, octet for octet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.blocklist.reader import read_blocklist
from scripts.build_catalogue import main
from scripts.catalogue.merge import CannotMerge, Merged, merge
from scripts.catalogue.proposal import CuratedError, Exchange, Proposal, propose, read_yaml

FIXTURE = Path(__file__).parents[1] / "golden" / "catalogue-facts.yaml"
"""A few extracted facts, in the form of `facts.yaml`."""

CURATED: dict[str, Any] = {
    "sources": {"web": {"what": "a list", "where": "https://list.example"}},
    "exchanges": {
        "acme": {"name": "Acme", "ccxt": ["acme", "acmepro"], "domains": {"web": ["acme-mirror.com"]}}
    },
    "owners": {"acme.com": "acme"},
    "narrow": {"bank.com": ["trade.bank.com"]},
    "excluded": {"sold.com": "belongs to somebody else today"},
}

EDITED = """\
# Our list.   Ask legal before you change it!
version: 1
defaults: {action:   sinkhole}   # strange spaces, kept

orders:
  house-policy: {authority: "Us", title: 'Our rules', imposed_by: house}

exchanges:
  # The big one; legal wants it first in the report.
  acme:     # do not rename
    name: "ACME Ltd."   # our spelling
    category: other
    domains: [acme.com,   'acme.co.uk']
    from: 2026-01-31

  # Asked for by the board on 2026-02-01.
  omega:
    name: Omega
    domains:
      # the web site
      - omega.com
      - =login.omega.net   # only this
# the end of our exchanges
allow: [good.beta.com]   # needed by accounting
"""


def exchange(label: str, *domains: str, name: str = "") -> Exchange:
    return Exchange(label, name or label.title(), domains={domain: ["web"] for domain in domains})


def proposal(*exchanges: Exchange) -> Proposal:
    return Proposal({entry.label: entry for entry in exchanges}, {})


def merged(text: str, *exchanges: Exchange, offered: dict[str, list[str]] | None = None) -> Merged:
    result = merge(text, proposal(*exchanges), offered or {})
    blocklist, problems = read_blocklist(Path("b.yaml"), octets=result.text.encode())
    assert blocklist is not None, problems
    return result


def without(text: str, added: list[str]) -> str:
    """Take `added` lines out of `text` again, each once."""
    lines = text.splitlines(keepends=True)
    for line in added:
        lines.remove(line)
    return "".join(lines)


def test_an_up_to_date_file_is_left_alone_octet_for_octet() -> None:
    result = merged(EDITED, exchange("acme", "acme.com"), exchange("omega", "omega.com"))
    assert (result.text, result.added, result.left_alone) == (EDITED, [], [])


def test_a_new_exchange_goes_to_its_place_and_comments_stay_with_their_entries() -> None:
    result = merged(
        EDITED, exchange("beta", "beta.com"), exchange("zeta", "zeta.com"), exchange("aa", "aa.com")
    )
    added = [
        f"{line}\n"
        for label in ("aa", "beta", "zeta")
        for line in (
            f"  {label}:",
            f"    name: {label.title()}  # web",
            "    category: exchange",
            "    order: house-policy",
            f"    domains: [{label}.com]",
        )
    ]
    assert without(result.text, added) == EDITED
    lines = result.text.splitlines()
    assert lines[lines.index("  acme:     # do not rename") - 1].startswith("  # The big one")
    assert lines[lines.index("  omega:") - 1].startswith("  # Asked for by the board")
    keys = [line.strip().partition(":")[0] for line in lines if line.startswith("  ") and line[2].isalpha()]
    assert keys == ["house-policy", "aa", "acme", "beta", "omega", "zeta"]
    assert lines[-2] == "# the end of our exchanges"


def test_a_new_domain_goes_into_the_list_as_it_is_written() -> None:
    result = merged(EDITED, exchange("acme", "acme.net"), exchange("omega", "alpha-omega.com", "omega.io"))
    assert "    domains: [acme.com, 'acme.co.uk', acme.net]\n" in result.text
    assert result.text.count("domains: [acme.com") == 1
    block = result.text[result.text.index("      # the web site") : result.text.index("# the end of")]
    assert block == (
        "      # the web site\n      - omega.com\n      - =login.omega.net   # only this\n"
        "      - alpha-omega.com\n      - omega.io\n"
    )


def test_a_sorted_list_stays_sorted_and_a_comment_stays_above_its_line() -> None:
    text = (
        "version: 1\nexchanges:\n  a:\n    name: A\n    domains:\n      # first\n      - b.com\n      - d.com"
    )
    result = merged(text, exchange("a", "a.com", "c.com", "e.com"))
    assert result.text.endswith(
        "domains:\n      - a.com\n      # first\n      - b.com\n      - c.com\n      - d.com\n      - e.com"
    )


def test_a_list_that_grows_too_long_is_written_one_to_a_line() -> None:
    text = "version: 1\nexchanges:\n  a:\n    name: A\n    domains: [m.com]   # ours\n    mode: shadow\n"
    names = [f"a-rather-long-name-{index}.com" for index in range(6)]
    result = merged(text, exchange("a", *names))
    expected = "".join(f"      - {name}\n" for name in [*names, "m.com"])
    assert f"    domains:   # ours\n{expected}    mode: shadow\n" in result.text


def test_a_list_over_several_lines_keeps_its_lines_and_comments() -> None:
    text = (
        "version: 1\nexchanges:\n  a:\n    name: A\n    domains: [\n      b.com,  # old\n      d.com\n    ]\n"
    )
    result = merged(text, exchange("a", "c.com", "e.com"))
    assert "      b.com,  # old\n      c.com, d.com, e.com\n    ]\n" in result.text


@pytest.mark.parametrize("written", ["    domains: []\n", "    domains:\n", ""])
def test_an_entry_without_domains_gets_them(written: str) -> None:
    text = f"version: 1\nexchanges:\n  a:\n    name: A\n{written}    mode: shadow\n  z:\n    name: Z\n"
    result = merged(text, exchange("a", "a.com"))
    blocklist, _ = read_blocklist(Path("b.yaml"), octets=result.text.encode())
    assert blocklist is not None
    assert [rule.rule.label for rule in blocklist.name_rules if rule.effect == "block"] == ["a"]
    assert result.text.count("mode: shadow") == 1


def test_crlf_stays_crlf() -> None:
    text = "version: 1\r\nexchanges:\r\n  a:\r\n    name: A\r\n    domains:\r\n      - a.com\r\n"
    result = merged(text, exchange("a", "a.com", "b.com"), exchange("c", "c.com"))
    assert result.text.count("\r\n") == result.text.count("\n") == 6 + 1 + 4


def test_what_people_took_out_stays_out() -> None:
    offered = {"acme": ["acme.com", "acme.net"], "beta": ["beta.com"]}
    result = merged(
        EDITED, exchange("acme", "acme.com", "acme.net"), exchange("beta", "beta.com"), offered=offered
    )
    assert result.text == EDITED
    assert result.added == []
    assert [line.rpartition(": ")[2] for line in result.left_alone] == ["taken out by hand"] * 2


def test_what_was_never_offered_is_added_even_to_an_edited_entry() -> None:
    result = merged(EDITED, exchange("acme", "acme.com", "acme.net"), offered={"acme": ["acme.com"]})
    assert result.added == ["acme: acme.net"]


def test_what_people_narrowed_moved_or_excepted_is_respected() -> None:
    result = merged(
        EDITED,
        exchange("acme", "omega.com"),
        exchange("beta", "good.beta.com"),
        exchange("omega", "login.omega.net"),
    )
    assert result.text == EDITED
    assert result.left_alone == [
        "acme: omega.com: listed under omega",
        "beta: good.beta.com: good.beta.com stands under allow",
        "omega: login.omega.net: narrowed by hand to =login.omega.net",
    ]


def test_a_name_whose_source_is_gone_is_reported_and_stays() -> None:
    result = merged(EDITED, exchange("omega", "omega.com"), offered={"acme": ["acme.com", "gone.com"]})
    assert result.text == EDITED
    assert result.not_backed == ["acme: acme.com: no source names it any more"]


def test_a_file_in_an_order_of_its_own_keeps_it_and_grows_at_the_end() -> None:
    text = "version: 1\nexchanges:\n  z:\n    name: Z\n  b:\n    name: B\n    domains:\n      - b.com\n      - a.com\n"
    result = merged(text, exchange("a", "aa.com"), exchange("b", "ab.com"))
    entry = "  a:\n    name: A  # web\n    category: exchange\n    domains: [aa.com]\n"
    assert result.text == f"{text}      - ab.com\n{entry}"


@pytest.mark.slow
@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.integers(1, 8), max_size=6))
def test_every_line_that_people_wrote_stays_and_in_order(wanted: dict[str, int]) -> None:
    entries = [
        exchange(label, *(f"{label}-{n}.example" for n in range(count))) for label, count in wanted.items()
    ]
    result = merged(EDITED, *entries, exchange("omega", "a-new.com"))
    lines = iter(result.text.splitlines())
    assert all(line in lines for line in EDITED.splitlines() if "domains: [acme" not in line)
    again = merged(result.text, *entries, exchange("omega", "a-new.com"), offered=result.offered)
    assert (again.text, again.added) == (result.text, [])


def test_an_order_is_cited_only_where_the_file_has_it() -> None:
    result = merged("version: 1\nexchanges: {}\n", exchange("a", "a.com"))
    assert "order:" not in result.text


def test_names_are_quoted_where_yaml_needs_it() -> None:
    names = ["X: y", "#1", "null", "12", "Übung", "O'Neill & Co", "- x", "a # b"]
    entries = [exchange(f"a{index}", f"a{index}.com", name=name) for index, name in enumerate(names)]
    result = merged("version: 1\nexchanges: {}\n", *entries)
    blocklist, _ = read_blocklist(Path("b.yaml"), octets=result.text.encode())
    assert blocklist is not None
    assert [rule.name for rule in blocklist.exchanges] == names


@pytest.mark.parametrize(
    "text",
    ["", "a: [", "- x\n", "version: 1\n", "version: 1\nexchanges: {a: {name: A}}\n", "exchanges: []\n"],
)
def test_a_file_that_cannot_be_edited_is_refused(text: str) -> None:
    with pytest.raises(CannotMerge):
        merge(text, proposal(exchange("a", "a.com")), {})


def run(folder: Path, *arguments: str) -> int:
    (folder / "curated.yaml").write_text(str(CURATED).replace("'", '"'))
    paths = {"blocklist": "b.yaml", "curated": "curated.yaml", "offered": "offered.yaml"}
    options = [part for key, name in paths.items() for part in (f"--{key}", str(folder / name))]
    return main([*options, "--facts", str(FIXTURE), *arguments])


def test_the_script_only_tells_unless_it_is_asked_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocklist = tmp_path / "b.yaml"
    blocklist.write_text(EDITED)
    assert run(tmp_path) == 1
    told = capsys.readouterr().out
    assert "would be added: acme: acme-mirror.com, acmepro.io" in told
    assert blocklist.read_text() == EDITED
    assert not (tmp_path / "offered.yaml").exists()

    assert run(tmp_path, "--write") == 0
    written = blocklist.read_text()
    assert "acmepro.io" in written
    assert all(line in written for line in EDITED.splitlines() if "domains: [acme" not in line)
    assert run(tmp_path) == 0

    blocklist.write_text(written.replace(", acmepro.io", "") + "# edited again\n")
    edited = blocklist.read_text()
    assert run(tmp_path, "--write") == 0
    assert blocklist.read_text() == edited


def test_the_script_writes_nothing_that_would_not_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EDITED.replace("action:   sinkhole", "action:   explode")
    (tmp_path / "b.yaml").write_text(broken)
    assert run(tmp_path, "--write") == 2
    assert "explode" in capsys.readouterr().err
    assert (tmp_path / "b.yaml").read_text() == broken


def test_the_script_tells_where_a_name_comes_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.yaml").write_text(EDITED)
    assert run(tmp_path, "--why", "api.acme.com") == 0
    assert "ccxt acme: api.acme.com (api)" in capsys.readouterr().out
    assert run(tmp_path, "--why", "sold.com") == 1
    assert "belongs to somebody else today" in capsys.readouterr().out
    assert run(tmp_path, "--why", "unknown.example") == 1
    assert "no source" in capsys.readouterr().out


def test_facts_are_reduced_narrowed_and_filtered() -> None:
    proposed = propose(read_yaml(FIXTURE), CURATED)
    assert {label: list(entry.domains) for label, entry in proposed.exchanges.items()} == {
        "acme": ["acme-mirror.com", "acme.com", "acmepro.io"],
        "bankx": ["trade.bank.com"],
        "zeta": ["zeta.co.uk"],
    }
    assert set(proposed.left_out) == {"www.sold.com", "acme.zendesk.com", "github.com", "www.bank.com"}
    assert proposed.exchanges["acme"].provenance() == "ccxt 1.17.1 to 4.5.90; web"
    assert proposed.exchanges["zeta"].provenance() == "ccxt 1.17.1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"owners": {}}, "acme.com belongs to"),
        ({"excluded": {"acme-mirror.com": "sold"}}, "not to be listed: sold"),
        ({"sources": {}}, "no source is called web"),
        ({"exchanges": CURATED["exchanges"] | {"nobody": {"name": "N"}}}, "nothing is known of nobody"),
        ({"exchanges": CURATED["exchanges"] | {"zeta": {"category": "bank"}}}, "no category"),
        ({"exchanges": CURATED["exchanges"] | {"z_": {"domains": {"web": ["z.com"]}}}}, "an id is made of"),
        (
            {"exchanges": CURATED["exchanges"] | {"z": {"domains": {"web": ["a.github.io"]}}}},
            "github.io is shared",
        ),
        (
            {"exchanges": CURATED["exchanges"] | {"z": {"domains": {"web": ["www.z.com"]}}}},
            "www.z.com is not to be",
        ),
    ],
)
def test_contradictions_in_the_curated_data_are_errors(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CuratedError, match=message):
        propose(read_yaml(FIXTURE), CURATED | changes)
