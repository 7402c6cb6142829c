"""EDNS options: client subnets, padding, and what a server says in words."""

from __future__ import annotations

import pytest

from catenet.dns.options import client_subnet, option_to_text, padded, with_option
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import pack


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("192.0.2.77/24", "00011800c00002"),
        ("192.0.2.77/25", "00011900c0000200"),
        ("192.0.2.77", "00012000c000024d"),
        ("0.0.0.0/0", "00010000"),
        ("0", "00010000"),
        ("::/0", "00020000"),
        ("2001:db8:abcd::/36", "0002240020010db8a0"),
    ],
)
def test_client_subnets(text, data):
    assert client_subnet(text).hex() == data


@pytest.mark.parametrize("text", ["", "x", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/x", "::/129", "1.2.3/8"])
def test_what_is_no_subnet(text):
    with pytest.raises(ValueError, match=r"."):
        client_subnet(text)


def test_padding_makes_messages_of_whole_blocks():
    for size in range(12):
        edns = with_option(Edns(), 65001, bytes(size))
        bare = pack(1, 0, None, edns=edns)
        assert len(pack(1, 0, None, edns=padded(edns, len(bare), 128))) % 128 == 0


@pytest.mark.parametrize(
    ("code", "data", "text"),
    [
        (3, b"ns1", ("nsid", '6e7331 ("ns1")')),
        (3, b"\xff\x1b", ("nsid", "ff1b")),
        (3, b"a\x1b", ("nsid", "611b")),
        (8, bytes.fromhex("00011810c00002"), ("subnet", "192.0.2.0/24/16")),
        (8, bytes.fromhex("0009180000"), ("subnet", "0009180000")),
        (8, b"\0", ("subnet", "00")),
        (9, (3600).to_bytes(4, "big"), ("expire", "3600")),
        (9, b"", ("expire", "")),
        (10, b"\1\2", ("cookie", "0102")),
        (11, b"\0\x64", ("keepalive", "10 s")),
        (12, bytes(9), ("padding", "9 bytes")),
        (65001, b"\xab", ("option 65001", "ab")),
    ],
)
def test_options_in_words(code, data, text):
    assert option_to_text(code, data) == text
