"""The rows of an order -> a proposal: each row's addresses to the platform they are of.

Knows: which cell is the name, when a platform counts as known, what is asked for and what only stands there.
Does not know: files, how a proposal is written.
Theory: an address decides whom a row is about.  A platform's name without one of its addresses decides only
where the row has no address at all: clones carry the names of what they copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from resolver.known_names.public_suffixes import is_public_suffix
from resolver.orders.facts import FACTS_MAX, facts_of
from resolver.orders.items import NAME_WORDS_MAX, Item, is_label, items_of, with_blank
from resolver.orders.naming import Ids
from resolver.orders.platforms import Platform, Platforms, name_key
from resolver.orders.proposal import Known, New, NotTaken, Proposal
from resolver.orders.reach import Reason, reach_of
from resolver.orders.rows import ADDRESSES_MAX, Budget, Cell, Document, Kind, Role, Row
from resolver.orders.text_rows import is_pure
from resolver.orders.words import Address, plain_text, read_word
from resolver.policy.verdict import RuleForm
from resolver.wire.idn import unicode_name
from resolver.wire.names import is_at_or_below, name_from_text, name_to_text, parent, suffix_offsets

NAME_CHARS_MAX = 100
"""Of an exchange's name."""
SPELLINGS_MAX = 200
"""Of more addresses in one row none is held against the others."""


def sort_rows(
    document: Document,
    platforms: Platforms,
    *,
    order_id: str,
    take: Iterable[str] = (),
    url: str | None = None,
) -> Proposal:
    """Make the proposal.  `take`: names and ids that a person says are meant; `url`: the order's own.

    Raises Unreadable when it names more than an order may.
    """
    return _Sorter(platforms, order_id, set(take), url).sort(document)


