"""Packets, options and netascii: laws, limits, and bytes of any kind."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.tftp.pipe import Address

from catenet.tftp import ServerCore, Transfer, Wishes
from catenet.tftp.core import Asked
from catenet.tftp.netascii import NetasciiDecoder, encode
from catenet.tftp.options import Granted, grant
from catenet.tftp.packets import (
    Malformed,
    Request,
    build_oack,
    build_request,
    parse_error,
    parse_oack,
    parse_request,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NAMES = TEXT.filter(bool)
OPTIONS = st.dictionaries(NAMES.filter(lambda name: name == name.lower()), TEXT, max_size=4)


@settings(derandomize=True)
@given(NAMES, st.booleans(), OPTIONS)
def test_what_can_be_built_can_be_parsed(name, writes, options):
    request = Request(name, writes, "octet", options)
    try:
        data = build_request(request)
    except ValueError:
        return
    assert parse_request(data) == request
    assert parse_oack(build_oack(options)) == options


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0\1", b"\0\1\0octet\0", b"\0\1name\0", b"\0\1name\0octet", b"\0\3\0\1",
        b"\0\1" + b"x" * 600 + b"\0octet\0",
        b"\0\1n\0octet\0" + b"a\0b\0" * 40,
    ],
)  # fmt: skip
def test_malformed_requests(data):
    with pytest.raises(Malformed):
        parse_request(data)


def test_names_need_no_utf8_and_options_no_value():
    assert parse_request(b"\0\2\xff\xfe\0OCTET\0BlkSize\x0099\0blksize\x0011\0alone\0") == Request(
        "\udcff\udcfe", True, "octet", {"blksize": "99"}
    )


def test_what_is_granted():
    most = Wishes(65_464, 64)
    granted, said = grant({"blksize": "100000", "windowsize": "500", "tsize": "0", "x": "1"}, most, 77, False)
    assert granted == Granted(65_464, 2, None, 77) and said == {"blksize": "65464", "windowsize": "2", "tsize": "77"}
    assert grant({"blksize": "1468", "windowsize": "65535"}, most, 1, False)[0] == Granted(1468, 64)
    for wrong in ("", "-1", "7", "\u0663", "1e9", "9" * 30):
        assert grant({"blksize": wrong}, most, None, False) == (Granted(), {})
    for wrong in ("0", "256", "x"):
        assert grant({"timeout": wrong, "rollover": "2"}, most, None, False) == (Granted(), {})
    assert grant({"tsize": "5"}, most, None, True) == (Granted(size=5), {"tsize": "5"})


@settings(derandomize=True)
@given(st.binary(max_size=200) | st.text("\r\n\0a", max_size=30).map(str.encode), st.lists(st.integers(0, 30)))
@example(b"\r\n\r\r\0\n", [1, 2, 3])
def test_netascii_comes_back(data, cuts):
    coded = encode(data)
    decoder = NetasciiDecoder()
    edges = sorted({0, len(coded), *(cut for cut in cuts if cut < len(coded))})
    pieces = [decoder.feed(coded[start:stop]) for start, stop in itertools.pairwise(edges)]
    assert b"".join(pieces) + decoder.end() == data
    assert b"\n" not in coded.replace(b"\r\n", b"")


PACKETS = st.binary(max_size=60) | st.builds(
    lambda code, rest: code.to_bytes(2, "big") + rest, st.integers(0, 8), st.binary(max_size=600)
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(PACKETS, st.sampled_from(["s:69", "s:5", "x:1"]), st.integers(0, 3)), max_size=40),
    st.sampled_from(["get", "put", "serve get", "serve put", "core"]),
)
def test_no_packet_makes_an_end_raise_or_grow(packets, role):
    now, sent = 0.0, 0
    if role == "core":
        end = ServerCore()
        end.attach(Transfer.answer(Address("s:5"), Granted(), {}, 0.0, writes=False))
    elif role.startswith("serve"):
        end = Transfer.answer(Address("s:5"), Granted(8, 4), {"blksize": "8"}, 0.0, writes=role == "serve get")
    else:
        end = Transfer.ask(Address("s:69"), "f", "octet", Wishes(), 0.0, writes=role == "put", size=10)
    for data, name, wait in packets:
        now += wait
        due = end.next_deadline()
        if due is not None and due <= now:
            end.handle_timeout(now)
        end.receive(data, Address(name), now)
        if len(data) > 8:
            end.receive_many(data, 8, Address(name), now)
        while sending := end.transmit(now):
            sent += len(sending)
        while (event := end.next_event()) is not None:
            assert role != "core" or isinstance(event, Asked)
    assert sent < 40 * 130


@settings(derandomize=True)
@given(st.binary(max_size=700))
def test_error_packets_of_any_form(data):
    code, text = parse_error(b"\0\5" + data)
    assert 0 <= code <= 65_535 and len(text) <= 512
