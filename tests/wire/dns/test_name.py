"""Names: text and wire both ways as dnspython has them, limits, pointers, order."""

from __future__ import annotations

import dns.exception
import dns.name
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catenet.wire.dns.name import (
    ROOT,
    canonical_key,
    fold,
    is_below,
    join,
    labels,
    name_from_text,
    name_to_text,
    parent,
    read_name,
    skip_name,
)
from catenet.wire.errors import Malformed

LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=6).filter(lambda found: sum(map(len, found)) < 240)


@given(LABELS)
def test_the_text_of_any_name_is_dnspython_s_and_reads_back(parts: list[bytes]) -> None:
    name = join(parts)
    assert labels(name) == parts
    text = name_to_text(name)
    assert dns.name.from_text(text).to_wire() == name
    assert name_from_text(text) == name
    assert name_from_text(dns.name.Name([*parts, b""]).to_text()) == name
    assert read_name(b"xx" + name, 2) == name
    assert skip_name(b"xx" + name, 2) == len(name) + 2


@given(st.text(alphabet="aZ-._*\\012389@ ü", max_size=20))
def test_a_text_that_dnspython_refuses_is_refused(text: str) -> None:
    try:
        expected = dns.name.from_text(text.encode()).to_wire() if text.isascii() else None
    except (dns.exception.DNSException, ValueError):
        expected = None
    if text in ("", "@"):
        expected = ROOT
    if expected is None:
        with pytest.raises(ValueError, match=r"."):
            name_from_text(text)
    else:
        assert name_from_text(text) == expected


@given(LABELS, LABELS)
def test_order_and_ancestry_are_dnspython_s(first: list[bytes], second: list[bytes]) -> None:
    a, b = join(first), join(second)
    x, y = dns.name.Name([*first, b""]), dns.name.Name([*second, b""])
    assert (canonical_key(a) < canonical_key(b)) == (x < y)
    assert is_below(fold(a), fold(b)) == x.is_subdomain(y)
    assert is_below(fold(a), fold(parent(a)))


def test_a_label_whose_bytes_look_like_another_name_s_end_is_no_ancestor() -> None:
    assert not is_below(join([b"a\x03com"]), join([b"com"]))
    assert is_below(join([b"a", b"com"]), join([b"com"]))


def test_relative_names_are_under_the_origin() -> None:
    origin = name_from_text("example.")
    assert name_from_text("www", origin) == name_from_text("www.example.")
    assert name_from_text("www.", origin) == name_from_text("www.")
    assert name_from_text("@", origin) == origin
    assert name_from_text(".", origin) == ROOT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a" * 64, "1 to 63 bytes"),
        (".".join(["a" * 63] * 4), "longer than 255"),
        (r"a\25", "no number"),
        (r"a\256", "no number"),
        ("a\\", "backslash"),
        ("bücher.example", "xn--"),
    ],
)
def test_mistakes_are_named(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        name_from_text(text)


def test_names_of_255_bytes_and_no_more() -> None:
    longest = ".".join(["a" * 63] * 3 + ["b" * 61]) + "."
    assert len(name_from_text(longest)) == 255
    with pytest.raises(ValueError, match="255"):
        name_from_text("c", name_from_text(longest))


def test_pointers_lead_back() -> None:
    data = b"\x03com\0\x07example\xc0\x00\x03www\xc0\x05"
    assert read_name(data, 15) == name_from_text("www.example.com.")
    assert skip_name(data, 15) == 21


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x03ww",
        b"\x01a",
        b"\xc0",
        b"\xc0\x00",
        b"\x01a\xc0\x00",
        b"\x01a\xc0\x05\x01b\x00",
        b"\x80a\x00",
        b"\x40a\x00",
        (b"\x3f" + b"a" * 63) * 4 + b"\0",
    ],
    ids=["empty", "cut", "endless", "half a pointer", "itself", "loop", "forward", "type 2", "type 1", "long"],
)
def test_what_is_no_name_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_name(data, 0)


def test_a_name_that_grows_beyond_255_bytes_by_pointers_is_malformed() -> None:
    data = (b"\x3f" + b"a" * 63) * 3 + b"\0" + b"\x3f" + b"b" * 63 + b"\xc0\x00"
    with pytest.raises(Malformed, match="255"):
        read_name(data, 193)


def test_a_chain_of_pointers_is_followed_no_further_than_a_name_can_need() -> None:
    def chain(pointers: int) -> bytes:
        links = b"".join((0xC000 | max(2 * n - 1, 0)).to_bytes(2, "big") for n in range(pointers))
        return b"\0" + links

    data = chain(127)
    assert read_name(data, len(data) - 2) == ROOT
    data = chain(8000)
    with pytest.raises(Malformed, match="too many"):
        read_name(data, len(data) - 2)


@given(
    st.lists(
        st.sampled_from((b"\0", b"\x01a", b"\xc0\x00", b"\xc0\x01", b"\xc0\x05", b"\x3f" + b"b" * 63)), max_size=30
    )
)
def test_what_is_known_of_pointers_changes_no_name(pieces: list[bytes]) -> None:
    data, known = b"".join(pieces), {}

    def read(at: int, known: dict[int, tuple[bytes, int]] | None) -> bytes | str:
        try:
            return read_name(data, at, known)
        except Malformed as error:
            return str(error)

    for at in range(len(data)):
        assert read(at, known) == read(at, None)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_reading_ends_whatever_comes(data: bytes, at: int) -> None:
    try:
        name = read_name(data, at)
    except Malformed:
        return
    assert len(name) <= 255
    assert name.endswith(ROOT)
    assert skip_name(data, at) <= len(data)
