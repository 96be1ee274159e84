"""The files that people edit, as one text of the blocklist names them, and as they stand now.

Knows: which lists of a text are local, how the compiler hashes them.  Does not know: who may approve them.
Theory: whoever approves a text approves the lists that it names, too, octet for octet, and those that the
policy in force does not know yet above all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from resolver.blocklist.reader import read_blocklist
from resolver.changing.blocklist import Place, Text
from resolver.publishing.compiled import InputFile
from resolver.publishing.image_store import ImageStore, hash_file


def own_files(place: Place, text: Text) -> list[InputFile]:
    """The blocklist and the local lists that `text` names, in its order; one not there has an empty hash."""
    found = [InputFile(str(place.blocklist), text.sha256, len(text.octets))]
    blocklist, _ = read_blocklist(place.blocklist, octets=text.octets, force=True)
    for spec in () if blocklist is None else blocklist.lists:
        if spec.download is None:
            found.append(_hashed(spec.path))
    return found


def _hashed(path: Path) -> InputFile:
    try:
        return hash_file(path)
    except OSError:
        return InputFile(str(path), "", 0)


def changed_lists(place: Place, own: Iterable[InputFile]) -> list[InputFile]:
    """The lists among `own` (the blocklist first) that are not what serves; those new in the text, too."""
    note = ImageStore(place.state_dir).last_good()
    served = {} if note is None else {entry.path: entry.sha256 for entry in note.inputs}
    return [entry for entry in list(own)[1:] if served.get(entry.path) != entry.sha256]


def hashes_of(own: Iterable[InputFile]) -> dict[str, str]:
    """Path -> SHA-256 of each, for whoever looks at what is approved."""
    return {entry.path: entry.sha256 for entry in own}
