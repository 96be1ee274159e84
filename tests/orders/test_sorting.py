"""Whose row is it?  Known platforms, new ones, clones, and what only stands in the text."""

from __future__ import annotations

import pytest

from tests.orders.support import import_text


def test_an_address_decides_whom_a_row_is_about() -> None:
    found = import_text("1. Somebody   www.acme.example, https://beta.io/x\n2. Delta   d.example\n")
    assert found.known == {
        "acme": ["www.acme.example"],
        "beta": ["https://beta.io/x"],
        "delta": ["d.example"],
    }
    assert found.new == {} and found.not_taken == {}


def test_a_whole_name_or_alias_counts_where_there_is_no_address() -> None:
    found = import_text("1. ACME GLOBAL\n2. Oldco / Newco\n3. dex\n4. Nobody Knows\n5. BETA IO\n")
    assert found.known == {"acme": [], "delta": [], "beta": []}
    assert found.not_taken == {"Nobody Knows": "no_address"}


def test_a_near_name_is_doubtful_and_not_written() -> None:
    found = import_text("1. Acme\n2. Gamma Trading Ltd\n3. Extendde\n")
    assert found.known == {"acme": []}
    assert found.not_taken == {"Gamma Trading Ltd": "doubtful", "Extendde": "doubtful"}
    taken = import_text("1. Acme\n2. Gamma Trading Ltd\n", take=("gamma",))
    assert set(taken.known) == {"acme", "gamma"}
    assert taken.proposal.taken == {"gamma"}


def test_a_clone_with_the_name_of_a_platform_never_touches_the_platform() -> None:
    found = import_text("1. Delta Exchange   delta-login.example\n2. Acme   https://t.me/acme\n")
    assert found.known == {}
    assert found.new == {"delta-exchange-x-1": ["delta-login.example"]}
    assert found.not_taken == {
        "Delta Exchange": "doubtful",
        "Acme": "doubtful",
        "https://t.me/acme": "shared_platform",
    }
    rules = {rule.label: rule.orders for rule in found.blocklist.exchanges}
    assert "delta" not in rules and "x-1" not in rules["acme"]


def test_a_mirror_beside_a_known_address_goes_to_its_platform() -> None:
    found = import_text("1. Acme   acme.example, acme-mirror.example\n")
    assert found.known == {"acme": ["acme.example", "acme-mirror.example"]}
    assert found.plan.added == {"acme": ["acme-mirror.example"]}


def test_running_text_beside_a_list_is_only_asked_about() -> None:
    text = "The site www.authority.example says that Beta.io and delta.example are fine.\n\n1. Acme   acme.example\n"
    found = import_text(text)
    assert found.known == {"acme": ["acme.example"]}
    assert found.not_taken == {
        "www.authority.example": "doubtful",
        "delta.example": "doubtful",
        "Beta.io": "doubtful",
    }
    assert found.proposal.asks == ["acme.example"]


def test_a_letterhead_is_no_list() -> None:
    text = "Authority\nwww.authority.example\nWeb: authority.example\n\n1. Acme   acme.example\n2. New   new.example\n\nannex.example\n"
    found = import_text(text)
    assert found.new == {"new": ["new.example"]}
    assert found.not_taken["www.authority.example"] == "doubtful"
    assert found.not_taken["annex.example"] == "doubtful"


def test_a_plain_list_of_names_is_one() -> None:
    found = import_text("acme.example\nnew.example\nlogin.new.example\nother.example\n")
    assert found.known == {"acme": ["acme.example"]}
    assert found.new == {
        "new-example": ["new.example", "login.new.example"],
        "other-example": ["other.example"],
    }


def test_a_press_release_names_known_addresses_and_asks_about_the_others() -> None:
    found = import_text("The regulator has ordered that access to delta.example and unknown.example ends.\n")
    assert found.known == {"delta": ["delta.example"]}
    assert found.not_taken == {"unknown.example": "doubtful"}
    taken = import_text(
        "Access to unknown.example and Extended ends.\n", take=("unknown.example", "extended")
    )
    assert taken.new == {"unknown-example": ["unknown.example"]}
    assert set(taken.known) == {"extended"}


def test_what_running_text_asks_for_and_dns_cannot_do_is_listed_too() -> None:
    found = import_text(
        "The operator works at https.//foo.example, at ttps://bar.example and alphabits.exmaple, "
        "on https://t.me/acme and https://wa.me/1 and under 203.0.113.7; write to info@authority.example.\n"
    )
    assert found.known == found.new == {}
    assert found.not_taken == {
        "https.//foo.example": "invalid",
        "ttps://bar.example": "invalid",
        "https://t.me/acme": "shared_platform",
        "https://wa.me/1": "shared_platform",
        "203.0.113.7": "address_only",
        "info@authority.example": "mail_address",
    }


def test_words_in_running_text_are_names_only_as_the_platform_writes_them() -> None:
    assert import_text("The deadline is extended, and delta exchange rates apply.\n").not_taken == {}
    assert import_text("The platform Delta Exchange is unlicensed.\n").not_taken == {
        "Delta Exchange": "doubtful"
    }


def test_the_place_where_the_order_is_published_is_not_blocked() -> None:
    text = "1. Acme   acme.example, https://www.authority.example/annex\n"
    found = import_text(text, url="https://www.authority.example/orders/1")
    assert found.not_taken == {"https://www.authority.example/annex": "doubtful"}
    assert found.new == {}


def test_columns_for_other_things_and_targets_of_links_are_asked_about() -> None:
    text = "name,website,source\nNew,new.example,https://www.authority.example/1\n"
    found = import_text(text, name="order.csv")
    assert found.new == {"new": ["new.example"]}
    assert found.not_taken == {"https://www.authority.example/1": "doubtful"}
    page = '<ul><li><a href="https://track.example/?u=1">New</a>: <a href="https://new.example/">new.example</a></ul>'
    found = import_text(page, name="order.html")
    assert found.new == {"new": ["new.example"]}
    assert found.not_taken == {"https://track.example/?u=1": "doubtful"}


def test_rows_of_one_name_are_one_entry_and_ids_are_free() -> None:
    found = import_text(
        "1. New Coin   a.example\n2. New Coin   b.example\n3. Gamma   clone.example\n4. Ünï   u.example\n"
    )
    assert found.new == {
        "new-coin": ["a.example", "b.example"],
        "gamma-x-1": ["clone.example"],
        "uni": ["u.example"],
    }


def test_a_name_above_a_known_one_is_new_and_says_so() -> None:
    policy = "version: 1\nexchanges:\n  sub: {name: Sub, domains: [trade.bank.example]}\n"
    found = import_text("1. Bank   bank.example\n", policy=policy)
    assert found.new == {"bank": ["bank.example"]}
    assert "sub" in found.proposal.new[0].remarks[-1]


@pytest.mark.slow
def test_an_order_may_not_name_more_than_it_can_hold() -> None:
    import pytest

    from resolver.orders.rows import Unreadable

    text = "".join(f"{n}. X{n}   x{n}.example\n" for n in range(10_001))
    with pytest.raises(Unreadable, match="10,000 addresses"):
        import_text(text)
