"""What services are called, and what they say of themselves (RFC 6763 4, 6, 7)."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.dns.multicast import publish
from catenet.dns.multicast.client import host_addresses
from catenet.dns.multicast.services import data_of_properties, properties_of_data, type_name
from catenet.wire.dns.name import name_to_text

KEYS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="="), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("_http._tcp", "_http._tcp.local."),
        ("_http._tcp.local.", "_http._tcp.local."),
        ("_printer._sub._http._tcp", "_printer._sub._http._tcp.local."),
    ],
)
def test_types(kind, name):
    assert name_to_text(type_name(kind)) == name


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("http", "_http._tcp"),
        ("_http", "_http._tcp"),
        ("dns.udp", "_dns._udp"),
        ("_http._sctp", "_http._tcp"),
        ("", ""),
    ],
)
def test_what_is_no_type(kind, meant):
    with pytest.raises(ValueError, match=rf"{kind!r} is no type of service; did you mean {meant}"):
        type_name(kind)


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(KEYS, st.none() | st.binary(max_size=100), max_size=8))
def test_properties_come_back(properties):
    lower = {key.lower() for key in properties}
    if len(lower) == len(properties):
        assert properties_of_data(data_of_properties(properties)) == properties


def test_properties_as_others_write_them():
    data = b"\3a=1\3A=2\1b\2c=\2=x\0\2\xff="
    assert properties_of_data(data) == {"a": b"1", "b": None, "c": b""}
    assert properties_of_data(b"\0") == {} == properties_of_data(b"")
    assert properties_of_data(b"\xffa=cut off") == {"a": b"cut off"}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"a=b": "c"}, "'a=b' is no key"),
        ({"": "c"}, "'' is no key"),
        ({"é": "c"}, "'é' is no key"),
        ({"a": "x" * 254}, "'a' and its value have 256 bytes; there is room for 255"),
        ({f"a{at}": "x" * 250 for at in range(40)}, "all properties have .* bytes; there is room for 8192"),
    ],
)
def test_what_is_no_property(properties, message):
    with pytest.raises(ValueError, match=message):
        data_of_properties(properties)


async def offer(words):
    *words, more = words
    async with publish(*words, **more):
        pass


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("", "_http._tcp", 80, {}), "'' is no name of a service"),
        (("x" * 64, "_http._tcp", 80, {}), "1 to 63 bytes, and has 64"),
        (("x", "_http._tcp", 70000, {}), "70000 is no port"),
        (("x", "_http._tcp", 80, {"host": "a.b"}), "'a.b' is no name of a host"),
        (("x", "_http._tcp", 80, {"interfaces": ["nowhere"]}), "no interface 'nowhere'; there are .*lo"),
    ],
)
def test_what_cannot_be_published(words, message):
    with pytest.raises(ValueError, match=message):
        asyncio.run(offer(words))


@pytest.mark.parametrize("name", ["example.org", "local", "", "a.local.example"])
def test_names_of_other_networks(name):
    with pytest.raises(ValueError, match=r"has to end in \.local"):
        asyncio.run(host_addresses(name))
