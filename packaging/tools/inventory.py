"""Says what a package holds: a bill of materials (CycloneDX), and the licences of everything in it.

    python packaging/tools/inventory.py FOLDER --sbom FILE --licences FILE --copyright FILE
                                        [--pythons 3.11 3.13] [--root FOLDER]

FOLDER holds installed Python distributions (`*.dist-info`).  `--pythons`: fail where one of them lacks what
a distribution needs there.  `--root`: a file system made of Debian's packages, which are listed, too.
Knows: the metadata of Python distributions (also of what is compiled or bundled into one: PEP 770), of
Debian's packages.  Does not know: the network.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

OURS = "exchange-resolver"
LICENCE_FILES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE", "AUTHORS")
DEBIAN_STATUS = "var/lib/dpkg/status"

Component = dict[str, Any]


def main(words: list[str] | None = None) -> int:
    """argv -> exit code."""
    asked = _arguments(words)
    found = sorted(distributions(path=[str(asked.folder)]), key=_name)
    if missing := [text for python in asked.pythons for text in lacking(found, python)]:
        print("\n".join(missing), file=sys.stderr)
        return 1
    parts = [component_of(one) for one in found if _name(one) != OURS]
    parts += inner_components(found)
    if asked.root:
        parts += debian_components(asked.root / DEBIAN_STATUS)
    if asked.sbom:
        asked.sbom.write_text(json.dumps(bill(parts, found), indent=1) + "\n")
    if asked.licences:
        asked.licences.write_text("\n".join(licence_texts(found)), encoding="utf-8")
    if asked.copyright:
        asked.copyright.write_text("\n".join(copyright_lines(parts)), encoding="utf-8")
    return 0


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name in ("--sbom", "--licences", "--copyright", "--root"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--pythons", nargs="*", default=[])
    return parser.parse_args(words)


def _name(one: Distribution) -> str:
    return one.name.lower().replace("_", "-")


def lacking(found: list[Distribution], python: str) -> list[str]:
    """What is needed with this Python (`3.13`) and is not there, one line each."""
    from packaging.requirements import Requirement

    there = {_name(one) for one in found}
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    told = []
    for one in found:
        for text in one.requires or ():
            needed = Requirement(text)
            wanted = needed.marker is None or needed.marker.evaluate(environment)
            if wanted and needed.name.lower().replace("_", "-") not in there:
                told.append(f"Python {python}: {one.name} needs {needed.name}, which is not there")
    return told


def component_of(one: Distribution) -> Component:
    """A Python distribution as a component of CycloneDX."""
    purl = f"pkg:pypi/{_name(one)}@{one.version}"
    expression = one.metadata.json.get("license_expression")
    licence = {"expression": str(expression)} if expression else _named(licence_in_words(one))
    return _component(_name(one), one.version, purl, licence)


def _named(licence: str) -> Component:
    return {"license": {"name": licence}} if licence else {}


def _component(name: str, version: str, purl: str, licence: Component) -> Component:
    told = [licence] if licence else []
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "licenses": told,
    }


def licence_in_words(one: Distribution) -> str:
    """Its licence where it gives no SPDX expression: the classifiers, else the first line of `License:`."""
    classes = [text for text in one.metadata.get_all("Classifier") or () if text.startswith("License ::")]
    if classes:
        return ", ".join(text.rpartition(" :: ")[2] for text in classes)
    return str(one.metadata.json.get("license") or "").strip().split("\n")[0]


def inner_components(found: list[Distribution]) -> list[Component]:
    """What is compiled into the distributions, as far as they tell (PEP 770); of ours the native engine
    and the dashboard."""
    kept = ("type", "bom-ref", "name", "version", "purl", "licenses")
    return [
        {"bom-ref": part["purl"], "licenses": []} | {key: part[key] for key in kept if key in part}
        for one in found
        for path in sorted(_folder(one).glob("sboms/*.json"))
        for part in json.loads(path.read_text(encoding="utf-8")).get("components", [])
        if "purl" in part
    ]


def _folder(one: Distribution) -> Path:
    return Path(str(one._path))  # type: ignore[attr-defined]  # There is no public word for the folder.


def debian_components(status: Path) -> list[Component]:
    """The Debian packages of a file system, out of dpkg's own list."""
    parts = []
    for paragraph in status.read_text().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " "
        )
        if "Package" in fields:
            name, version = fields["Package"], fields["Version"]
            purl = f"pkg:deb/debian/{name}@{version}?arch={fields['Architecture']}"
            parts.append(_component(name, version, purl, {}))
    return parts


def bill(parts: Iterable[Component], found: list[Distribution]) -> dict[str, Any]:
    """The document of CycloneDX 1.5."""
    version = next((one.version for one in found if _name(one) == OURS), "0")
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    at = datetime.fromtimestamp(seconds, UTC) if seconds else datetime.now(UTC)
    purl = f"pkg:pypi/{OURS}@{version}"
    own: Component = {"type": "application", "bom-ref": purl, "name": OURS, "version": version, "purl": purl}
    own |= {"licenses": [{"license": {"id": "Apache-2.0"}}]}
    each = {part["purl"]: part | {"bom-ref": part["purl"]} for part in parts}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": own},
        "components": [each[key] for key in sorted(each)],
    }


def licence_texts(found: list[Distribution]) -> list[str]:
    """Every licence text that came along, each once, under the names of what it came with."""
    holders: dict[str, list[str]] = {}
    for one in found:
        for path in sorted(_folder(one).rglob("*")):
            if path.is_file() and (
                path.parent.name == "licenses" or path.name.upper().startswith(LICENCE_FILES)
            ):
                text = path.read_text("utf-8", "replace").strip()
                holders.setdefault(text, []).append(f"{one.name} {one.version} ({path.name})")
    return [f"{'=' * 80}\n{chr(10).join(names)}\n\n{text}\n" for text, names in holders.items()]


def copyright_lines(parts: list[Component]) -> list[str]:
    """Debian's `copyright` (format 1.0): ours, and a paragraph that names what comes from elsewhere."""
    lines = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/",
        f"Upstream-Name: {OURS}",
        "",
        "Files: *",
        "Copyright: the authors of exchange-resolver",
        "License: Apache-2.0",
        " On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.",
        "",
        "Files: usr/lib/exchange-resolver/*",
        "Copyright: the authors of each library; see THIRD-PARTY.gz",
        "License: various",
        " The texts of all licences are in THIRD-PARTY.gz in this folder, and sbom.cdx.json",
        " lists every library with its version. By library:",
        " .",
    ]
    for part in sorted(parts, key=lambda part: str(part["purl"])):
        lines.append(f"  {part['purl']}: {_words(part) or 'see THIRD-PARTY.gz'}")
    return [*lines, ""]


def _words(part: Component) -> str:
    told = [one.get("expression") or one["license"].get("name") for one in part["licenses"]]
    return ", ".join(str(one) for one in told if one)


if __name__ == "__main__":
    sys.exit(main())
