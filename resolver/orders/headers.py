"""The heads of columns: what each is said to hold.

Knows: header words in some languages.  Does not know: how a table is written.
"""

from __future__ import annotations

import re
from itertools import pairwise

from resolver.orders.items import items_of
from resolver.orders.rows import Cell, Role

_ROLE_WORDS = {
    Role.ADDRESSES: """
        website websites web url urls domain domains host hosts hostname fqdn address addresses site sites
        mirror mirrors internetseite webseite adresse adressen domaine domaines dominio dominios sito sitio
        strona domena adresy сайт сайты домен домены адрес адреса 网址 域名
    """,
    Role.NAME: """
        name names platform platforms entity company firm exchange operator provider commercial brand
        plattform unternehmen anbieter plateforme société societe nom piattaforma società
        nome plataforma empresa nombre entidad entité entità entidade denominación denominazione marca
        bezeichnung unvan nazwa firma платформа название наименование 名称 平台
    """,
    Role.OTHER: """
        source sources reference references decision link links authority regulator publication notice contact
        email mail phone comment comments remark remarks date reason quelle bescheid behörde
        correo email teléfono telefono observaciones observations note contacto fuente motivo
        legitimate genuine authorised authorized original impersonated imitated cloned suplantada suplantado
        legítima legítimo usurpé usurpée légitime echt echte legittimo clonata clonato
    """,
}

_NEGATIONS = frozenset(["non", "not", "no", "un", "nicht", "pas", "без", "не"])
"""What turns the word behind it round: `not authorised`."""


def roles_of(record: list[str]) -> list[Role]:
    """What the columns hold, by the words of a header; empty where the record is none."""
    if any(item.addresses for cell in record for item in items_of(Cell(cell, 0))):
        return []
    roles = [_role_of(cell) for cell in record]
    return roles if Role.ADDRESSES in roles or Role.NAME in roles else []


def _role_of(header: str, otherwise: Role = Role.OTHER) -> Role:
    words = re.split(r"[^\w]+|_|(?<=[a-z])(?=[A-Z])", header.strip())
    words = [word for before, word in pairwise(["", *words]) if before.lower() not in _NEGATIONS]
    known = [
        role
        for role in (Role.OTHER, Role.ADDRESSES, Role.NAME)
        for word in words
        if word.lower() in _ROLE_WORDS[role].split()
    ]
    if known:
        return known[0]
    return otherwise


def is_for_others(header: str) -> bool:
    """Whether a column is said to hold sources, contacts, remarks, or whom somebody pretends to be."""
    return _role_of(header, Role.ANY) is Role.OTHER
