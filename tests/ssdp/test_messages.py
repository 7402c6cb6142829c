"""Messages of SSDP: what is read, what is refused, and that whatever is built can be read."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catenet.ssdp.device import Device
from catenet.ssdp.message import (
    Advertisement,
    Malformed,
    Search,
    build_advertisement,
    build_search,
    check_target,
    parse,
)

SEARCH = (
    b'M-SEARCH * HTTP/1.1\r\nHost:239.255.255.250:1900\r\nMan: "ssdp:discover"\r\n'
    b"MX: 120\r\nST: upnp:rootdevice\r\nUser-Agent: x/1 UPnP/2.0 y/1\r\n\r\n"
)
ALIVE = (
    b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age = 1800\r\nLOCATION: http://10.0.0.9/d.xml\r\n"
    b"NT: upnp:rootdevice\r\nNTS: ssdp:alive\r\nSERVER: Linux/6 UPnP/2.0 p/1\r\nUSN: uuid:1::upnp:rootdevice\r\n"
    b"BOOTID.UPNP.ORG: 7\r\nCONFIGID.UPNP.ORG: 9\r\nSEARCHPORT.UPNP.ORG: 49152\r\nX-own: z\r\n\r\n"
)


def test_a_search_is_read() -> None:
    """MX is 5 at most (UDA 2.0 section 1.3.3)."""
    assert parse(SEARCH) == Search("upnp:rootdevice", 5, "x/1 UPnP/2.0 y/1")
    assert parse(SEARCH.replace(b"\r\n", b"\n")) == parse(SEARCH)


def test_an_advertisement_is_read() -> None:
    """All fields, and those that nobody knows."""
    heard = parse(ALIVE)
    assert isinstance(heard, Advertisement)
    assert (heard.kind, heard.target, heard.usn) == ("alive", "upnp:rootdevice", "uuid:1::upnp:rootdevice")
    assert (heard.location, heard.max_age, heard.server) == ("http://10.0.0.9/d.xml", 1800, "Linux/6 UPnP/2.0 p/1")
    assert (heard.boot_id, heard.config_id, heard.search_port, heard.next_boot_id) == (7, 9, 49152, None)
    assert heard.other == {"x-own": "z"}
    response = ALIVE.replace(b"NOTIFY * HTTP/1.1", b"HTTP/1.1 200 OK").replace(b"NT:", b"ST:")
    assert parse(response).kind == "response"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nST: a\r\nUSN: b\r\n\r\n",
        b'M-SEARCH * HTTP/2\r\nMAN: "ssdp:discover"\r\nST: a\r\n\r\n',
        b'M-SEARCH * HTTP/1.1\r\nMAN: "ssdp:other"\r\nST: a\r\n\r\n',
        b'M-SEARCH * HTTP/1.1\r\nMAN: "ssdp:discover"\r\n\r\n',
        b'M-SEARCH * HTTP/1.1\r\nMAN: "ssdp:discover"\r\nST: a\0b\r\n\r\n',
        b"M-SEARCH * HTTP/1.1\r\nMAN\r\nST: a\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\nNT: a\r\nUSN: b\r\nNTS: ssdp:dance\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\nNT: a\r\nNTS: ssdp:alive\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\nNT: a\r\nUSN: b\r\nNTS: ssdp:alive\r\nLOCATION: http://a b\r\n\r\n",
        ALIVE.replace(b"X-own: z\r\n", b"X: y\r\n" * 100),
        ALIVE + b"x" * 4096,
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    """Refused with a reason."""
    with pytest.raises(Malformed):
        parse(data)


@given(st.binary(max_size=300))
@example(b"M-SEARCH * HTTP/1.1\r\nMX: \xb2\r\n\r\n")
def test_any_datagram_is_a_message_or_malformed(data: bytes) -> None:
    """Alone, and inside of a message at each of its ends."""
    for whole in (data, SEARCH[:-2] + data, ALIVE[:40] + data + ALIVE[40:]):
        try:
            parse(whole)
        except Malformed:
            pass


TEXT = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
NUMBER = st.none() | st.integers(0, 2**31 - 1)


@given(TEXT, st.none() | st.integers(0, 5), TEXT)
def test_a_search_that_is_built_is_read(target: str, wait: int | None, agent: str) -> None:
    """The same."""
    search = Search(target, wait, agent)
    assert parse(build_search(search, "239.255.255.250:1900")) == search


@given(st.sampled_from(["alive", "response"]), TEXT, TEXT, TEXT, st.integers(0, 86400), TEXT, NUMBER, NUMBER, NUMBER)
def test_an_advertisement_that_is_built_is_read(kind, target, usn, url, age, server, boot, config, port) -> None:  # type: ignore[no-untyped-def]
    """The same."""
    one = Advertisement(kind, target, usn, url, age, server, boot, config, None, port)
    assert parse(build_advertisement(one, "h")) == one


def test_lines_that_are_built_are_one() -> None:
    """Nothing that is said can end a line."""
    with pytest.raises(ValueError):
        build_search(Search("a", 1, "b\r\nMX: 5"), "h")


def test_targets() -> None:
    """What can be searched for (section 1.3.2)."""
    for text in ("ssdp:all", "upnp:rootdevice", "uuid:x-1", "urn:schemas-upnp-org:service:ContentDirectory:1"):
        assert check_target(text) == text
    for text in ("", "all", "uuid:", "uuid:a:b", "urn:a:b:c:1", "urn:a:device:x:one"):
        with pytest.raises(ValueError, match="nothing to search for"):
            check_target(text)


def test_a_device_is_several_targets() -> None:
    """Three for the root device and one for each service; later versions answer for earlier ones (tables 1-1, 1-3)."""
    device = Device("uuid:1", "http://10.0.0.9/", "urn:a:device:Box:2", ("urn:a:service:S:3", "urn:a:service:S:3"))
    assert list(device.targets()) == [
        ("upnp:rootdevice", "uuid:1::upnp:rootdevice"),
        ("uuid:1", "uuid:1"),
        ("urn:a:device:Box:2", "uuid:1::urn:a:device:Box:2"),
        ("urn:a:service:S:3", "uuid:1::urn:a:service:S:3"),
    ]
    assert device.answers("ssdp:all") == list(device.targets())
    assert device.answers("uuid:1") == [("uuid:1", "uuid:1")]
    assert device.answers("urn:a:device:Box:1") == [("urn:a:device:Box:1", "uuid:1::urn:a:device:Box:1")]
    for other in ("urn:a:device:Box:3", "urn:a:device:Box:0", "urn:b:device:Box:1", "uuid:2", "urn:a:service:T:1"):
        assert device.answers(other) == []
    for wrong in ("1", "uuid:", "uuid:a\r\nb"):
        with pytest.raises(ValueError):
            Device(wrong, "http://10.0.0.9/")
    for place in ("", "ftp://x", "http://x y"):
        with pytest.raises(ValueError, match="no URL"):
            Device("uuid:1", place)
