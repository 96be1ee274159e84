"""A public key under which anybody can sign is refused, however it is written."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from resolver.blocklist.downloads import ed25519_key_from, minisign_key_from
from tests.support.for_each import for_each

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the points that keys are made of (RFC 8032 §5.1)."""
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(one: Point, two: Point) -> Point:
    """RFC 8032 §5.1.4, not homogeneous."""
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P)
    return x % P, y % P


def times(factor: int, point: Point) -> Point:
    total = (0, 1)
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def points() -> list[Point]:
    """Some points of the whole curve."""
    found = []
    for y in range(2, 40):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        for root in (x, x * pow(2, (P - 1) // 4, P) % P):
            if root * root % P == square:
                found.append((root, y))
                break
    return found


SMALL = {times(ORDER, point) for point in points()}
SMALL |= {add(one, two) for one in SMALL for two in SMALL}


def writings(y: int) -> list[bytes]:
    numbers = [number for number in (y, y + P) if number < 2**255]
    return [(number | sign << 255).to_bytes(32, "little") for number in numbers for sign in (0, 1)]


WEAK = sorted({key for _, y in SMALL for key in writings(y)})


def test_all_points_of_small_order_are_tried() -> None:
    assert len(SMALL) == 8 and len(WEAK) >= 12
    assert all(times(8, point) == (0, 1) for point in SMALL)


def test_anybody_can_sign_under_such_a_key() -> None:
    neutral = (1).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"whatever")


@for_each("key", WEAK, ids=lambda key: key.hex()[:8] + key.hex()[-4:])
def test_a_key_of_small_order_is_refused(key: bytes) -> None:
    for text in (key.hex(), base64.b64encode(key).decode()):
        with pytest.raises(ValueError, match="small order"):
            ed25519_key_from(text)
    with pytest.raises(ValueError, match="small order"):
        minisign_key_from(base64.b64encode(b"Ed" + b"KEYIDKEY" + key).decode())


def test_other_keys_pass() -> None:
    base = next(point for point in points() if times(ORDER, point) == (0, 1) and point != (0, 1))
    keys = [times(factor, base) for factor in range(1, 20)]
    for _, y in keys:
        assert base64.b64decode(ed25519_key_from(writings(y)[0].hex())) == writings(y)[0]
