"""One word of an order -> an address, and what DNS can do about it.

Knows: URLs, defanged and mistyped names, mail and network addresses, what may be a name at all.
Does not know: lines and tables, platforms, the policy.
Theory: reading and repairing are kept apart.  What only undoes a way of writing (a URL, `hxxp`, `[.]`, a
typographic dash, an IDN) is read, and taken.  What would guess (a comma for a dot, two dots, a last label
that does not exist) is offered as a suggestion, and never taken unasked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_network

from resolver.blocklist.spelling import name_remarks, near_top_level
from resolver.known_names.public_suffixes import TOP_LEVEL_SPECIAL, top_level_labels
from resolver.orders.reach import Reason, reach_of
from resolver.policy.verdict import RuleForm
from resolver.problems import show
from resolver.wire.idn import ascii_meant, unicode_name
from resolver.wire.names import name_from_text, name_to_text

WORD_CHARS_MAX = 2_000
"""Longer words are no addresses; the longest URL that an order may ask for."""


@dataclass(frozen=True, slots=True)
class Address:
    """One address as an order writes it."""

    written: str
    line: int
    owner: bytes = b""
    """Wire form of the host; empty: it has none that could be blocked."""
    form: RuleForm = RuleForm.SUBTREE
    reason: Reason | None = None
    """Why it is not taken; None: it is."""
    why: str = ""
    """The same in a sentence."""
    suggestions: tuple[str, ...] = ()
    """Names that were probably meant; none of them is ever taken unasked."""
    note: str = ""
    """What is worth knowing of one that is taken."""
    has_path: bool = False
    """Whether it is about a page of its host."""

    @property
    def host(self) -> str:
        """The host as A-labels; empty: none."""
        return name_to_text(self.owner) if self.owner else ""

    def doubted(self, why: str, *suggestions: str) -> Address:
        """The same, not to be taken unasked."""
        if self.reason is not None:
            return self
        return replace(self, reason=Reason.DOUBTFUL, why=why, suggestions=suggestions or (self.host,))


_INVISIBLE = dict.fromkeys(
    [0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF]
)
"""Soft hyphens, zero-width signs and direction marks: they come with pasted text and belong to no name."""
_SPACES = dict.fromkeys([0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000], " ")
_HYPHENS = dict.fromkeys([0x2010, 0x2011], "-")
_WIDE_SIGNS = {
    ord(sign): plain
    for signs, plain in (
        ("（", " ("),
        ("）", ") "),
        ("【［「『《〈", ' "'),
        ("】］」』》〉", '" '),
        ("，、", ", "),
        ("；", "; "),
        ("：", ": "),
    )
    for sign in signs
}
"""Signs of Chinese and Japanese print, which stand beside a name without a blank."""
_PLAIN = str.maketrans({**_INVISIBLE, **_SPACES, **_HYPHENS, **_WIDE_SIGNS})
_WIDE_DOT = re.compile(r"[（【［]\s*[.．。点]\s*[）】］]")
_SOFT_END = re.compile(r"(?<=\w)\u00ad(?=\s+\w)")
_INNER_DASH = re.compile(r"(?<=\w)[\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d](?=\w)")

_OPENING = "\"'`([{<«‹“”„‘’‚*•·▪‣-–—_=~"
_CLOSING = "\"'`)]}>»›“”’‘*!?…:;,"
_PAIRS = {")": "(", "]": "[", "}": "{", ">": "<"}
_NO_BLANKS = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Letters of scripts whose words stand beside a name without a blank: Thai, Japanese, Chinese, Korean."""
_NAME_IN_TEXT = re.compile(
    rf"([^/?#\s]*?[A-Za-z0-9.-]*[A-Za-z0-9]\.([A-Za-z]{{2,24}})(?:[/?#:][!-~]*)?)(?=[{_NO_BLANKS}])"
)
_GLUED = re.compile(rf"[{_NO_BLANKS}]+([A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]+)\.?", re.ASCII)
_DOT_SIGN = r"[\[({<]\s*(?:\.|dot|punkt|punto|point|точка|nokta)\s*[\])}>]"
_AT_SIGN = r"[\[({<]\s*(?:@|at|ät|arroba)\s*[\])}>]"
_DEFANGED_DOT = re.compile(_DOT_SIGN + r"|\\\.", re.IGNORECASE)
_DEFANGED_AT = re.compile(_AT_SIGN, re.IGNORECASE)
_SPACED_DOT = re.compile(rf"(?<=\w)(?:[^\S\n]+{_DOT_SIGN}[^\S\n]*|{_DOT_SIGN}[^\S\n]+)(?=\w)", re.IGNORECASE)
_SPACED_AT = re.compile(rf"(?<=\w)(?:[^\S\n]+{_AT_SIGN}[^\S\n]*|{_AT_SIGN}[^\S\n]+)(?=\w)", re.IGNORECASE)
_BROKEN_END = re.compile(r"\w(?:[-_@\u00ad\u2010\u2011]|\.-)$|[A-Za-z]://$")
"""The end of a text that ends inside a word."""
_FIGURES = re.compile(
    r"[0-3]?[0-9]\.[01]?[0-9]\.(?:[0-9]{2}){1,2}|[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?|[0-9]+[.,][0-9]+",
    re.ASCII,
)
"""Dates and amounts."""
_ABBREVIATION = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]\.?")
"""`S.A.`, `d.o.o.`, `S.p.A.`"""
_DEFANGED_COLON = re.compile(r"\[(:(?://)?)\]|\[(//?)\]")
_DEFANGED_SCHEME = re.compile(r"^(?:h[xX*]{2}p|h[tT][xX]p|meow)(s?)(?=:)", re.IGNORECASE)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]{0,30})://", re.IGNORECASE)
_WEB_SCHEMES = frozenset(("http", "https", "ws", "wss", "ftp", "ftps"))
_OTHER_SCHEME = re.compile(
    r"(?:tel|sms|tg|magnet|bitcoin|ethereum|skype|whatsapp|viber|javascript|data|market|intent|itms-apps|fax):",
    re.IGNORECASE,
)
_BROKEN_SCHEME = re.compile(
    r"(?:h{0,2}t{1,3}p{1,2}s{0,2})(?:[:;.,]?[/\\]{1,4}|[:;]{1,2}[/\\]{0,4})(?=.)", re.IGNORECASE
)
"""`https.//`, `https//`, `https:/`, `http:\\\\`, `ttps://` and their like."""
_ONE_PAGE = re.compile(
    r"/(?:@|(?:channel|groups?|joinchat|communities|apps/details|store/apps|add-ons?)/)", re.I
)
"""The beginning of a path by which platforms lead to what one of their many users has there."""
_PORT = re.compile(r":([0-9]{1,5})$", re.ASCII)
_COMMA_TYPO = re.compile(r"[^\s,]+,[^\s,./]+(?:[:/].*)?", re.ASCII)
_SEEMS_ADDRESS = re.compile(r"[^\s.]\.{1,3}[^\s.]|@|://|[^\s,],[^\s,]|。|．|｡|:[0-9a-f]*:", re.IGNORECASE)
"""A quick look: what has none of these is a plain word."""


