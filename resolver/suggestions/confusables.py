"""Signs that look alike: a label of any script -> the plain letters that a reader takes it for.

Knows: which letters that a domain name may hold look like Latin ones (facts of Unicode UTS 39, and of eyes).
Does not know: names of exchanges, domain names.
Theory: two labels look alike when their skeletons are the same.  A skeleton has no accents, no other scripts,
no digits that stand for letters, and one letter for all that are one stroke.  It is no word of any language,
and is only held against other skeletons.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

LOOKS_LIKE: Final = {
    "a": "аɑαաᴀạ",
    "ae": "æӕ",
    "b": "ƅьᏏᑲвʙɓɃƀ",
    "c": "сᴄϲⲥƈȼ",
    "d": "ԁɗđᏧᑯð",
    "e": "еҽɛєəǝɇεɘ",
    "f": "ſẝƒꬵ",
    "g": "ɡցɢǥɠ",
    "h": "һհħнʜɦ",
    "i": "іıɩɪιӏᎥɨίɫłľļĺǀƚן",
    "j": "јϳɉʝյ",
    "k": "кκқҝƙᴋⱪĸ",
    "m": "мᴍɱ",
    "n": "ոռпɴηɲŋƞ",
    "o": "оοօσөøɵ০੦૦௦๐໐ဝ၀ჿᴏⲟѳ",
    "oe": "œ",
    "p": "рρƿᴘþ",
    "q": "ԛգզɋ",
    "r": "гᴦⲅʀɼɍ",
    "s": "ѕꜱʂƽ",
    "ss": "ß",
    "t": "тᴛτŧțƭԏ",
    "u": "υսʋᴜцμµ",
    "v": "νѵᴠ",
    "w": "ԝѡᴡɯшщω",
    "x": "хχ",
    "y": "уүγʏƴყ",
    "z": "ᴢƶʐż",
}
"""Plain letters -> signs of labels that are taken for them."""

LEETS: Final = str.maketrans("0134578", "oieastb")
"""Digits that stand for letters."""

STROKES: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
"""Two letters that are read as one."""

_STROKES_ALIKE: Final = str.maketrans({"l": "i", "j": "i"})
_PLAIN: Final = {ord(sign): plain for plain, signs in LOOKS_LIKE.items() for sign in signs}


@lru_cache(maxsize=4096)
def plain_letters(label: str) -> str:
    """A U-label in the Latin letters it is taken for: accents go, look-alikes become what they look like.

    What looks like no Latin letter stays.
    """
    if label.isascii():
        return label
    plain = unicodedata.normalize("NFKD", label.translate(_PLAIN))
    plain = plain.translate(_PLAIN)
    return "".join(sign for sign in plain if not unicodedata.combining(sign)).lower()


def flat(plain: str) -> str:
    """Look-alike letters and digits as one, letter by letter: places stay where they are."""
    return plain.translate(LEETS).translate(_STROKES_ALIKE)


def skeleton(plain: str) -> str:
    """What plain letters have in common with all that looks like them: digits are letters, i is l."""
    bones = plain.translate(LEETS)
    for pair, one in STROKES:
        if pair in bones:
            bones = bones.replace(pair, one)
    return bones.translate(_STROKES_ALIKE)
