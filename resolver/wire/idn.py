"""Names beyond ASCII: U-labels <-> A-labels, and the signs that come with a pasted name but belong to none.

Knows: UTS 46, IDNA 2008, emoji, scripts, and which ASCII people mean by a word processor's signs.
Does not know: wire form, rules.
Theory: what IDNA 2008 disallows can be registered nowhere, so a rule for such a name blocks nothing.
Emoji are the exception: some registries sell them against the standard, and browsers look them up.
"""

from __future__ import annotations

import re
import unicodedata

import idna
import idna.idnadata
import idna.intranges

from resolver.problems import show

A_LABEL_PREFIX = "xn--"

_EMOJI = (
    # Below the emoji planes one by one (Unicode emoji-data.txt, property Emoji).  Left out: the copyright and
    # trade mark signs, and plain squares and triangles, all of which come with pasted text.
    (0x20E3, 0x20E3),  # combining keycap
    *(
        (c, c)
        for c in (0x2328, 0x23CF, 0x2614, 0x2615, 0x2618, 0x261D, 0x2620, 0x2626, 0x262A, 0x2640, 0x2642)
    ),
    (0x231A, 0x231B),
    (0x23E9, 0x23F3),
    (0x23F8, 0x23FA),
    (0x2600, 0x2604),
    *(
        (c, c)
        for c in (0x260E, 0x2611, 0x2663, 0x2668, 0x267B, 0x2699, 0x26A7, 0x26C8, 0x26D1, 0x26FD, 0x2702)
    ),
    (0x2622, 0x2623),
    (0x262E, 0x262F),
    (0x2638, 0x263A),
    (0x2648, 0x2653),
    (0x265F, 0x2660),
    (0x2665, 0x2666),
    (0x267E, 0x267F),
    (0x2692, 0x2697),
    (0x269B, 0x269C),
    (0x26A0, 0x26A1),
    (0x26AA, 0x26AB),
    (0x26B0, 0x26B1),
    (0x26BD, 0x26BE),
    (0x26C4, 0x26C5),
    (0x26CE, 0x26CF),
    (0x26D3, 0x26D4),
    (0x26E9, 0x26EA),
    (0x26F0, 0x26F5),
    (0x26F7, 0x26FA),
    *(
        (c, c)
        for c in (0x2705, 0x270F, 0x2712, 0x2714, 0x2716, 0x271D, 0x2721, 0x2728, 0x2744, 0x2747, 0x274C)
    ),
    (0x2708, 0x270D),
    (0x2733, 0x2734),
    *((c, c) for c in (0x274E, 0x2757, 0x27B0, 0x27BF, 0x2B50, 0x2B55, 0x1F004, 0x1F0CF, 0x1F18E)),
    (0x2753, 0x2755),
    (0x2763, 0x2764),
    (0x2795, 0x2797),
    (0x1F1E6, 0x1F1FF),  # flags
    (0x1F300, 0x1F64F),
    (0x1F680, 0x1F6FF),
    (0x1F7E0, 0x1F7F0),
    (0x1F90C, 0x1F9FF),
    (0x1FA70, 0x1FAFF),
)
_JOINERS = frozenset("\u200d\ufe0f")
"""Zero width joiner and the sign for "as a picture": they stand inside emoji."""

_DASHES = frozenset("\u02d7\u2043\u207b\u2212")
"""Signs that look like a hyphen; those of category Pd come on top."""
_DOTS = frozenset("\u00b7\u2022\u2024\u2027\u2219\u22c5\u30fb\uff61\u3002\uff0e")
_SLASHES = frozenset("\u2044\u2215\u29f8\uff0f")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://")
_EDGES = " \t-.,;:!?*'\"()[]{}<>"
"""ASCII signs that surround a name in a text."""

_SCRIPT_OF = {"CJK": "Han", "HIRAGANA": "Hiragana", "KATAKANA": "Katakana", "HANGUL": "Hangul"}
_MIXES = (
    frozenset(("Latin", "Han", "Hiragana", "Katakana")),
    frozenset(("Latin", "Han", "Bopomofo")),
    frozenset(("Latin", "Han", "Hangul")),
)
"""Scripts that are written together (UTS 39 §5.2, "highly restrictive")."""


def ascii_from_idn(text: str) -> str:
    """A name with A-labels for labels beyond ASCII (UTS 46, non-transitional).

    Raises ValueError for what no name may hold.  What is ASCII after the mapping is not looked at.
    """
    try:
        mapped = idna.uts46_remap(text, std3_rules=False, transitional=False)
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(_why_not(text, error)) from None
    return ".".join(label if label.isascii() else _a_label(label, text) for label in mapped.split("."))


def ascii_meant(text: str) -> str:
    """What somebody probably meant who pasted `text`: dashes as hyphens, no quotes, bullets or brackets.

    It need not be a name; whoever offers it tries that first.
    """
    meant = []
    for sign in text:
        plain = unicodedata.normalize("NFKC", sign)
        if sign.isascii() or _is_emoji(sign):
            meant.append(sign)
        elif sign in _SLASHES:
            meant.append("/")
        elif sign in _DOTS:
            meant.append(".")
        elif sign in _DASHES or unicodedata.category(sign) == "Pd":
            meant.append("-")
        elif unicodedata.category(sign)[0] in "LMN":
            meant.append(sign)
        elif plain.isascii():
            meant.append(plain)
    text = _SCHEME.sub("", "".join(meant).strip(_EDGES), count=1)
    return re.split(r"[/:]", text, maxsplit=1)[0].strip(_EDGES)