class _Sorter:
    """One sorting of one document."""

    def __init__(self, platforms: Platforms, order_id: str, take: set[str], url: str | None) -> None:
        self._platforms = platforms
        self._take = {text.strip().lower().removesuffix("."): text for text in take}
        self._take_owners = {owner: text for text in take if (owner := _wire(text)) is not None}
        own = read_word(url, 0, is_listed=True) if url else None
        self._own_host = own.host.removeprefix("www.") if own is not None and own.owner else ""
        self._ids = Ids(order_id, platforms.by_id)
        self._result = Proposal()
        self._known: dict[str, Known] = {}
        self._new_by_key: dict[str, New] = {}
        self._new_by_owner: dict[bytes, New] = {}
        self._asks: dict[str, None] = {}
        self._seen: set[tuple[str, str]] = set()
        """Entry and address, as written."""

    def sort(self, document: Document) -> Proposal:
        result = self._result
        is_list = any(row.kind is Kind.LISTED for row in document.rows)
        lists = {row.block for row in document.rows if row.kind is Kind.LISTED and not row.is_bare}
        named_blocks = self._blocks_of_names(document.rows)
        running: list[Row] = []
        for row in document.rows:
            # Beside a list, a line with nothing but an address is a letterhead's or a footer's.
            is_of_list = not row.is_bare or not lists or row.block in lists
            if (row.kind is Kind.LISTED and is_of_list) or (
                row.kind is Kind.NAMED and row.block in named_blocks
            ):
                result.row_count += 1
                self._take_row(row)
            else:
                running.append(row)
            Budget(ADDRESSES_MAX - len(self._asks)).spend(0, row.line)
        for row in running:
            self._take_text(row, is_list=is_list)
        result.known = sorted(self._known.values(), key=lambda known: known.line)
        result.new = sorted(
            {id(new): new for new in self._new_by_key.values()}.values(), key=lambda new: new.line
        )
        result.not_taken.sort(key=lambda one: one.line)
        result.asks = list(self._asks)
        return result

    def _blocks_of_names(self, rows: list[Row]) -> set[int]:
        """Blocks whose points without an address are platforms: beside some that have one, or known names."""
        listed = {row.block for row in rows if row.kind is Kind.LISTED}
        counts: dict[int, list[bool]] = {}
        for row in rows:
            if row.kind is Kind.NAMED:
                name = _name_text(row.cells)
                is_known = bool(self._platforms.of_name(name) or self._platforms.near_name(name))
                counts.setdefault(row.block, []).append(is_known)
        lists = {block for block, known in counts.items() if len(known) > 1 and sum(known) * 2 >= len(known)}
        return listed | lists

    def _take_row(self, row: Row) -> None:
        name, items, others = _parts(row)
        addresses: list[Address] = []
        for item in items:
            if not item.addresses:
                self._not_taken(item.text, item.line, Reason.NO_ADDRESS, "has no address in it")
            addresses += item.addresses
        addresses = [self._settled(address) for address in _spelt_alike(addresses)]
        for address in addresses:
            self._asks.setdefault(address.written)
        addresses += self._of_links(row, addresses)
        for item in others:
            self._of_other_column(item, addresses)
        if not addresses:
            self._by_name(name, row.line)
            return
        good = [address for address in addresses if address.reason is None]
        for address in addresses:
            if address.reason is not None:
                self._refuse(address)
        self._place(name, good, row.line, has_address=True)

    def _settled(self, address: Address) -> Address:
        """With what a person said, and what the order's own address says, about it."""
        if address.owner and address.reason is None and self._own_host:
            if is_at_or_below(address.owner, name_from_text(self._own_host)):
                return address.doubted("is where the order itself is published")
        if address.reason in (Reason.DOUBTFUL, Reason.INVALID, Reason.UNKNOWN_TOP_LEVEL):
            for suggestion in (*address.suggestions, address.host):
                owner = _wire(suggestion)
                if owner is not None and owner in self._take_owners:
                    form, reason, why = reach_of(owner, RuleForm.SUBTREE, has_path=False)
                    self._result.taken.add(self._take_owners[owner])
                    note = (
                        "" if suggestion == address.written.lower() else f"taken as {suggestion}, as you said"
                    )
                    return replace(address, owner=owner, form=form, reason=reason, why=why, note=note)
        return address

    def _of_links(self, row: Row, addresses: list[Address]) -> list[Address]:
        """Addresses that only the link shows: known ones count, others are asked about."""
        hosts = {address.owner for address in addresses}
        found = []
        for cell in row.cells:
            for link in cell.links:
                address = read_word(link, cell.line, is_listed=False)
                if address is None or address.reason is not None or address.owner in hosts:
                    continue
                hosts.add(address.owner)
                if self._platforms.of_host(address.owner) is None:
                    address = self._settled(address.doubted("is only the target of a link"))
                if address.reason is None:
                    self._asks.setdefault(address.written)
                    found.append(address)
                else:
                    self._refuse(address, is_asked=False)
        return found

    def _of_other_column(self, item: Item, addresses: list[Address]) -> None:
        hosts = {address.owner for address in addresses}
        for address in item.addresses:
            if address.reason is None and address.owner not in hosts:
                doubted = self._settled(address.doubted("stands in a column that is not for addresses"))
                if doubted.reason is None:
                    addresses.append(doubted)
                    self._asks.setdefault(doubted.written)
                else:
                    self._refuse(doubted, is_asked=False)
            elif address.reason is not None and not (address.owner and address.owner in hosts):
                self._refuse(address, is_asked=False)

    def _refuse(self, address: Address, *, is_asked: bool = True) -> None:
        assert address.reason is not None
        self._not_taken(
            address.written, address.line, address.reason, address.why, address.suggestions, is_asked=is_asked
        )

    def _not_taken(
        self,
        written: str,
        line: int,
        reason: Reason,
        why: str,
        suggestions: tuple[str, ...] = (),
        *,
        is_asked: bool = True,
    ) -> None:
        entry = NotTaken(written, line, reason, why, suggestions, is_asked)
        if entry not in self._result.not_taken[-50:]:
            self._result.not_taken.append(entry)

    def _by_name(self, name: str, line: int) -> None:
        """A row without any address: known by its whole name, or not at all."""
        if not name:
            return
        self._asks.setdefault(name[:NAME_CHARS_MAX])
        found = self._platforms.of_name(name)
        for platform in found or self._taken_platforms(self._platforms.near_name(name)):
            self._know(platform, line)
        if found:
            return
        near = [platform for platform in self._platforms.near_name(name) if platform.id not in self._known]
        if near:
            ids = tuple(platform.id for platform in near[:3])
            why = f"is near to {_listed(near)}, and the order gives no address"
            self._not_taken(name, line, Reason.DOUBTFUL, why, ids)
        elif not self._taken_platforms(self._platforms.near_name(name)):
            self._not_taken(
                name, line, Reason.NO_ADDRESS, "is no name that we know, and the order gives no address"
            )

    def _taken_platforms(self, platforms: Iterable[Platform]) -> list[Platform]:
        taken = [platform for platform in platforms if platform.id in self._take]
        self._result.taken.update(self._take[platform.id] for platform in taken)
        return taken

    def _know(self, platform: Platform, line: int, address: Address | None = None) -> Known:
        known = self._known.setdefault(platform.id, Known(platform, line))
        if address is not None and self._is_first(platform.id, address):
            known.addresses.append(address)
        return known

    def _is_first(self, entry: str, address: Address) -> bool:
        """Whether an entry does not have the address yet."""
        is_first = (entry, address.written) not in self._seen
        self._seen.add((entry, address.written))
        return is_first

    def _place(self, name: str, addresses: list[Address], line: int, *, has_address: bool) -> None:
        """Give each address to its platform, or to a new entry."""
        unknown: list[Address] = []
        homes: dict[str, Known] = {}
        for address in addresses:
            platform = self._platforms.of_host(address.owner)
            if platform is None:
                unknown.append(address)
            else:
                homes[platform.id] = self._know(platform, address.line, address)
        meant = self._platforms.of_name(name) if name else []
        others = [platform for platform in meant if platform.id not in homes]
        for platform in self._taken_platforms(others):
            homes[platform.id] = self._know(platform, line)
        for platform in others:
            if platform.id not in homes and platform.id not in self._known and has_address:
                why = (
                    f"is the name of {platform.id}, but no address here is one of its: a mirror, or a clone?"
                )
                self._not_taken(name, line, Reason.DOUBTFUL, why, (platform.id,), is_asked=False)
        if not unknown:
            return
        if len(homes) == 1:
            (home,) = homes.values()
            for address in unknown:
                self._know(home.platform, address.line, address)
        else:
            self._add_new(name, unknown, line, alike=others)

    def _add_new(self, name: str, addresses: list[Address], line: int, *, alike: list[Platform]) -> None:
        for address in addresses:
            key = name_key(name) or registrable(address.owner).hex()
            entry = self._new_by_owner.get(address.owner) or self._new_by_key.get(key)
            if entry is None:
                label = " ".join(name.split())[:NAME_CHARS_MAX] or name_to_text(registrable(address.owner))
                shown = label if name else _readable(label)
                entry = New(self._ids.new(label, address.host, is_taken=bool(alike)), shown, line)
                if alike:
                    entry.remarks.append(f"has the name of {_listed(alike)}, and none of its addresses")
                elif near := self._platforms.near_name(shown)[:2]:
                    entry.remarks.append(f"its name is near to {_listed(near)}, which is left alone")
            self._new_by_key[key] = entry
            self._new_by_owner[address.owner] = entry
            if self._is_first(entry.id, address):
                entry.addresses.append(address)
            if below := self._platforms.below(address.owner):
                remark = f"{address.host} is above a name of {', '.join(below)}, whose own rule decides there"
                entry.remarks.append(remark)

    def _take_text(self, row: Row, *, is_list: bool) -> None:
        """Running text: facts; addresses and names, which may be anybody's."""
        text = plain_text(" ".join(cell.text for cell in row.cells))
        if len(self._result.facts) < FACTS_MAX:
            self._result.facts += facts_of(text, row.line)
        where = "stands in running text" if is_list else "stands in running text, not in a list"
        known: list[Address] = []
        for cell in row.cells:
            for item in items_of(cell, is_listed=False):
                for address in item.addresses:
                    # A full stop behind it belongs to the sentence.
                    address = replace(address, written=address.written.rstrip("."))
                    if address.reason is not None:
                        settled = self._settled(address)
                        if settled.reason is None:
                            known.append(settled)
                        elif not (address.owner and self._is_there(address)):
                            self._refuse(settled, is_asked=False)
                        continue
                    platform = self._platforms.of_host(address.owner)
                    if platform is not None and not is_list and not self._own(address):
                        known.append(address)
                        continue
                    if self._is_there(address):
                        continue
                    settled = self._settled(address.doubted(where))
                    if settled.reason is None:
                        known.append(settled)
                    else:
                        self._refuse(settled, is_asked=False)
        for address in known:
            self._asks.setdefault(address.written)
        self._place("", known, row.line, has_address=False)
        for platform in self._platforms.named_in(text):
            if platform.id in self._known:
                continue
            if self._taken_platforms([platform]):
                self._know(platform, row.line)
                self._asks.setdefault(platform.name)
            else:
                self._not_taken(
                    platform.name, row.line, Reason.DOUBTFUL, where, (platform.id,), is_asked=False
                )

    def _own(self, address: Address) -> bool:
        return bool(self._own_host) and is_at_or_below(address.owner, name_from_text(self._own_host))

    def _is_there(self, address: Address) -> bool:
        """Whether a list of the order has named the host already."""
        platform = self._platforms.of_host(address.owner)
        return address.owner in self._new_by_owner or (platform is not None and platform.id in self._known)


