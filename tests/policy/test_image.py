"""The image: what is written reads back, and what is damaged is never served."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolver.policy import image as layout
from resolver.policy.image import Effect, Image, ImageUnusable, Section, read_meta
from resolver.policy.verdict import Mode, PolicyAction, RuleForm
from resolver.publishing.image_writer import ImageWriter, TooManyRules
from resolver.wire.names import name_from_text as n
from tests.support.policy_maker import NO_META, PolicyMaker, make_rule


def written(folder: Path) -> Path:
    maker = PolicyMaker().block(make_rule(), "example.com", "=a.example").allow("x.example.com")
    return maker.addresses(make_rule(), "192.0.2.0/24").write(folder / "whole.policy")


def test_every_property_of_a_rule_survives_the_round_trip(tmp_path: Path) -> None:
    rule = make_rule(
        action=PolicyAction.SINKHOLE,
        mode=Mode.SHADOW,
        ttl_s=86400,
        sinkhole_ipv4=bytes([192, 0, 2, 1]),
        sinkhole_ipv6=bytes(range(16)),
        ede=16,
        ede_text="Gesperrt: Börse — noc@example.net",
        category="exchange",
        orders=("one", "two"),
        starts_at=1.5,
        ends_at=2e9,
    )
    image = Image(PolicyMaker().block(rule, "example.com").write(tmp_path / "r.policy"))
    assert image.rules == (rule,)
    assert image.classes[0].form is RuleForm.SUBTREE and image.classes[0].effect is Effect.BLOCK


def test_written_image_is_read_only_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert path.stat().st_mode & 0o222 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_name_is_found_and_its_neighbours_are_not(tmp_path: Path) -> None:
    image = Image(written(tmp_path))
    assert image.refs_at(image.find(n("a.example")))[0][1] == 2
    assert image.find(n("b.example")) == 0 and image.find(n("example")) == 0


def test_name_on_several_lists_has_one_record_and_repeats_are_counted(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule("list", "one"), "a.example", "a.example")
    maker.block(make_rule("list", "two"), "a.example", "a.example", "a.example")
    image = Image(maker.write(tmp_path / "d.policy"))
    assert len(image.refs_at(image.find(n("a.example")))) == 2
    assert maker.writer.duplicates == {0: 1, 1: 2}


def test_more_rules_for_one_name_than_a_record_holds_are_refused(tmp_path: Path) -> None:
    maker = PolicyMaker()
    for number in range(layout.REFS_PER_NAME_MAX + 1):
        maker.block(make_rule("list", f"list{number}"), "a.example")
    with pytest.raises(TooManyRules, match="255 rules"):
        maker.write(tmp_path / "many.policy")
    assert list(tmp_path.iterdir()) == []


@given(st.sets(st.binary(min_size=1, max_size=12), max_size=300), st.integers(0, 2**64 - 1))
@settings(max_examples=30, deadline=None)
def test_any_label_is_found_under_any_seed(labels: set[bytes], seed: int) -> None:
    names = [bytes([len(label)]) + label.lower() + n("example.com") for label in labels]
    names = list(dict.fromkeys(names))
    writer = ImageWriter(seed)
    class_id = writer.class_of(make_rule("list"), RuleForm.EXACT, Effect.BLOCK, "f")
    writer.add_names(class_id, names, range(1, len(names) + 1))
    with tempfile.TemporaryDirectory() as folder:
        writer.write(Path(folder, "x.policy"), NO_META)
        image = Image(Path(folder, "x.policy"))
        for line, name in enumerate(names, start=1):
            assert image.refs_at(image.find(name)) == [(class_id, line)]
        assert image.find(n("absent.example.org")) == 0
        assert image.homes >= 3 * len(names)


def test_class_is_for_everybody_unless_its_audience_says_otherwise(tmp_path: Path) -> None:
    rule = make_rule()
    maker = PolicyMaker().block(rule, "a.example").meant_for(1, 63).block(rule, "b.example", "c.example")
    image = Image(maker.write(tmp_path / "groups.policy"))
    assert [origin.audience for origin in image.classes] == [layout.AUDIENCE_ALL, 1 << 63 | 1 << 1]
    everybody, some = image.classes
    assert [group for group in range(layout.GROUPS_MAX) if some.is_for(group)] == [1, 63]
    assert all(everybody.is_for(group) for group in range(layout.GROUPS_MAX))


def test_mark_of_an_exception_is_for_those_who_have_the_exception(tmp_path: Path) -> None:
    maker = PolicyMaker().block(make_rule(), "example.com").meant_for(5).allow("x.example.com")
    image = Image(maker.write(tmp_path / "mark.policy"))
    marks = [origin for origin in image.classes if origin.effect is Effect.MARKER]
    assert [origin.audience for origin in marks] == [1 << 5]


# What an older format says to people.


def in_format(version: int, path: Path) -> Path:
    """The image at `path`, as if written in another format."""
    octets = bytearray(path.read_bytes())
    struct.pack_into("<I", octets, 8, version)
    path.chmod(0o644)
    path.write_bytes(octets)
    return path


def test_image_of_the_older_format_is_refused_but_its_words_are_read(tmp_path: Path) -> None:
    path = in_format(2, written(tmp_path))
    with pytest.raises(ImageUnusable, match="format version 2, this program reads 5"):
        Image(path)
    assert read_meta(path)["blocklist"] == "blocklist.yaml"


@pytest.mark.parametrize("version", [0, 1, layout.FORMAT_VERSION + 1])
def test_words_of_a_format_that_may_keep_them_elsewhere_are_not_read(tmp_path: Path, version: int) -> None:
    with pytest.raises(ImageUnusable):
        read_meta(in_format(version, written(tmp_path)))


@pytest.mark.parametrize("length", [0, 100, 250, 300, -1])
def test_words_of_a_truncated_image_are_not_read(tmp_path: Path, length: int) -> None:
    octets = written(tmp_path).read_bytes()
    broken = tmp_path / "broken.policy"
    broken.write_bytes(octets[:length])
    with pytest.raises(ImageUnusable):
        read_meta(broken)


# Damage.


@pytest.mark.parametrize("length", [0, 1, 100, 255, 256, 1000, -1])
def test_truncated_image_is_refused_at_opening(tmp_path: Path, length: int) -> None:
    octets = written(tmp_path).read_bytes()
    broken = tmp_path / "broken.policy"
    broken.write_bytes(octets[:length])
    with pytest.raises(ImageUnusable):
        Image(broken)


def test_image_with_octets_to_spare_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.policy"
    broken.write_bytes(written(tmp_path).read_bytes() + b"\0")
    with pytest.raises(ImageUnusable, match="header says"):
        Image(broken)


def test_each_flipped_octet_is_noticed(tmp_path: Path) -> None:
    octets = bytearray(written(tmp_path).read_bytes())
    broken = tmp_path / "broken.policy"
    for place in range(0, len(octets), 7):
        octets[place] ^= 0x41
        broken.write_bytes(octets)
        with pytest.raises(ImageUnusable):
            Image(broken).verify()
        octets[place] ^= 0x41
    broken.write_bytes(octets)
    Image(broken).verify()


def test_other_files_and_other_versions_are_refused_by_name(tmp_path: Path) -> None:
    octets = bytearray(written(tmp_path).read_bytes())
    broken = tmp_path / "broken.policy"
    struct.pack_into("<I", octets, 8, layout.FORMAT_VERSION + 1)
    broken.write_bytes(octets)
    with pytest.raises(ImageUnusable, match=f"format version {layout.FORMAT_VERSION + 1}, "):
        Image(broken)
    broken.write_bytes(b"#!/bin/sh\n" * 100)
    with pytest.raises(ImageUnusable, match="no policy image"):
        Image(broken)
    with pytest.raises(ImageUnusable, match="cannot map"):
        Image(tmp_path / "absent.policy")


def test_section_outside_the_file_is_refused(tmp_path: Path) -> None:
    octets = bytearray(written(tmp_path).read_bytes())
    struct.pack_into("<Q", octets, 32 + 16 * Section.BLOB, len(octets))
    broken = tmp_path / "broken.policy"
    broken.write_bytes(octets)
    with pytest.raises(ImageUnusable, match="outside"):
        Image(broken)


def test_an_image_that_does_not_read_back_is_not_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ImageUnusable("its checksum is wrong")

    monkeypatch.setattr(Image, "verify", fail)
    with pytest.raises(ImageUnusable, match="checksum"):
        written(tmp_path)
    assert list(tmp_path.iterdir()) == []