def unicode_name(text: str) -> str | None:
    """A name, or a rule's text, as people read it, its A-labels as U-labels; None where it holds none."""
    sign = "=" if text.startswith("=") else ""
    labels = text.removeprefix(sign).split(".")
    if not any(label.startswith(A_LABEL_PREFIX) for label in labels):
        return None
    readable = [u_label(label) or label for label in labels]
    return None if readable == labels else sign + ".".join(readable)


def with_unicode(text: str) -> str:
    """A name or a rule's text, and in brackets behind it how people read its A-labels."""
    read = unicode_name(text)
    return text if read is None else f"{text} ({read})"


def u_label(label: str) -> str | None:
    """The U-label of an A-label in lower case; None where it stands for nothing that could be registered."""
    if not label.startswith(A_LABEL_PREFIX):
        return None
    decoded = _decoded(label)
    try:
        if decoded and decoded.isprintable() and ascii_from_idn(decoded) == label:
            return decoded
    except ValueError:
        pass
    return None


def a_label_problem(label: str) -> str | None:
    """What is wrong with a label that looks like an A-label; None where nothing is."""
    if not label.startswith(A_LABEL_PREFIX) or u_label(label) is not None:
        return None
    decoded = _decoded(label)
    if not decoded or decoded.isascii():
        return f"{show(label)} is not a valid A-label, so nobody can register it"
    return f"{show(label)} stands for {show(decoded)}, which nobody can register"


def mixed_scripts(label: str) -> tuple[str, ...]:
    """The scripts of a U-label that mixes some which are not written together; else nothing."""
    found = dict.fromkeys(script for sign in label if (script := _script(sign)))
    scripts = frozenset(found)
    if len(scripts) < 2 or any(scripts <= mix for mix in _MIXES):
        return ()
    return tuple(found)


def mixing_remarks(text: str) -> list[str]:
    """What to say of a name's labels, A-labels as they are, whose letters are of scripts that are not written
    together: nearly always one was typed that looks like another."""
    remarks = []
    for label in text.split("."):
        written = u_label(label) or ""
        if scripts := mixed_scripts(written):
            others = ", ".join(
                f"{script} ({', '.join(letters_of(written, script))})"
                for script in scripts
                if script != "Latin"
            )
            mixed = "Latin letters" if "Latin" in scripts else "letters of several scripts"
            shown = f"{text!r} ({unicode_name(text)})"
            remarks.append(
                f"{shown} mixes {mixed} with {others} in {written!r}; make sure that this name is meant"
            )
    return remarks


def letters_of(label: str, script: str) -> str:
    """The letters of one script in a label, each once."""
    return "".join(dict.fromkeys(sign for sign in label if _script(sign) == script))


def sign_name(sign: str) -> str:
    """A sign in words: `'–' (U+2013, en dash)`."""
    return f"{show(sign)} (U+{ord(sign):04X}, {unicodedata.name(sign, 'without a name').lower()})"


def _a_label(label: str, text: str) -> str:
    try:
        return idna.alabel(label).decode("ascii")
    except idna.InvalidCodepoint as error:
        if all(_is_emoji(sign) or sign in _JOINERS or _is_allowed(sign) for sign in label):
            return A_LABEL_PREFIX + label.encode("punycode").decode("ascii")
        raise ValueError(_why_not(text, error)) from None
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(_why_not(text, error)) from None


def _why_not(text: str, error: Exception) -> str:
    for sign in text:
        if not (sign.isascii() and sign.isprintable()) and not _is_emoji(sign) and _is_refused(sign):
            return f"{show(text)}: {sign_name(sign)} cannot stand in a domain name"
    return f"{show(text)}: not an internationalised domain name: {error}"


def _is_refused(sign: str) -> bool:
    """Whether no mapping makes something of it that a name may hold."""
    try:
        mapped = idna.uts46_remap(sign, std3_rules=False, transitional=False)
    except (idna.IDNAError, UnicodeError):
        return True
    return not all(part == "." or _is_emoji(part) or _is_allowed(part) for part in mapped)


def _is_emoji(sign: str) -> bool:
    point = ord(sign)
    return any(first <= point <= last for first, last in _EMOJI)


def _is_allowed(sign: str) -> bool:
    """Whether IDNA 2008 allows it, some of them in some places only (RFC 5892)."""
    point, classes = ord(sign), idna.idnadata.codepoint_classes
    kinds = ("PVALID", "CONTEXTJ", "CONTEXTO")
    return any(idna.intranges.intranges_contain(point, classes[kind]) for kind in kinds)


def _decoded(label: str) -> str:
    try:
        return label.removeprefix(A_LABEL_PREFIX).encode("ascii").decode("punycode")
    except (UnicodeError, ValueError, IndexError):
        return ""


def _script(sign: str) -> str:
    """The script of a letter, as the first word of its name has it; digits and marks have none."""
    if unicodedata.category(sign) not in ("Lu", "Ll", "Lt", "Lo"):
        return ""  # Modifiers such as the Japanese length mark are of several scripts.
    word = unicodedata.name(sign, "").partition(" ")[0]
    return _SCRIPT_OF.get(word, word.capitalize())
