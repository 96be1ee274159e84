"""Safety rails on lists, on what served before, on dates; and how an approval overrules them."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.publishing.approvals import Approval, add_approval, approvals_path, content_hash
from resolver.publishing.compiled import Compiled
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood

NOW = 1.7e9
HEAD = "version: 1\nexchanges:\n  one: {name: One, domains: [one.example]}\n"


class Stage:
    """A blocklist with one list, and the state that a server would keep."""

    def __init__(self, folder: Path) -> None:
        self.blocklist = folder / "blocklist.yaml"
        self.list = folder / "ads.txt"
        self.state = folder / "state"
        self.state.mkdir()
        self.write()

    def write(self, entry: str = "", text: str = HEAD) -> None:
        self.blocklist.write_text(f"{text}lists:\n  - {{name: ads, path: ads.txt{entry}}}\n")

    def fill(self, count: int, more: str = "") -> None:
        self.list.write_text("".join(f"n{number}.example\n" for number in range(count)) + more)

    def compile(self) -> Compiled:
        return compile_policy(self.blocklist, self.state / "images", state_dir=self.state, now=NOW)

    def serve(self) -> None:
        """Compile, and note it as what serves."""
        compiled = self.compile()
        assert compiled.image is not None, compiled.problems
        note = LastGood(compiled.key, tuple(compiled.inputs), tuple(compiled.paths))
        ImageStore(self.state).remember(note)

    def approve(self, reason: str) -> None:
        compiled = self.compile()
        blocklist = compiled.inputs[0].sha256 if compiled.has_objections_to_blocklist else ""
        add_approval(self.state, Approval(content_hash(compiled.inputs), "ann", NOW, reason, blocklist))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.parametrize(("before", "after", "verb"), [(3000, 1499, "shrank"), (3000, 4501, "grew")])
def test_a_list_that_changed_too_much_is_not_loaded(stage: Stage, before: int, after: int, verb: str) -> None:
    stage.fill(before)
    stage.serve()
    stage.fill(after)
    compiled = stage.compile()
    assert compiled.image is None and not compiled.transient
    [problem] = compiled.problems
    assert problem.forcible and problem.line == 5 and f"'ads' {verb} by 50 %" in problem.message


@pytest.mark.parametrize(
    ("before", "after", "entry"),
    [
        (3000, 1500, ""),
        (3000, 4500, ""),
        (18, 9, ""),
        (900, 2, ", change_max_percent: 100"),
        (3000, 300, ", change_max_percent: 90"),
        (3000, 20_000, ", change_max_percent: 1000"),
    ],
)
def test_a_list_that_changed_within_bounds_is_loaded(
    stage: Stage, before: int, after: int, entry: str
) -> None:
    stage.write(entry)
    stage.fill(before)
    stage.serve()
    stage.fill(after)
    assert stage.compile().image is not None


def test_a_small_list_may_grow_and_not_lose_most_of_its_names(stage: Stage) -> None:
    stage.fill(30)
    stage.serve()
    stage.fill(14)
    compiled = stage.compile()
    assert compiled.image is None and "'ads' shrank by 53 %" in compiled.problems[0].message
    stage.fill(900)
    assert stage.compile().image is not None


def test_the_bound_of_all_lists_can_be_set_at_once(stage: Stage) -> None:
    stage.write(text=HEAD + "defaults: {change_max_percent: 10}\n")
    stage.fill(3000)
    stage.serve()
    stage.fill(2000)
    assert stage.compile().image is None


def test_a_list_that_shrinks_within_bounds_is_told_in_the_log(stage: Stage) -> None:
    stage.fill(900)
    stage.serve()
    stage.fill(901)
    assert stage.compile().losses == []
    stage.fill(500)
    assert stage.compile().losses == ["fewer names than before: list ads: 900 -> 500"]


def test_the_first_load_of_a_list_has_nothing_to_be_compared_with(stage: Stage) -> None:
    stage.fill(100_000)
    assert stage.compile().image is not None


def test_an_image_that_is_there_already_is_judged_all_the_same(stage: Stage) -> None:
    stage.fill(1200)
    stage.serve()
    stage.fill(3000)
    stage.approve("meant")
    stage.serve()
    approvals_path(stage.state).unlink()
    stage.fill(1200)
    assert stage.compile().image is None


def test_an_empty_list_is_not_loaded(stage: Stage) -> None:
    stage.list.write_text("# nothing\n")
    compiled = stage.compile()
    assert compiled.image is None
    assert "has no names in it" in compiled.problems[0].message and compiled.problems[0].forcible


def test_an_empty_allow_list_takes_nothing_away_so_it_is_only_told(stage: Stage) -> None:
    stage.write(", kind: allow")
    stage.list.write_text("")
    compiled = stage.compile()
    assert compiled.image is not None
    assert [problem.severity for problem in compiled.problems] == ["warning"]


def test_a_public_suffix_on_a_list_is_left_out_and_told(stage: Stage) -> None:
    stage.fill(2, "co.uk\nshop.co.uk\n")
    compiled = stage.compile()
    assert compiled.counts["per_list"] == {"ads": 3}
    assert [(p.line, p.severity) for p in compiled.problems] == [(3, "warning")]
    assert "'co.uk' is a public suffix" in compiled.problems[0].message


@pytest.mark.parametrize(
    "name",
    [
        "github.io",
        "herokuapp.com",
        "amazonaws.com",
        "blogspot.com",
        "compute.amazonaws.com",
        "com.bd",
        "Pages.dev.",
    ],
)
@pytest.mark.parametrize("match", ["subtree", "below"])
def test_a_shared_platform_on_a_list_is_left_out_and_told(stage: Stage, name: str, match: str) -> None:
    stage.write(f", match: {match}")
    stage.fill(2, f"{name}\nwallet.{name}\n")
    compiled = stage.compile()
    assert compiled.counts["per_list"] == {"ads": 3}
    [problem] = compiled.problems
    assert problem.line == 3 and problem.severity == "warning"
    assert f"{name.lower().rstrip('.')!r} is a public suffix or shared platform" in problem.message


@pytest.mark.parametrize(
    "entry", [", match: exact", ", kind: allow", ", kind: allow, match: below", ", format: hosts"]
)
def test_a_shared_platform_is_no_danger_alone_or_as_an_exception(stage: Stage, entry: str) -> None:
    stage.write(entry)
    sign = "0.0.0.0 " if "hosts" in entry else ""
    stage.list.write_text(f"{sign}github.io\n")
    assert stage.compile().counts["per_list"] == {"ads": 1}


@pytest.mark.parametrize("name", ["ec2-192-0-2-1.compute.amazonaws.com", "www.ck", "wallet.github.io"])
def test_a_name_of_one_customer_stays(stage: Stage, name: str) -> None:
    stage.list.write_text(f"{name}\n")
    compiled = stage.compile()
    assert compiled.counts["per_list"] == {"ads": 1} and compiled.problems == []


def test_a_public_suffix_alone_is_no_danger_where_names_are_exact(stage: Stage) -> None:
    stage.write(", match: exact")
    stage.fill(2, "co.uk\n")
    assert stage.compile().counts["per_list"] == {"ads": 3}


def test_an_exchange_past_its_end_is_told_on_its_line(stage: Stage) -> None:
    stage.fill(1)
    stage.write(text=HEAD + "  two:\n    name: Two\n    domains: [two.example]\n    until: 2020-01-01\n")
    [problem] = stage.compile().problems
    assert problem.line == 7 and problem.severity == "warning"
    assert problem.message.startswith("exchanges.two.until: was 2020-01-01 00:00 UTC")


def test_an_exchange_before_its_end_is_not(stage: Stage) -> None:
    stage.fill(1)
    stage.write(text=HEAD + "  two: {name: Two, domains: [two.example], until: 2030-01-01}\n")
    assert stage.compile().problems == []


FORCIBLE = HEAD + "  two: {name: Two, domains: [co.uk]}\n"


def test_an_approval_overrules_the_rails_and_is_told_with_the_result(stage: Stage) -> None:
    stage.list.write_text("")
    stage.write(text=FORCIBLE)
    assert stage.compile().image is None
    stage.approve("ordered by the court")
    compiled = stage.compile()
    assert compiled.image is not None
    assert all(problem.message.endswith("(forced)") for problem in compiled.problems)
    assert compiled.approval is not None and compiled.approval.reason == "ordered by the court"


def test_an_approved_name_is_approved_for_these_octets_of_the_blocklist_only(stage: Stage) -> None:
    stage.fill(1)
    stage.write(text=FORCIBLE)
    stage.approve("meant")
    assert stage.compile().image is not None
    stage.write(text=FORCIBLE + "# one more line\n")
    assert stage.compile().image is None


def test_an_approved_name_stays_approved_however_its_lists_change(stage: Stage) -> None:
    stage.fill(1)
    stage.write(text=FORCIBLE)
    stage.approve("meant")
    stage.fill(2)
    compiled = stage.compile()
    assert compiled.image is not None
    assert compiled.approval is not None and compiled.approval.reason == "meant"


def test_an_approved_name_approves_no_size_of_a_list(stage: Stage) -> None:
    stage.fill(3000)
    stage.write(text=FORCIBLE)
    stage.approve("meant")
    stage.serve()
    stage.fill(10)
    compiled = stage.compile()
    assert compiled.image is None
    [problem] = [problem for problem in compiled.problems if problem.severity == "error"]
    assert "shrank by 99 %" in problem.message


def test_an_approved_size_is_for_these_octets_of_the_list_only(stage: Stage) -> None:
    stage.fill(3000)
    stage.serve()
    stage.fill(10)
    stage.approve("meant")
    assert stage.compile().image is not None
    stage.fill(11)
    compiled = stage.compile()
    assert compiled.image is None and compiled.approval is None


def test_an_approval_without_a_reason_overrules_nothing(stage: Stage) -> None:
    stage.fill(1)
    stage.write(text=FORCIBLE)
    stage.approve("")
    compiled = stage.compile()
    assert compiled.image is None and compiled.approval is not None


def test_an_approval_does_not_cure_what_is_no_rail(stage: Stage) -> None:
    stage.fill(1)
    stage.write(text=FORCIBLE + "  three: {name: Three, domains: ['not a name']}\n")
    stage.approve("meant")
    assert stage.compile().image is None


def test_a_new_approval_is_a_reason_to_look_again(stage: Stage) -> None:
    stage.fill(1)
    assert str(approvals_path(stage.state)) in stage.compile().paths