def plain_text(text: str) -> str:
    """Text without what word processors put into it: odd spaces and dashes, soft hyphens, direction marks."""
    if text.isascii():
        return text
    # A soft hyphen with more behind it is seen as one.
    text = _SOFT_END.sub("-", _WIDE_DOT.sub(".", text)).replace("：//", "://")
    return _INNER_DASH.sub("-", text.translate(_PLAIN))


def unglued(word: str) -> list[str]:
    """The pieces of a word of a script without blanks: a URL in it, and what follows a name in it."""
    if word.isascii() or len(word) > WORD_CHARS_MAX:
        return [word]
    pieces = []
    for text in re.split(rf"(?<=[{_NO_BLANKS}])(?=https?://)", word):
        rest = text
        while (found := _NAME_IN_TEXT.match(rest)) is not None and found[2].lower() in top_level_labels():
            pieces.append(found[1])
            rest = rest[found.end() :]
        pieces.append(rest)
    return [piece for piece in pieces if piece]


def without_blanks(text: str) -> str:
    """Plain text without the blanks round defanged signs: `acme (dot) example`, `info [at] acme.example`."""
    if "(" in text or "[" in text or "{" in text:
        text = _SPACED_AT.sub("@", _SPACED_DOT.sub(".", text))
    return text


def broken_end(text: str) -> str:
    """The last word of a text that ends inside a word or a URL; empty: it does not."""
    word = (text.rsplit(None, 1) or [""])[-1]
    return _bared(word) if _BROKEN_END.search(word[-8:]) else ""


