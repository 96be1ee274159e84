"""What is confidential: served and counted, and named nowhere but in local commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from resolver.blocklist.concealing import HINT
from resolver.export import FORMATS, LossKind, export_policy
from resolver.flow.outcome import Respond, Source
from resolver.flow.peer import Peer, Transport
from resolver.observe.records import RecordBuffer
from resolver.observe.tally import hits_of
from resolver.policy.table import PolicyTable, open_table
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood
from resolver.server.facts import policy_facts
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
    assert set(facts.states) == {"both", "plain"} == set(facts.rules)
    assert facts.concealed == (("enforced", 2),)
    assert ("confidential", "nxdomain", "enforce") in facts.exchanges


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
