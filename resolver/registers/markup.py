"""XML: octets -> records as fields, one at a time.

Knows: elements, attributes, paths of local names.  Does not know: what a field means.
Theory: the parser is expat behind `defusedxml`: no document type, so no entities of the document's own and
nothing from elsewhere.  It is fed by the piece and calls back; only the record that is open is held, so
depth, text and fields are bounded and the size of the document is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler
from xml.sax.xmlreader import AttributesImpl

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from resolver.registers.record import RegisterRefused

DEPTH_MAX = 32
"""Of elements; registers have five."""
TEXT_CHARS_MAX = 1 << 16
"""Of one element, and of one attribute."""
FIELDS_MAX = 10_000
"""Of one record: a record of a large network has thousands of addresses."""
WORKING_OCTETS = 1 << 16
"""Fed at a time."""

Fields = dict[str, list[str]]
"""Path from the record (`decision/@number`, `domain`, `` for its own text) -> texts, in their order."""


def elements_of(pieces: Iterable[bytes], path: str) -> Iterator[tuple[int, Fields]]:
    """Records with the number of their first line.  Raises `RegisterRefused`.

    `path`: local names from the root's on, `*` for any: `register/content`; the root must be that one.
    """
    gathering = _Gathering(path.split("/"))
    parser = DefusedExpatParser(forbid_dtd=True, forbid_entities=True, forbid_external=True)
    parser.setContentHandler(gathering)
    gathering.line_number = lambda: int(parser.getLineNumber() or 0)
    try:
        for piece in pieces:
            for at in range(0, len(piece), WORKING_OCTETS):
                parser.feed(piece[at : at + WORKING_OCTETS])
                yield from gathering.take()
        parser.close()
    except DefusedXmlException as error:
        what = type(error).__name__.removesuffix("Forbidden")
        raise RegisterRefused(
            f"has a document type or entities of its own ({what}): registers need none",
            line=gathering.line_number(),
        ) from None
    except SAXParseException as error:
        message = error.getMessage()
        line = error.getLineNumber() or 0
        raise RegisterRefused(f"is no XML from here on ({message})", line=line) from None
    except (SAXException, ValueError, LookupError) as error:
        if isinstance(error, RegisterRefused):
            raise
        raise RegisterRefused(f"is no XML ({error})", line=gathering.line_number()) from None
    yield from gathering.take()


class _Gathering(ContentHandler):
    """Takes the parser's calls, gathers the fields of the record that is open."""

    def __init__(self, path: list[str]) -> None:
        super().__init__()
        self._path = path
        self._depth = 0
        self._matched = 0
        """Elements from the root that follow the path."""
        self._inside: list[str] = []
        self._texts: list[list[str]] = []
        self._text_chars = 0
        self._fields: Fields | None = None
        self._field_count = 0
        self._line = 0
        self._done: list[tuple[int, Fields]] = []
        self.line_number: Callable[[], int] = lambda: 0

    def take(self) -> list[tuple[int, Fields]]:
        """The records that are complete."""
        done, self._done = self._done, []
        return done

    def startElement(self, name: str, attrs: AttributesImpl) -> None:  # noqa: N802 - SAX names it.
        """See SAX."""
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise RegisterRefused(f"elements over {DEPTH_MAX} deep", line=self.line_number())
        local = name.rpartition(":")[2]
        if self._fields is None:
            self._step(local, attrs)
            return
        self._inside.append(local)
        self._texts.append([])
        self._text_chars = 0
        if attrs:
            self._note_attributes("/".join(self._inside) + "/@", attrs)

    def _step(self, local: str, attrs: AttributesImpl) -> None:
        """An element outside records: it may be one, or lead to one."""
        if self._depth == 1 and self._path[0] not in ("*", local):
            raise RegisterRefused(
                f"begins with <{local[:40]}>, not <{self._path[0]}>: another register",
                line=self.line_number(),
            )
        if self._matched != self._depth - 1 or self._path[self._matched] not in ("*", local):
            return
        self._matched += 1
        if self._matched == len(self._path):
            self._fields, self._field_count, self._line = {}, 0, self.line_number()
            self._inside, self._texts, self._text_chars = [], [[]], 0
            if attrs:
                self._note_attributes("@", attrs)

    def _note_attributes(self, before: str, attrs: AttributesImpl) -> None:
        for key, value in attrs.items():
            self._note(before + key.rpartition(":")[2], value)

    def _note(self, key: str, text: str) -> None:
        assert self._fields is not None
        self._field_count += 1
        if self._field_count > FIELDS_MAX or len(text) > TEXT_CHARS_MAX:
            raise RegisterRefused("a record of too many fields, or with too long a one", line=self._line)
        self._fields.setdefault(key, []).append(text)

    def characters(self, content: str) -> None:
        """See SAX."""
        if self._fields is None:
            return
        self._text_chars += len(content)
        if self._text_chars > TEXT_CHARS_MAX:
            raise RegisterRefused(f"a text of over {TEXT_CHARS_MAX:,} characters", line=self.line_number())
        self._texts[-1].append(content)

    def endElement(self, name: str) -> None:  # noqa: N802 - SAX names it.
        """See SAX."""
        depth, self._depth = self._depth, self._depth - 1
        if self._fields is None:
            self._matched = min(self._matched, self._depth)
            return
        text = "".join(self._texts.pop()).strip()
        if self._inside:
            if text:
                self._note("/".join(self._inside), text)
            self._inside.pop()
            self._text_chars = 0
            return
        assert depth == len(self._path)
        if text:
            self._note("", text)
        self._done.append((self._line, self._fields))
        self._fields, self._matched = None, self._depth