def continued(address: Address, cut_from: str, *, has_hyphen: bool = False) -> Address:
    """The same, doubted: the word before it, `cut_from`, may be its beginning.

    `has_hyphen`: it begins with a hyphen itself.
    """
    scheme = _SCHEME.match(cut_from)
    start = cut_from[scheme.end() :] if scheme else cut_from
    # A soft hyphen at the end of a line is seen as one.
    start = (start[:-1] + start[-1:].replace("\u00ad", "-")).translate(_PLAIN).lower()
    rest = unicode_name(address.host) or address.host
    joined = [start + "-" + rest] if has_hyphen else [start + rest]
    if start.endswith("-"):
        joined.append(start[:-1] + rest)
    meant = [name_to_text(owner) for text in joined if start and (owner := _names(text)) is not None]
    why = "may be the end of a name that is broken over two lines"
    return address.doubted(why, *dict.fromkeys((*meant, address.host)))


def read_word(word: str, line: int, *, is_listed: bool) -> Address | None:
    """Read one word; None where it is no address at all.

    `is_listed`: it stands where addresses stand, so what only looks like one is reported, too.
    """
    if len(word) > WORD_CHARS_MAX:
        return None
    found = _read(word, is_listed)
    return found if found is None or not line else replace(found, line=line)


@lru_cache(maxsize=4096)
def _read(word: str, is_listed: bool) -> Address | None:
    """The same, without a line: while rows are told apart, a word is looked at several times."""
    written = _bared(word)
    text = _fanged(written)
    if not _SEEMS_ADDRESS.search(text) and not _BROKEN_SCHEME.match(text):
        return None
    address = Address(written, 0)
    lower = text.lower()
    if lower.startswith("mailto:") or _is_mail(lower):
        return replace(
            address, reason=Reason.MAIL_ADDRESS, why="is a mail address, not a site: nothing to block"
        )
    if _OTHER_SCHEME.match(text):
        return replace(
            address, reason=Reason.NOT_DNS, why="cannot be enforced by DNS: an app opens it, not a browser"
        )
    scheme = _SCHEME.match(text)
    if text.startswith("//"):
        return _read_url(address, text[2:], is_url=True, is_listed=is_listed)
    if scheme and scheme[1].lower() in _WEB_SCHEMES:
        return _read_url(address, text[scheme.end() :], is_url=True, is_listed=is_listed)
    if broken := _BROKEN_SCHEME.match(text):
        return _of_broken_url(address, text[broken.end() :])
    if scheme:
        why = f"cannot be enforced by DNS: {show(scheme[1])} addresses need none"
        return replace(address, reason=Reason.NOT_DNS, why=why)
    if (network := _network(text)) is not None:
        return _is_network(address, network)
    if _FIGURES.fullmatch(text) or _is_abbreviation(text):
        return None
    return _read_url(address, text, is_url=False, is_listed=is_listed)


def _bared(word: str) -> str:
    """Without the quotes, brackets and full stops around it."""
    text = word.strip().lstrip(_OPENING.replace("*", "") if word.startswith("*.") else _OPENING)
    while text and text[-1] in _CLOSING:
        opening = _PAIRS.get(text[-1])
        if opening is not None and opening in text:
            break
        text = text[:-1]
    return text


