"""What answers say of themselves and of this resolver: structured DNS errors, resolver information.

Knows: the keys of the two sections, and what may stand in them.  Does not know: how they are encoded.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import field_validator

from resolver.config.yamlmodel import Section, setting, text_setting
from resolver.problems import Findings
from resolver.wire.numbers import EdnsOption

ORGANIZATION_CHARS_MAX = 100
INFOURL_OCTETS_MAX = 255 - len("infourl=")
"""A key and its value are one character-string (RFC 6763 §6.1)."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_URL_OCTETS = re.compile(r"[!-~]+")

NO_CODE = (
    "structured_errors.enabled: needs structured_errors.option_code: the EDNS option code of SDE, which "
    "clients here send (none is assigned yet; for local use there are 65001 to 65534)"
)


class StructuredErrorsSection(Section):
    """Structured DNS errors for clients that ask for them (draft-ietf-dnsop-structured-dns-error)."""

    enabled: bool = setting(False, "Whether a client that sends the option is told why a name is blocked.")
    option_code: int | None = setting(
        None,
        "EDNS option code of SDE: no code is assigned yet, so clients here say which.",
        least=1,
        most=65_534,
    )
    organization: str | None = text_setting(
        None, "Who filters, for the blocked person, e.g. Example Networks.", longest=ORGANIZATION_CHARS_MAX
    )
    language: str = text_setting(
        "en",
        "Language of the organisation and of the names and titles in the blocklist (RFC 5646), e.g. pt-BR.",
        longest=35,
    )
    operator: Literal["network", "dns"] = setting(
        "network",
        "Whose policy blocks: that of the network its clients are in, or that of a DNS service they chose.",
    )

    @field_validator("option_code")
    @classmethod
    def _check_code(cls, code: int | None) -> int | None:
        if code in set(EdnsOption):
            raise ValueError(
                f"{code} is the code of another option ({EdnsOption(code).name}); not that of SDE"
            )
        return code

    @field_validator("organization")
    @classmethod
    def _check_organization(cls, text: str | None) -> str | None:
        if text is not None and (not text.isprintable() or not text.strip()):
            raise ValueError("is not one line of readable text")
        return text

    @field_validator("language")
    @classmethod
    def _check_language(cls, tag: str) -> str:
        if not _LANGUAGE.fullmatch(tag):
            raise ValueError(f"'{tag}' is no language tag; write one such as en, tr or pt-BR")
        return tag


class ResinfoSection(Section):
    """What this resolver says of itself at resolver.arpa (RFC 9606)."""

    qnamemin: bool = setting(
        False, "Whether the upstreams send authoritative servers no more of a name than they need (RFC 9156)."
    )
    infourl: str | None = text_setting(
        None,
        "An https:// page about this resolver, for those who look into a fault.",
        longest=INFOURL_OCTETS_MAX,
    )

    @field_validator("infourl")
    @classmethod
    def _check_infourl(cls, url: str | None) -> str | None:
        if url is None:
            return url
        try:
            parts = urlsplit(url)
            is_page = parts.scheme == "https" and bool(parts.hostname)
        except ValueError:
            is_page = False
        if not is_page or not _URL_OCTETS.fullmatch(url):
            raise ValueError(f"'{url}' is no https:// address of a page, in ASCII and without spaces")
        return url


def check_structured_errors(section: StructuredErrorsSection, line: int, findings: Findings) -> None:
    """Refuse what no key of the section can know alone; `line`: where it is enabled."""
    if section.enabled and section.option_code is None:
        findings.error(line, NO_CODE)