def _parts(row: Row) -> tuple[str, list[Item], list[Item]]:
    """The platform's name, the items of its addresses, and those of columns for something else."""
    names: list[str] = []
    items: list[Item] = []
    others: list[Item] = []
    cells = row.cells
    if len(cells) == 1 and cells[0].role is Role.ANY:
        return _of_one_cell(cells[0])
    has_names = any(cell.role is Role.NAME for cell in cells)
    for at, cell in enumerate(cells):
        found = items_of(cell)
        if cell.role is Role.NAME or (
            cell.role is Role.ANY and at == 0 and _is_title(cell, found, cells[1:])
        ):
            names.append(plain_text(cell.text))
            # `Acme (acme.example)`: an address or a name.
            others += found
        elif cell.role is Role.ADDRESSES:
            items += [with_blank(item) for item in found]
        elif cell.role is Role.OTHER:
            others += found
        elif any(item.addresses for item in found):
            is_sentence = any(len(item.text.split()) > NAME_WORDS_MAX + 2 for item in found)
            if is_sentence or _is_remark(at, cells):
                others += found
            else:
                items += [with_blank(item) for item in found if item.addresses]
        elif not has_names and not names:
            names.append(plain_text(cell.text))
    # Columns for the firm and for its brand often say the same, and some have a dash in them.
    said = {name_key(name): " ".join(name.split()) for name in reversed(names) if name_key(name)}
    return " / ".join(reversed(said.values())), items, others