def _fanged(text: str) -> str:
    """As a machine writes it."""
    if "[" in text or "(" in text or "{" in text or "<" in text or "\\" in text:
        text = _DEFANGED_AT.sub("@", _DEFANGED_DOT.sub(".", text))
        text = _DEFANGED_COLON.sub(lambda found: found[1] or found[2], text)
    return _DEFANGED_SCHEME.sub(r"http\1", text)


def _is_abbreviation(text: str) -> bool:
    last = text.rstrip(".").rpartition(".")[2].lower()
    return _ABBREVIATION.fullmatch(text) is not None and last not in top_level_labels()


def _is_mail(text: str) -> bool:
    local, at, domain = text.partition("@")
    return bool(at and local and domain) and not any(sign in local for sign in "/?#")


def _network(text: str) -> str | None:
    bare = text.rstrip(".")
    if port := _PORT.search(bare):
        host = bare[: port.start()]
        if host.count(":") == 0 or host.endswith("]"):
            bare = host
    try:
        return str(ip_network(bare.strip("[]"), strict=False))
    except ValueError:
        return None


def _is_network(address: Address, network: str) -> Address:
    noun = "an address" if network.endswith(("/32", "/128")) else "a network"
    why = f"cannot be enforced by DNS: it is {noun}, not a name; block it at the firewall"
    return replace(address, reason=Reason.ADDRESS_ONLY, why=why)


def _of_broken_url(address: Address, rest: str) -> Address:
    host = re.split(r"[/?#\\:]", rest.lstrip("/\\:"), maxsplit=1)[0]
    inner = read_word(host, address.line, is_listed=True)
    names = () if inner is None or not inner.owner else (inner.host,)
    return replace(address, reason=Reason.INVALID, why="begins like a URL, and is none", suggestions=names)


def _read_url(address: Address, rest: str, *, is_url: bool, is_listed: bool) -> Address | None:
    """Take the host out of what stands behind a scheme, or of a bare name with or without port and path."""
    cut = re.split(r"[/?#\\]", rest, maxsplit=1)
    authority, path = cut[0], rest[len(cut[0]) :]
    user, at, host = authority.rpartition("@")
    if (network := _network(host)) is not None:
        return _is_network(address, network)
    port = _PORT.search(host)
    if port:
        host = host[: port.start()]
    address = replace(address, has_path=path.strip("/") != "")
    found = _read_host(address, host, is_sure=is_url or is_listed)
    if found is None or found.reason is not None:
        return found
    if at and user:
        return found.doubted(f"has {show(user)} in front of its host {found.host}")
    if _ONE_PAGE.match(path):
        return found.doubted(f"its path is one page of many: all of {found.host} would be blocked")
    extra = " and ".join(filter(None, ("its port" if port else "", "its path" if path.strip("/") else "")))
    note = f"DNS knows no {extra.replace('its ', '')}: all of {found.host} is blocked" if extra else ""
    return replace(found, note=note)


def _read_host(address: Address, host: str, *, is_sure: bool) -> Address | None:
    form = RuleForm.SUBTREE
    if host.startswith("*."):
        form, host = RuleForm.BELOW, host[2:]
    if "," in host:
        return _of_comma(address, host) if is_sure else None
    if host.endswith("-"):
        why = "ends with a hyphen: a name that is broken over two lines"
        return replace(address, reason=Reason.INVALID, why=why) if is_sure or "." in host else None
    labels = [label for label in re.split(r"[.。．｡]", host) if label]
    if len(labels) < 2:
        if not is_sure or not labels:
            return None
        return replace(address, reason=Reason.INVALID, why="holds no domain name")
    if labels[-1].isascii() and labels[-1].isdigit():
        return (
            None
            if not is_sure
            else replace(address, reason=Reason.INVALID, why="ends in a number; no domain does")
        )
    if ".." in host or host.startswith("."):
        joined = ".".join(labels)
        if _names(joined) is None:
            return None if not is_sure else replace(address, reason=Reason.INVALID, why="is no domain name")
        why = "has two dots in a row" if ".." in host else "begins with a dot"
        return replace(address, reason=Reason.INVALID, why=why, suggestions=(joined.lower(),))
    try:
        owner = name_from_text(host)
    except ValueError as error:
        if not is_sure:
            return None
        meant = ascii_meant(host)
        suggestions = () if _names(meant) is None or "." not in meant else (meant.lower(),)
        return replace(
            address, reason=Reason.INVALID, why=f"is no domain name: {error}", suggestions=suggestions
        )
    address = replace(address, owner=owner, form=form)
    if glued := _GLUED.fullmatch(host.rstrip("。．｡")):
        judged = _judged(address, is_sure=is_sure)
        rest = _names(glued[1])
        if judged is not None and rest is not None:
            why = "has words in front of it without a blank, or is a name of two scripts"
            return judged.doubted(why, name_to_text(rest), address.host)
        return judged
    if "İ" in host or "i\u0307" in host:
        return _of_dotted_capital(address, host)
    return _judged(address, is_sure=is_sure)


