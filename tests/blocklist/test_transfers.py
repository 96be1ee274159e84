"""What a blocklist may say of a zone that is transferred."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from resolver.blocklist.downloads import downloaded_list_from, downloaded_lists
from resolver.blocklist.reader import read_blocklist
from resolver.blocklist.rules import Blocklist
from resolver.blocklist.transfers import Primary, Transfer, TsigSpec, transfer_from
from tests.support.for_each import for_each

HEAD = "version: 1\nexchanges: {}\nlists:\n"


def read(folder: Path, entry: str) -> tuple[Blocklist | None, list[str]]:
    path = folder / "blocklist.yaml"
    path.write_text(f"{HEAD}- {{name: zone, {entry}}}\n")
    found, problems = read_blocklist(path)
    return found, [str(problem.message) for problem in problems if problem.severity == "error"]


def transfer_in(folder: Path, entry: str) -> Transfer:
    found, errors = read(folder, entry)
    assert errors == [] and found is not None
    assert found.lists[0].format == "rpz"
    download = found.lists[0].download
    assert download is not None and download.transfer is not None
    # It goes to the child process, and comes with the image.
    [one] = downloaded_lists(found.lists)
    assert downloaded_list_from(one.as_json()) == one
    assert transfer_from(asdict(download.transfer)) == download.transfer
    return download.transfer


def test_one_primary_is_its_address_port_and_zone(tmp_path: Path) -> None:
    assert transfer_in(tmp_path, "url: 'axfr://192.0.2.1:5300/RPZ.Example'") == Transfer(
        "rpz.example.", (Primary("192.0.2.1", 5300),)
    )
    assert transfer_in(tmp_path, "url: 'axfr://[2001:db8::1]/rpz.example.'") == Transfer(
        "rpz.example.", (Primary("2001:db8::1", 53),)
    )


def test_several_primaries_keep_their_order(tmp_path: Path) -> None:
    urls = "['axfr+tls://192.0.2.2/z.example#NS.example', 'axfr://192.0.2.1/z.example']"
    transfer = transfer_in(tmp_path, f"url: {urls}, tls_ca: ca.pem")
    assert transfer.primaries == (Primary("192.0.2.2", 853, "ns.example"), Primary("192.0.2.1", 53))
    assert transfer.tls_ca == str(tmp_path / "ca.pem")


def test_a_key_is_named_by_its_file(tmp_path: Path) -> None:
    entry = "url: 'axfr://192.0.2.1/z.example', tsig: {name: Key.example, secret_file: keys/z}"
    expected = TsigSpec("key.example.", "hmac-sha256", str(tmp_path / "keys" / "z"))
    assert transfer_in(tmp_path, entry).tsig == expected


@for_each(
    ("entry", "words"),
    [
        ("url: 'axfr://ns.example/z.example'", "by its address"),
        ("url: 'axfr://192.0.2.1'", "which zone"),
        ("url: 'axfr://192.0.2.1/a/b'", "which zone"),
        ("url: 'axfr://192.0.2.1:0/z.example'", "port 0"),
        ("url: 'axfr://192.0.2.1:99999/z.example'", "by its address"),
        ("url: 'axfr://user:word@192.0.2.1/z.example'", "passwords"),
        ("url: 'axfr://192.0.2.1/z.example?x'", "characters"),
        ("url: 'axfr://192.0.2.1/z..example'", "label"),
        ("url: 'axfr://192.0.2.1/z.example#ns.example'", "axfr+tls"),
        ("url: 'axfr+tls://192.0.2.1/z.example'", "certificate must have"),
        ("url: ['axfr://192.0.2.1/a.example', 'axfr://192.0.2.2/b.example']", "one zone"),
        ("url: ['axfr://192.0.2.1/a.example', 'https://lists.example/x']", "all primaries"),
        ("url: ['https://lists.example/x', 'https://lists.example/y']", "can be several"),
        ("url: [" + ", ".join(f"'axfr://192.0.2.{n}/a.example'" for n in range(1, 11)) + "]", "over 8"),
        ("url: 'axfr://192.0.2.1/z.example', sha256: '" + "0" * 64 + "'", "TSIG and TLS"),
        ("url: 'axfr://192.0.2.1/z.example', format: hosts", "read as rpz"),
        ("url: 'axfr://192.0.2.1/z.example', tls_ca: ca.pem", "only for axfr+tls"),
        ("url: 'axfr://192.0.2.1/z.example', tsig: {name: k.example}", "secret_file"),
        (
            "url: 'axfr://192.0.2.1/z.example', tsig: {name: k, algorithm: hmac-md5, secret_file: f}",
            "hmac-md5",
        ),
        ("url: 'https://lists.example/x', tsig: {name: k, secret_file: f}", "only for zones"),
        ("path: x.txt, tsig: {name: k, secret_file: f}", "only for a list with a url"),
    ],
)
def test_what_cannot_be_meant_is_an_error_that_says_what_to_write(
    tmp_path: Path, entry: str, words: str
) -> None:
    found, errors = read(tmp_path, entry)
    assert found is None
    assert any(words in error for error in errors), errors
    assert not any("word@" in error for error in errors)
