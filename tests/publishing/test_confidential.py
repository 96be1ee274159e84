"""What is confidential: served and counted, and named nowhere but in local commands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.blocklist.concealing import HINT
from resolver.blocklist.downloads import DownloadedList, stored_path
from resolver.clock import LoopClock
from resolver.export import FORMATS, LossKind, export_policy
from resolver.fetching.keeper import ListKeeper
from resolver.fetching.outcome import Outcome, Result
from resolver.flow.outcome import Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.observe.health import Health
from resolver.observe.records import RecordBuffer
from resolver.observe.tally import hits_of
from resolver.policy.table import PolicyTable, open_table
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood
from resolver.server.facts import list_facts, policy_facts
from resolver.server.lists import lists_to_keep, remark_missing
from resolver.wire.names import name_from_text as n

NOW = 1.7e9
SECRETS = ("hidden", "silent", "Hush", "S-99", "cloak")
"""Labels, names, titles and references that nobody outside may read."""
POLICY = """\
version: 1
orders:
  silent: {authority: Court, title: Hush now, reference: S-99, confidential: true}
  public: {authority: Court, title: Known, reference: P-1}
exchanges:
  hidden: {name: Hidden Coin, order: silent, domains: [hidden.example, cloak.example], addresses: [203.0.113.8]}
  both: {name: Both, order: [silent, public], domains: [both.example]}
  plain: {name: Plain, order: public, domains: [plain.example]}
