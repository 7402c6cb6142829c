"""SipHash-2-4 against the vectors of its reference implementation and two cookies that Linux made."""

from __future__ import annotations

import pytest

from catenet.wire.siphash import siphash

KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("length", "expected"),
    [(0, 0x726FDB47DD0E0E31), (8, 0x93F5F5799A932462), (15, 0xA129CA6149BE45E5)],
)
def test_reference_vectors(length: int, expected: int) -> None:
    assert siphash(KEY, bytes(range(length))) == expected


def test_key_length() -> None:
    with pytest.raises(ValueError, match="16 octets"):
        siphash(b"short", b"")


def test_fast_open_cookie_of_linux() -> None:
    key = bytes.fromhex("a1a1a1a1b2b2b2b2c3c3c3c3d4d4d4d4")
    addresses = bytes((192, 0, 2, 1, 192, 168, 0, 1))
    assert siphash(key, addresses).to_bytes(8, "little").hex() == "3021b9d889017eeb"