def _is_remark(at: int, cells: tuple[Cell, ...]) -> bool:
    """Whether a cell says something of its own about an address, beside a cell with addresses alone."""
    words = [word for item in items_of(cells[at]) for word in (*item.before.split(), *item.after.split())]
    has_others = any(is_pure(items_of(cell)) for place, cell in enumerate(cells) if place != at)
    return at > 0 and has_others and sum(word.isalpha() and not is_label(word) for word in words) > 1


def _is_title(cell: Cell, found: list[Item], rest: tuple[Cell, ...]) -> bool:
    """Whether the first cell is a name that looks like an address (`Gate.io`): others beside it have some."""
    if not any(item.addresses for item in found):
        return False
    is_name = cell.text not in (cell.text.lower(), cell.text.upper()) and cell.text[-1:] not in ",;"
    return is_name and any(
        item.addresses for other in rest if other.line == cell.line for item in items_of(other)
    )


def _of_one_cell(cell: Cell) -> tuple[str, list[Item], list[Item]]:
    """`NAME ADDRESS, ADDRESS`: the words in front of the first address are the name."""
    found = items_of(cell)
    first = next((at for at, item in enumerate(found) if item.addresses), None)
    if first is None:
        return plain_text(cell.text), [], []
    name = " ".join([*(item.text for item in found[:first]), found[first].before])
    words = name.split()
    item = found[first]
    label = item.addresses[0].host.partition(".")[0]
    # `DeltaBits delta bits.example`: the last word belongs to the address.
    if len(words) > 1 and label and name_key(words[-1] + label) == name_key("".join(words[:-1])):
        item = with_blank(replace(item, before=words[-1]))
        words = words[:-1]
    return _bare_name(words), [item, *map(with_blank, found[first + 1 :])], []


def _bare_name(words: list[str]) -> str:
    """The name in front of an address, without quotes and what leads over to it: `"Acme Ltd" (sito`."""
    name = " ".join(words).strip(" :-–—")
    head, bracket, rest = name.rpartition("(")
    if bracket and ")" not in rest and all(is_label(word) for word in rest.split()):
        name = head.rstrip()
    return name.strip("\"“”„«»'") if name[:1] in "\"“„«'" else name


def _spelt_alike(addresses: list[Address]) -> list[Address]:
    """Doubt an A-label that is almost, and not, the other spelling of a name beside it."""
    if len(addresses) > SPELLINGS_MAX:
        return addresses
    readings = {
        address.owner: read
        for address in addresses
        if address.owner and (read := unicode_name(address.host)) and not address.written.isascii()
    }
    found = []
    for address in addresses:
        read = unicode_name(address.host) if address.owner else None
        if read is not None and address.written.isascii() and address.owner not in readings:
            for other, name in readings.items():
                if len(name) == len(read) and sum(a != b for a, b in zip(name, read, strict=True)) <= 2:
                    why = f"reads {read!r}; the other spelling of {name!r} beside it is {name_to_text(other)}"
                    address = address.doubted(why)
                    break
        found.append(address)
    return found


def _name_text(cells: tuple[Cell, ...]) -> str:
    return plain_text(" ".join(cell.text for cell in cells))


def _readable(name: str) -> str:
    return unicode_name(name) or name


def registrable(owner: bytes) -> bytes:
    """The name that a registry sold, at or above `owner` (wire form)."""
    names = [owner[at:] for at in suffix_offsets(owner)]
    return next((name for name in names if is_public_suffix(parent(name))), owner)


def _listed(platforms: Iterable[Platform]) -> str:
    return ", ".join(f"{platform.name} ({platform.id})" for platform in platforms)


def _wire(text: str) -> bytes | None:
    try:
        return name_from_text(text.strip()) if "." in text else None
    except ValueError:
        return None
