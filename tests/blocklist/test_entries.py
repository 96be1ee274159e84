"""Names and networks as people paste them into a blocklist."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.blocklist.entries import address_entry, address_objection, name_entry
from resolver.config.yamlsource import Value, YamlMapping, YamlSequence
from resolver.policy.verdict import RuleForm
from resolver.wire.names import name_from_text
from tests.support.for_each import for_each


@for_each(
    ("text", "name", "form"),
    [
        ("exchange.example", "exchange.example", RuleForm.SUBTREE),
        ("=login.example", "login.example", RuleForm.EXACT),
        ("*.cdn.example", "cdn.example", RuleForm.BELOW),
        ("Exchange.EXAMPLE", "exchange.example", RuleForm.SUBTREE),
        ("exchange.example.", "exchange.example", RuleForm.SUBTREE),
        (" exchange.example ", "exchange.example", RuleForm.SUBTREE),
        ("= login.example", "login.example", RuleForm.EXACT),
        ("bücher.example", "xn--bcher-kva.example", RuleForm.SUBTREE),
        ("BÜCHER。example", "xn--bcher-kva.example", RuleForm.SUBTREE),
        ("*.xn--bcher-kva.example", "xn--bcher-kva.example", RuleForm.BELOW),
        ("_dmarc.x-y.example", "_dmarc.x-y.example", RuleForm.SUBTREE),
        ("1xbit.example", "1xbit.example", RuleForm.SUBTREE),
        ("a.xn--p1ai", "a.xn--p1ai", RuleForm.SUBTREE),
        ("shop7.example7", "shop7.example7", RuleForm.SUBTREE),
    ],
)
def test_names_in_three_forms_are_read_and_normalised(text: str, name: str, form: RuleForm) -> None:
    assert name_entry(text) == (name_from_text(name), form)


@for_each(
    ("value", "part"),
    [
        ("https://www.x.example/en", "is a URL; write the domain: 'www.x.example'"),
        ("HTTP://X.example:8080", "is a URL; write the domain: 'x.example'"),
        ("//x.example", "is a URL; write the domain: 'x.example'"),
        ("=https://x.example", "is a URL; write the domain: '=x.example'"),
        ("https://", "is a URL; write the domain alone"),
        ("https://[::1", "is a URL; write the domain alone"),
        ("x.example:443", "has a port, but DNS has no ports; write the domain: 'x.example'"),
        ("x.example/path", "has a path; write the domain: 'x.example'"),
        ("x.example/", "has a path; write the domain: 'x.example'"),
        ("192.0.2.1", "is an address, not a domain; networks belong under 'addresses'"),
        ("2001:db8::1", "is an address"), ("[2001:db8::1]", "is an address"),
        ("192.0.2.0/24", "is a network"), ("1.2.3", "ends in a number"), ("1.2.3.4.5", "ends in a number"),
        ("a@x.example", "is a mail address; write the domain: 'x.example'"),
        (".x.example", "begins with a dot; write the domain: 'x.example'"),
        ("||x.example^", "ad blocker's rule; write the domain: 'x.example'"),
        ("x[.]example", "dots written in another way; write the domain: 'x.example'"),
        ("a.*.example", "* is allowed only at the start"), ("*", "* is allowed only at the start"),
        ("*x.example", "* is allowed only at the start"), ("=*.x.example", "* is allowed only at the start"),
        ("==x.example", "two signs"), ("a.example, b.example", "more than one name"),
        ("a.example b.example", "more than one name"), ("", "has no domain name in it"), ("=", "has no domain name in it"),
        ("*.", "has no domain name in it"), (".", "begins with a dot"), ("a..example", "empty label"),
        ("x" * 64 + ".example", "63"), ("a." * 127 + "example", "255"), ("a!.example", "cannot stand in a name"),
        ("xn--\u00fc.example", "internationalised"),
        (None, "an empty entry"), (5, "is a number"), (True, "is a truth value"), (1.5, "is a number"),
        (YamlMapping(1), "a mapping"), (YamlSequence(1), "a list"),
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_with_what_was_meant(value: Value, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        name_entry(value)
    assert part in str(caught.value)


@given(st.text(max_size=60) | st.text(alphabet="ab.*=:/@[] 19\\-", max_size=20))
def test_any_text_is_a_name_or_a_reason(text: str) -> None:
    try:
        owner, _ = name_entry(text)
    except ValueError:
        return
    assert owner.endswith(b"\0") and 1 < len(owner) <= 255


PLAIN_LABELS = st.text(alphabet="abz059_-", min_size=1, max_size=65)


@given(st.lists(PLAIN_LABELS, min_size=1, max_size=8).map(lambda labels: ".".join([*labels, "example"])))
def test_the_short_way_for_plain_names_agrees_with_the_long_one(text: str) -> None:
    try:
        expected = name_from_text(text)
    except ValueError:
        with pytest.raises(ValueError):
            name_entry(text)
    else:
        assert name_entry(text) == (expected, RuleForm.SUBTREE)


def test_the_longest_names_are_read_and_longer_ones_refused() -> None:
    for longest in ("a." * 126 + "z", "x" * 63 + ".example", ".".join(["x" * 63] * 3 + ["y" * 61])):
        assert name_entry(longest)[0] == name_from_text(longest)
    for too_long in ("a." * 126 + "zz", "x" * 64, ".".join(["x" * 63] * 3 + ["y" * 62])):
        with pytest.raises(ValueError):
            name_entry(too_long)


@pytest.mark.parametrize("text", ["203.0.113.0/28", "203.0.113.7", "2001:db8::/48", " 203.0.113.7 "])
def test_networks_and_addresses_are_read(text: str) -> None:
    assert address_entry(text) == ipaddress.ip_network(text.strip())


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("203.0.113.7/24", "did you mean '203.0.113.0/24'"), ("x.example", "domains belong under 'domains'"),
        ("fe80::1%lo", "zone"), ("::ffff:203.0.113.7", "write the IPv4 address"), ("203.0.113.0/33", "not an address"),
        (5, "in quotes"), (None, "in quotes"), (YamlMapping(1), "a mapping"), ("", "not an address"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_refused(value: Value, part: str) -> None:
    with pytest.raises(ValueError) as caught:
        address_entry(value)
    assert part in str(caught.value)


@for_each(
    ("text", "part"),
    [
        ("203.0.112.0/23", "wider than /24"), ("0.0.0.0/0", "wider than /24"), ("2001:db8::/47", "wider than /48"),
        ("10.1.2.3", "private"), ("172.31.255.0/24", "private"), ("192.168.0.0/24", "private"), ("127.0.0.1", "private"),
        ("169.254.1.1", "private"), ("100.64.0.1", "private"), ("0.0.0.0", "private"), ("224.0.0.1", "private"),
        ("255.255.255.255", "private"), ("::1", "private"), ("::", "private"), ("fd00::1", "private"), ("fe80::1", "private"),
    ],
)  # fmt: skip
def test_dangerous_networks_are_objected_to(text: str, part: str) -> None:
    objection = address_objection(ipaddress.ip_network(text))
    assert objection is not None and part in objection


@pytest.mark.parametrize(
    "text", ["203.0.113.0/24", "198.51.100.7", "2001:db8::/48", "172.32.0.1", "100.128.0.1"]
)
def test_ordinary_networks_are_not(text: str) -> None:
    assert address_objection(ipaddress.ip_network(text)) is None
