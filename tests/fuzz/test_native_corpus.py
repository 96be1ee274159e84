"""The corpus of the native fuzz targets is what its writer writes today."""

from __future__ import annotations

from tests.fuzz.write_corpus import FOLDER, files


def test_the_native_corpus_is_up_to_date() -> None:
    for name, octets in files().items():
        assert (FOLDER / name).read_bytes() == octets, f"{name}: run python -m tests.fuzz.write_corpus"
