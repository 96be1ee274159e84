"""What tests of the native module share."""

from __future__ import annotations

from pathlib import Path

import pytest

from resolver.publishing.compiler import compile_policy

BLOCKLIST = """\
version: 1
exchanges: {}
lists:
  - {name: ads, path: ads.txt, format: domains}
"""


@pytest.fixture(scope="session")
def ads_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that blocks ads.example."""
    folder = tmp_path_factory.mktemp("policy")
    (folder / "ads.txt").write_text("ads.example\n")
    (folder / "blocklist.yaml").write_text(BLOCKLIST)
    compiled = compile_policy(folder / "blocklist.yaml", folder / "images")
    assert compiled.image is not None, compiled.problems
    return compiled.image
