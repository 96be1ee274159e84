"""Finds the wheel with the native engine that was built of the sources in this folder.

    python packaging/tools/wheel_of_source.py FOLDER MACHINE

Prints its path.  Ends with 1 where there is none, and says why each that is there is not the one.
Knows: names of wheels.  Does not know: how one is built.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "packaging" / "wheels"))

from sources import differences  # noqa: E402 - not before its folder is known.


def main(folder: Path, machine: str, root: Path = ROOT) -> int:
    """Where wheels lie, for which machine -> exit code."""
    for wheel in sorted(folder.glob(f"exchange_resolver-*-cp311-abi3-manylinux*_{machine}.whl")):
        try:
            reasons = differences(wheel, root)
        except (OSError, zipfile.BadZipFile) as error:
            reasons = [str(error)]
        if not reasons:
            print(wheel)
            return 0
        more = f", and {len(reasons) - 1} more" if len(reasons) > 1 else ""
        print(f"{wheel} is not of these sources: {reasons[0]}{more}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), sys.argv[2]))
