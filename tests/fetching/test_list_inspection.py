"""What a download is counted as: the rules it would serve, as the compiler counts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from resolver.blocklist.downloads import Download, DownloadedList, downloaded_list_from
from resolver.fetching.inspection import count_entries
from resolver.fetching.outcome import FetchFailed, Result
from resolver.publishing.compiler import compile_policy
from tests.support.for_each import for_each

DOWNLOAD = Download("https://lists.example/ads", 3600, 20.0, 1 << 20)


def wanted(**more: Any) -> DownloadedList:
    return DownloadedList("ads", "auto", 50, DOWNLOAD, **more)


def count(folder: Path, text: str, **more: str) -> int:
    path = folder / "ads.txt"
    path.write_text(text)
    return count_entries(path, wanted(**more))


def served(folder: Path, text: str, **more: str) -> int:
    """The compiler's number for the same list as a local file."""
    (folder / "ads.txt").write_text(text)
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    (folder / "b.yaml").write_text(
        f"version: 1\nexchanges: {{}}\nlists: [{{name: ads, path: ads.txt{keys}}}]\n"
    )
    compiled = compile_policy(folder / "b.yaml", folder / "images", force=True)
    assert compiled.image is not None, compiled.problems
    number = compiled.counts["per_list"]["ads"]
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize(
    "text", ["co.uk\n" * 3000, "github.io\n", "||co.uk^\n||amazonaws.com^\n", "*.com.bd\n"]
)
def test_list_of_nothing_that_may_be_blocked_is_no_list(tmp_path: Path, text: str) -> None:
    with pytest.raises(FetchFailed, match="public suffixes and shared platforms") as failure:
        count(tmp_path, text)
    assert failure.value.result is Result.NOT_A_LIST


def test_one_name_among_suffixes_is_a_list_of_one(tmp_path: Path) -> None:
    assert count(tmp_path, "co.uk\n" * 3000 + "a.example\n" * 5) == 1


@for_each("more", [{}, {"match": "exact"}, {"match": "below"}, {"match": "subtree"}, {"kind": "allow"}])
@for_each(
    "text",
    [
        "a.example\nA.example.\nco.uk\nb.example\n" * 3,
        "0.0.0.0 a.example b.example\n0.0.0.0 github.io\n0.0.0.0 a.example\n",
        "*.a.example\na.example\n*.a.example\n*.co.uk\nco.uk\n",
        "||a.example^\n|a.example^\n@@||a.example^\n@@||github.io^\n||github.io^\n||a.example^\n",
        "@ SOA a. b. 1 2 3 4 5\na.example CNAME .\n*.a.example CNAME .\na.example CNAME .\n"
        "b.example CNAME *.\nb.example A 192.0.2.1\n*.co.uk CNAME .\n24.0.113.0.203.rpz-ip CNAME .\n",
    ],
    ids=["domains", "hosts", "wildcard", "adblock", "rpz"],
)
def test_download_is_counted_as_the_compiler_counts_it(
    tmp_path: Path, text: str, more: dict[str, str]
) -> None:
    assert count(tmp_path, text, **more) == served(tmp_path, text, **more)


def test_list_of_exceptions_may_name_platforms(tmp_path: Path) -> None:
    assert count(tmp_path, "github.io\n", kind="allow") == 1
    assert count(tmp_path, "@@||github.io^\n") == 1


def test_what_a_list_asks_for_reaches_the_child_whole() -> None:
    asked = wanted(match="below", kind="allow")
    assert downloaded_list_from(json.loads(json.dumps(asked.as_json()))) == asked
