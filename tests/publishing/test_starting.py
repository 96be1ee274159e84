"""What is served at the start: the start rule, the last good copy, upgrades."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resolver.policy.image import FORMAT_VERSION
from resolver.publishing.publisher import Publisher
from resolver.publishing.status import StartRefused
from tests.support.publisher_rig import Stage, entry, nothing, play


def test_valid_blocklist_is_compiled_and_published_at_start(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    assert stage.blocks("alpha") and not stage.blocks("beta")
    assert [policy.generation for policy in stage.published] == [1]
    assert (stage.state / "last-good.json").exists()


def test_second_start_finds_its_image_and_compiles_nothing(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    play(stage, nothing)
    assert stage.compiled == 1 and len(stage.published) == 2 and stage.blocks("alpha")


def test_start_after_a_change_compiles_anew(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    stage.write(entry("beta"))
    play(stage, nothing)
    assert stage.blocks("beta") and not stage.blocks("alpha")


def test_invalid_blocklist_without_a_last_good_copy_refuses_to_start_with_every_problem(stage: Stage) -> None:
    stage.write("  a: {nam: A}\n", "  b: {action: nxdomian}\n")
    with pytest.raises(StartRefused) as refusal:
        play(stage, nothing)
    lines = {problem.line for problem in refusal.value.problems}
    assert {5, 6} <= lines and stage.published == []


def test_invalid_blocklist_at_start_serves_the_last_good_copy_loudly(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    stage.blocklist.write_text("exchanges: [")

    async def story(publisher: Publisher) -> None:
        assert stage.blocks("alpha")
        assert publisher.status.serves_last_good and publisher.status.failures == 1
        assert publisher.status.last_problems

    play(stage, story)
    assert "SERVING THE LAST GOOD COPY" in caplog.text


def test_last_good_copy_serves_when_the_blocklist_is_gone(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    stage.blocklist.unlink()
    play(stage, nothing)
    assert stage.blocks("alpha")


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "note"])
def test_damaged_last_good_copy_is_never_served(stage: Stage, damage: str) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    image = stage.published[-1].image.path
    image.with_suffix(".yaml").unlink()
    octets = bytearray(image.read_bytes())
    image.unlink()
    if damage == "truncate":
        image.write_bytes(octets[:-10])
    elif damage == "flip":
        octets[-10] ^= 1
        image.write_bytes(octets)
    elif damage == "note":
        image.write_bytes(octets)
        (stage.state / "last-good.json").write_text('{"key": ')
    stage.blocklist.write_text("exchanges: [")
    with pytest.raises(StartRefused):
        play(stage, nothing)
    assert len(stage.published) == 1


def test_damaged_image_of_an_unchanged_blocklist_is_compiled_anew(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    image = stage.published[-1].image.path
    image.chmod(0o644)
    image.write_bytes(image.read_bytes()[:-1])
    play(stage, nothing)
    assert stage.compiled == 2 and stage.blocks("alpha")


def make_older(stage: Stage) -> Path:
    """The image that served last becomes one of the older format, as an upgrade finds it."""
    note = stage.state / "last-good.json"
    fields = json.loads(note.read_text())
    image = stage.published[-1].image.path
    octets = bytearray(image.read_bytes())
    octets[8:12] = (FORMAT_VERSION - 1).to_bytes(4, "little")
    # An older program names it by its own format: the key is another one.
    older = image.with_name(f"{'0' * 40}.policy")
    older.write_bytes(octets)
    image.unlink()
    note.write_text(json.dumps({**fields, "key": older.stem}))
    return older


def test_start_after_an_upgrade_compiles_an_image_of_the_older_format_anew(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    make_older(stage)
    play(stage, nothing)
    assert stage.compiled == 2 and len(stage.published) == 2 and stage.blocks("alpha")
    assert stage.published[-1].image.path.stem != "0" * 40
    play(stage, nothing)
    assert stage.compiled == 2 and stage.blocks("alpha")


def test_older_image_is_named_where_nothing_can_be_compiled_after_an_upgrade(stage: Stage) -> None:
    stage.write(entry("alpha"))
    play(stage, nothing)
    make_older(stage)
    stage.blocklist.write_text("exchanges: [")
    with pytest.raises(StartRefused) as refusal:
        play(stage, nothing)
    assert len(stage.published) == 1
    said = [str(problem) for problem in refusal.value.problems]
    assert any("last good copy" in text and f"format version {FORMAT_VERSION - 1}" in text for text in said)
    assert any("blocklist.yaml" in text for text in said)
    stage.failing = True
    stage.write(entry("alpha"))
    with pytest.raises(StartRefused, match="No space left"):
        play(stage, nothing)
    assert len(stage.published) == 1
