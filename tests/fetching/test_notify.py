"""NOTIFY: who may announce a change of which zone, and what the answer is."""

from __future__ import annotations

from pathlib import Path

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import dns.tsig
import pytest

from resolver.blocklist.downloads import Download, DownloadedList
from resolver.blocklist.transfers import Primary, Transfer, TsigSpec
from resolver.fetching.notify import NOTIFY_OCTETS_MAX, Notified, NotifyDesk

ZONE = "rpz.example."
SECRET = "c2VjcmV0LW9mLXRoZS10cmFuc2ZlcnMtMzItb2N0ZXQ="
KEY = dns.tsig.Key("key.example.", SECRET, "hmac-sha256")


def zone_list(
    name: str = "zone", zone: str = ZONE, *addresses: str, tsig: TsigSpec | None = None
) -> DownloadedList:
    primaries = tuple(Primary(address, 53) for address in addresses or ("192.0.2.1", "2001:db8::1"))
    transfer = Transfer(zone, primaries, tsig)
    return DownloadedList(
        name, "rpz", 50, Download(f"axfr://{name}", 86_400, 20.0, 1 << 20, transfer=transfer)
    )


def desk_for(*lists: DownloadedList) -> NotifyDesk:
    desk = NotifyDesk()
    desk.follow(lists)
    return desk


def notify(zone: str = ZONE, serial: int | None = None, rtype: str = "SOA") -> dns.message.Message:
    message = dns.message.make_query(zone, rtype)
    message.set_opcode(dns.opcode.NOTIFY)
    message.flags |= dns.flags.AA
    if serial is not None:
        message.answer.append(dns.rrset.from_text(zone, 0, "IN", "SOA", f". . {serial} 1 1 1 1"))
    return message


def said(notified: Notified | None, message: dns.message.Message) -> tuple[str, tuple[str, ...]]:
    """Rcode and lists, of an answer that is one to this message."""
    assert notified is not None
    reply = dns.message.from_wire(notified.reply, keyring=KEY, request_mac=message.mac or b"")
    assert message.is_response(reply) and reply.opcode() == dns.opcode.NOTIFY
    return dns.rcode.to_text(reply.rcode()), notified.lists


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_a_primary_announces_its_zone(address: str) -> None:
    message = notify()
    assert said(desk_for(zone_list()).take(message.to_wire(), address, {}), message) == ("NOERROR", ("zone",))


def test_every_list_of_the_zone_is_announced() -> None:
    message = notify("RPZ.Example.")
    desk = desk_for(zone_list("a"), zone_list("b"), zone_list("c", "other.example."))
    assert said(desk.take(message.to_wire(), "192.0.2.1", {}), message) == ("NOERROR", ("a", "b"))


def test_a_serial_that_is_here_announces_nothing() -> None:
    message = notify(serial=7)
    desk = desk_for(zone_list())
    assert said(desk.take(message.to_wire(), "192.0.2.1", {"zone": 7}), message) == ("NOERROR", ())
    assert said(desk.take(message.to_wire(), "192.0.2.1", {"zone": 6}), message) == ("NOERROR", ("zone",))


def test_a_stranger_or_another_zone_announces_nothing() -> None:
    desk = desk_for(zone_list(), zone_list("b", "other.example.", "192.0.2.9"))
    message = notify()
    assert said(desk.take(message.to_wire(), "192.0.2.9", {}), message) == ("REFUSED", ())
    unknown = notify("unknown.example.")
    assert said(desk.take(unknown.to_wire(), "192.0.2.1", {}), unknown) == ("NOTAUTH", ())
    odd = notify(rtype="A")
    assert said(desk.take(odd.to_wire(), "192.0.2.1", {}), odd) == ("FORMERR", ())


def test_a_signed_notify_gets_a_signed_answer(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(SECRET)
    file.chmod(0o600)
    desk = desk_for(zone_list(tsig=TsigSpec("key.example.", "hmac-sha256", str(file))))
    message = notify()
    message.use_tsig(KEY)
    notified = desk.take(message.to_wire(), "192.0.2.1", {})
    assert said(notified, message) == ("NOERROR", ("zone",))
    assert notified is not None
    assert dns.message.from_wire(notified.reply, keyring=KEY, request_mac=message.mac or b"").had_tsig


def test_a_signature_of_another_key_is_no_announcement(tmp_path: Path) -> None:
    desk = desk_for(zone_list())
    message = notify()
    message.use_tsig(KEY)
    assert desk.take(message.to_wire(), "192.0.2.1", {}) is None


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(bytes(12), id="no question"),
        pytest.param(b"\xff" * 40, id="octets"),
        pytest.param(dns.message.make_query(ZONE, "SOA").to_wire(), id="a query"),
        pytest.param(dns.message.make_response(notify()).to_wire(), id="a response"),
        pytest.param(notify().to_wire()[:-1], id="cut off"),
        pytest.param(notify().to_wire() + b"\0", id="an octet more"),
        pytest.param(notify().to_wire() + bytes(NOTIFY_OCTETS_MAX), id="too long"),
    ],
)
def test_what_is_no_notify_is_nobodys(octets: bytes) -> None:
    assert desk_for(zone_list()).take(octets, "192.0.2.1", {}) is None


def test_no_zone_is_followed_for_a_list_from_the_web() -> None:
    web = DownloadedList("ads", "hosts", 50, Download("https://lists.example/x", 86_400, 20.0, 1 << 20))
    assert desk_for(web).addresses == frozenset()
    assert desk_for(zone_list()).addresses == {"192.0.2.1", "2001:db8::1"}
