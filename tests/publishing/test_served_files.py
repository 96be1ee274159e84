"""What a server holds of the policy in force stays what it was, whatever becomes of `state_dir` meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from resolver.policy.image import Image
from resolver.publishing.compiler import compile_policy
from resolver.publishing.image_store import ImageStore, LastGood
from resolver.publishing.served_files import ServedFiles

TEXT = "version: 1\nexchanges: {one: {name: One, domains: [one.example]}}\n"


class Held:
    """A policy with the serial 7 that is in force, and held."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.store = ImageStore(self.state)
        blocklist = folder / "b.yaml"
        blocklist.write_text(TEXT)
        made = compile_policy(blocklist, self.store.images, state_dir=self.state)
        assert made.image is not None
        self.key, self.inputs = made.key, tuple(made.inputs)
        self.image = Image(made.image)
        self.note = LastGood(self.key, self.inputs, (), serial=7, granted=("a",))
        self.files = ServedFiles(self.store)

    def hold(self) -> None:
        self.files.hold(self.image, self.key, self.inputs, ())


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    one = Held(tmp_path)
    yield one
    one.files.close()


@pytest.mark.parametrize("is_held_again", [False, True], ids=["once", "and of a pause again"])
def test_all_of_it_is_put_back(held: Held, is_held_again: bool) -> None:
    held.store.remember(held.note)
    held.hold()
    shutil.rmtree(held.state)
    held.state.mkdir()
    if is_held_again:
        held.hold()
    assert held.files.put_back()
    assert held.store.last_good() == held.note
    assert held.store.text_path_of(held.key).read_text() == TEXT


def test_a_note_that_could_not_be_written_is_held_all_the_same(held: Held) -> None:
    held.files.noted(held.note)
    held.hold()
    assert held.files.put_back() and held.store.last_good() == held.note


def test_a_note_that_nobody_knows_is_not_made_up(held: Held) -> None:
    held.hold()
    held.store.path_of(held.key).unlink()
    assert held.files.put_back()
    assert held.store.last_good() is None