def _judged(address: Address, *, is_sure: bool) -> Address | None:
    """What speaks against a well-formed host."""
    text = address.host
    labels = text.split(".")
    if labels[-1] in TOP_LEVEL_SPECIAL and labels[-1] not in ("example", "test"):
        why = f"cannot be enforced by DNS: '{labels[-1]}' is not in it"
        return replace(address, owner=b"", reason=Reason.NOT_DNS, why=why) if is_sure else None
    if labels[-1] not in top_level_labels():
        if not is_sure:
            return None
        near = near_top_level(labels[-1])
        suggestions = (".".join([*labels[:-1], near]),) if near else ()
        why = f"there is no top-level domain {show(labels[-1])}"
        return replace(address, owner=b"", reason=Reason.UNKNOWN_TOP_LEVEL, why=why, suggestions=suggestions)
    form, reason, why = reach_of(address.owner, address.form, has_path=address.has_path)
    if reason is not None:
        return replace(address, reason=reason, why=why)
    address = replace(address, form=form)
    remarks = name_remarks(address.owner, is_public=True)
    if remarks:
        meant = ".".join(label.replace("_", "-").strip("-") for label in labels)
        return address.doubted(remarks[0].partition("; did you mean")[0], *dict.fromkeys((meant, text)))
    return address


def _of_dotted_capital(address: Address, host: str) -> Address:
    """`KRİPTO.EXAMPLE`: in Turkish the capital of `i`; to DNS it is another letter, with a dot more."""
    meant = _names(host.replace("İ", "i").replace("i\u0307", "i"))
    why = "has the Turkish letter 'İ', which DNS does not know as the capital of 'i'"
    suggestions = () if meant is None else (name_to_text(meant),)
    return replace(address, owner=b"", reason=Reason.DOUBTFUL, why=why, suggestions=suggestions)


def _of_comma(address: Address, host: str) -> Address | None:
    """`alphabits,example`: the last comma stands where a dot was meant."""
    joined = host.replace(",", ".")
    owner = _names(joined)
    last = joined.rpartition(".")[2].lower()
    if owner is None or last not in top_level_labels():
        return None
    why = "has a comma where a dot was probably meant"
    return replace(address, reason=Reason.INVALID, why=why, suggestions=(name_to_text(owner),))


def is_comma_typo(word: str) -> bool:
    """Whether a comma inside a word stands where a dot was meant: what is left of it is no whole name."""
    text = _fanged(_bared(word))
    scheme = _SCHEME.match(text)
    host = re.split(r"[/?#\\:]", text[scheme.end() :] if scheme else text, maxsplit=1)[0]
    left, comma, right = host.rpartition(",")
    if not comma or not _COMMA_TYPO.fullmatch(host) or _names(host.replace(",", ".")) is None:
        return False
    last = left.rpartition(".")[2].lower()
    is_whole = "." in left and last in top_level_labels()
    return not is_whole and right.lower() in top_level_labels()


def _names(text: str) -> bytes | None:
    try:
        return name_from_text(text)
    except ValueError:
        return None