lists:
- {name: hidden-list, path: hidden.txt, order: silent}
"""


def compiled(folder: Path, text: str = POLICY, *, state: bool = False, conceal: bool = True) -> Compiled:
    (folder / "hidden.txt").write_text("cloaked.example\n")
    (folder / "blocklist.yaml").write_text(text)
    state_dir = folder / "state" if state else None
    images = folder / "state" / "images"
    return compile_policy(folder / "blocklist.yaml", images, state_dir=state_dir, now=NOW, conceal=conceal)


def table(folder: Path, *, is_shared: bool = False) -> PolicyTable:
    made = compiled(folder)
    assert made.image is not None, made.problems
    return open_table(made.image, NOW, 0.0, 1, is_shared=is_shared)


def holds_secret(text: object) -> list[str]:
    return [secret for secret in SECRETS if secret in str(text)]


@pytest.mark.parametrize("name", ["hidden.example", "www.cloak.example", "cloaked.example"])
def test_it_is_blocked_without_a_text_and_counted_under_one_label(tmp_path: Path, name: str) -> None:
    verdict = table(tmp_path).judge_name(n(name), 0.0)
    assert verdict.is_blocked and verdict.match is not None
    assert verdict.match.rule.ede_text == "" and verdict.match.rule.ede == 16
    [hit] = [hit for hit in hits_of(verdict) if hit is not None]
    assert hit.label == "confidential" and not holds_secret((hit, verdict.match.rule.name))


def test_beside_a_public_order_only_that_one_is_shown(tmp_path: Path) -> None:
    verdict = table(tmp_path).judge_name(n("both.example"), 0.0)
    assert verdict.match is not None and verdict.match.rule.label == "both"
    assert "P-1" in verdict.match.rule.ede_text and not holds_secret(verdict.match.rule.ede_text)


def test_it_has_no_series_of_its_own_and_is_in_the_totals(tmp_path: Path) -> None:
    facts = policy_facts(table(tmp_path), "hash")
    assert not holds_secret(facts)
    assert set(facts.states) == {"both", "plain"} == set(facts.rules) == set(facts.described)
    assert facts.concealed == (("enforced", 2),)
    assert ("confidential", "nxdomain", "enforce") in facts.exchanges


def test_the_end_that_is_told_is_that_of_the_last_public_order(tmp_path: Path) -> None:
    text = POLICY.replace("reference: P-1", "reference: P-1, until: 2030-01-01")
    text = text.replace("reference: S-99", "reference: S-99, until: 2040-01-01")
    made = compiled(tmp_path, text)
    assert made.image is not None, made.problems
    facts = policy_facts(open_table(made.image, NOW, 0.0, 1), "hash")
    assert facts.ends == {"both": 1_893_456_000.0, "plain": 1_893_456_000.0}


@pytest.mark.parametrize("only_blocked", [True, False])
def test_there_is_no_record_of_its_hits(tmp_path: Path, only_blocked: bool) -> None:
    buffer = RecordBuffer(only_blocked=only_blocked, now=lambda: 1.0)
    peer = Peer(bytes(4), Transport.UDP)
    for name in ("hidden.example", "plain.example"):
        verdict = table(tmp_path).judge_name(n(name), 0.0)
        buffer.note(peer, name.encode(), Respond(b"", 3, 1, Source.POLICY, verdict))
    assert [record.octets for record in buffer.take()] == [b"plain.example"]


def serve(folder: Path) -> None:
    made = compiled(folder, state=True)
    assert made.image is not None
    ImageStore(folder / "state").remember(LastGood(made.key, tuple(made.inputs), tuple(made.paths)))


EDITS: dict[str, Callable[[str], str]] = {
    "emptied": lambda text: "version: 1\nexchanges: {}\n",
    "hidden gone": lambda text: text.replace("[hidden.example, cloak.example]", "[]"),
    "postponed": lambda text: text.replace("order: silent, domains", "from: 2099-01-01, order: silent, domains"),
    "a slip": lambda text: text.replace("[hidden.example", "['http://hidden.example'"),
    "a clash": lambda text: text.replace("[plain.example]", "[plain.example, cloak.example]"),
    "a wrong key": lambda text: text.replace("name: Hidden Coin", "nane: Hidden Coin"),
    "a slip in the order": lambda text: text.replace("confidential: true", "confidential: true, tilte: x"),
    "no YAML": lambda text: text.replace("  hidden: {", "  hidden: {{"),
    "a list gone": lambda text: text.replace("path: hidden.txt", "path: other.txt"),
    "an end": lambda text: text.replace("title: Hush now", "title: Hush now, until: 2020-01-01"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_what_the_server_logs_of_an_edit_names_nothing(tmp_path: Path, edit: str) -> None:
    (tmp_path / "state").mkdir()
    serve(tmp_path)
    text = EDITS[edit](POLICY)
    assert text != POLICY
    outside = compiled(tmp_path, text, state=True)
    said = [*(problem.message for problem in outside.problems), *outside.losses]
    assert said and not [line for line in said if holds_secret(line)], said
    # Whoever may read the blocklist is told.
    inside = compiled(tmp_path, text, state=True, conceal=False)
    assert holds_secret([problem.message for problem in inside.problems]) or edit == "no YAML"


@pytest.mark.parametrize("source", ["path: hidden.txt", "url: https://lists.example/hidden"])
def test_what_is_said_of_a_confidential_list_names_neither_its_file_nor_its_lines(
    tmp_path: Path, source: str
) -> None:
    lines = "cloaked.example\ncloaked.exam ple\n" + "cloak_ed..example\n" * 3
    copy = stored_path(tmp_path / "state", "hidden-list")
    for path in (tmp_path / "other.txt", copy):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lines)
    text = POLICY.replace("path: hidden.txt", source.replace("path: hidden", "path: other"))
    outside = compiled(tmp_path, text, state=True)
    files = [problem.file for problem in outside.problems]
    assert HINT in [problem.message for problem in outside.problems]
    assert set(files) == {str(tmp_path / "blocklist.yaml")}
    assert not holds_secret([problem.message for problem in outside.problems])
    inside = compiled(tmp_path, text, state=True, conceal=False)
    assert any("other.txt" in problem.file or "hidden" in problem.file for problem in inside.problems)


def test_what_a_check_says_of_a_confidential_lists_name_is_not_said_outside(tmp_path: Path) -> None:
    head = "ae_website,ae_website_platform,ae_lei,ac_authorisationNotificationDate,ac_authorisationEndDate,"
    head += "ae_competentAuthority,ae_lei_name,ae_homeMemberState"
    (tmp_path / "casps.csv").write_text(f"{head}\ncloaked.example,,X1,01/01/2026,,CA,Firm,DE\n")
    text = POLICY + "- {name: licensed, path: casps.csv, kind: check, format: register/esma-casps}\n"
    inside = compiled(tmp_path, text, conceal=False)
    assert "cloaked.example is blocked" in str(inside.problems)
    assert "cloaked.example" not in str(compiled(tmp_path, text).problems)


def test_a_confidential_download_has_no_series_and_no_name_in_logs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = "url: https://lists.example/hidden"
    text = POLICY.replace("path: hidden.txt", source)
    made = compiled(tmp_path, text, state=True)
    assert made.image is not None
    [wanted] = lists_to_keep(open_table(made.image, NOW, 0.0, 1))
    assert wanted.name == "hidden-list" and wanted.is_confidential

    async def run(one: DownloadedList) -> Outcome:
        return Outcome(one.name, Result.CONNECT, f"no connection to lists.example for {one.name}")

    async def story() -> None:
        caplog.set_level(logging.INFO)
        health = Health()
        keeper = ListKeeper(
            tmp_path / "state", run, LoopClock(asyncio.get_running_loop()), lambda: None, wall=lambda: NOW
        )
        keeper.follow([wanted])
        keeper.start()
        await keeper.settle(10)
        assert list_facts(keeper, NOW) == ()
        remark_missing(keeper, health)
        assert "never downloaded: confidential" in str(health.remarks())
        assert not holds_secret(health.remarks())
        await keeper.close()

    asyncio.run(story())
    assert "list confidential" in caplog.text and not holds_secret(caplog.text)


def test_a_remark_that_must_not_be_read_says_where_it_can_be(tmp_path: Path) -> None:
    outside = compiled(tmp_path, EDITS["a slip"](POLICY))
    assert [problem.message for problem in outside.problems if problem.severity == "error"] == [HINT]


@pytest.mark.parametrize("list_format", FORMATS)
def test_an_export_leaves_it_out_and_says_how_many(tmp_path: Path, list_format: str) -> None:
    def written(is_shared: bool) -> tuple[str, dict[LossKind, int]]:
        export = export_policy(table(tmp_path, is_shared=is_shared), list_format, NOW, tmp_path / "out.conf")
        text = "".join(line for file in export.files for line in file.lines)
        return text, {loss.kind: loss.count for loss in export.losses.all()}

    text, losses = written(is_shared=True)
    assert "plain.example" in text and not holds_secret(text)
    assert losses[LossKind.CONFIDENTIAL] == 4
    text, losses = written(is_shared=False)
    assert "hidden.example" in text and "cloaked.example" in text
    assert not [secret for secret in ("Hidden Coin", "Hush", "S-99", "silent") if secret in text]
    assert LossKind.CONFIDENTIAL not in losses
