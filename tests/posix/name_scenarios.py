"""Addresses and names with odd parts; no name is among them that a resolver would ask a server for."""

from __future__ import annotations

import array
import errno
import itertools
import socket
from typing import Any

from tests.posix.odd_values import NUMBERS, Broken, Index, Nothing, Text, released, told, written
from tests.posix.scenarios import family_of, loopback, scenario

NO_HOSTS: tuple[Any, ...] = (None, 5, 1.5, True, [], (), Nothing(), Index(), memoryview(b"127.0.0.1"))
"""What cannot be a host."""

SPELT = [b"127.0.0.1", bytearray(b"127.0.0.1"), Text("127.0.0.1")]
NUMERIC = [
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "2130706433",
    "0177.0.0.1",
    "4294967295",
    "255.255.255.255",
    "0",
    "::1",
    "::",
    "::ffff:1.2.3.4",
    "FE80::A",
]
UNKNOWN: list[Any] = [
    "+1",
    "[::1]",
    ":::",
    "1::2::3",
    "12345::",
    "::1/128",
    "1:2:3:4:5:6:7:8:9",
    "%lo",
    "%1",
    "%",
    "host:80",
]
"""What is neither an address nor a name that anybody could be asked for."""
UNKNOWN += ["127.0.0.1 ", " 127.0.0.1", "127.0.0.1\n", "::1 ", "a b", b"\xff"]
ZONES = ["lo", "1", "01", "0", "99", "none", "4294967295", "4294967296", "LO", "1x", "-1", "%lo", "", " 1"]
SCOPED = [f"fe80::1%{zone}" for zone in ZONES]
SCOPED += [
    f"{host}%{zone}"
    for host in ("2001:db8::1", "::1", "ff02::1", "fec0::1", "ff01::1")
    for zone in ("lo", "none", "7", "0")
]
SCOPED += [
    "ff05::1%lo",
    "ff0e::1%lo",
    "::ffff:1.2.3.4%lo",
    "::ffff:1.2.3.4%4",
    "127.0.0.1%lo",
    "127.0.0.1%1",
    "2001:db8::1%",
]
NOT_ENCODABLE = ["ü" * 64, "\ud800"]
NOT_ENCODED = ["a..b", "..", "1..2", "a" * 64]
"""Labels that the codec "idna" refuses, which those calls use that encode every host."""

PORTS: tuple[Any, ...] = (
    -1,
    65536,
    1 << 31,
    1 << 63,
    -(1 << 100),
    None,
    True,
    1.5,
    "1",
    b"1",
    [],
    Nothing(),
    Broken(),
    Index(),
)
FLOWS: tuple[Any, ...] = (-1, 0xFFFFF, 0x100000, 1 << 32, 1 << 31, 1 << 64, None, 1.5, "x", Index(), Broken())
SCOPES: tuple[Any, ...] = (-1, 1, 99, (1 << 32) - 1, 1 << 32, 1 << 64, -(1 << 63), None, 1.5, "x", Index(), Broken())


def addresses(version: int) -> list[Any]:
    host = loopback(version)
    found: list[Any] = [(host,), (), [host, 1], host, None, 5, Nothing(), b"x", (host, 0, 0, 0, 0), (host, 1, 0)]
    hosts = [*NO_HOSTS, *SPELT, *NUMERIC, *UNKNOWN, *NOT_ENCODABLE, host + "\0x", "\0", b"\0", "<broadcast>"]
    found += [(each, 1) for each in hosts]
    found += [(host, port) for port in PORTS]
    found += [(None, "x"), ("%", -1), ("%", "x"), ("<broadcast>", -1), ("255.255.255.255", 70000)]
    if version == 6:
        found += [(each, 1) for each in SCOPED]
        found += [("::1", 1, flow) for flow in FLOWS] + [("::1", 1, 0, scope) for scope in SCOPES]
        found += [("fe80::1", 1, 0, scope) for scope in (0, 1, 99, -1)]
    return found


def refused(result: Any) -> Any:
    """What an exception says of an address; any errno of the kernel counts as the address having been read."""
    if isinstance(result, tuple) and len(result) == 3 and result[0] != "gaierror" and isinstance(result[1], int):
        return "read"
    return "read" if result is None or isinstance(result, int) else result


@scenario
def odd_addresses(version: int) -> Any:
    seen: dict[str, Any] = {}
    for address in addresses(version):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for call in ("bind", "connect", "connect_ex", "sendto", "sendmsg"):
                with socket.socket(family_of(version), kind) as sock:
                    sock.setblocking(False)
                    args: tuple[Any, ...] = (address,)
                    if call.startswith("send"):
                        if kind == socket.SOCK_STREAM:
                            continue
                        args = (b"x", address) if call == "sendto" else ([b"x"], (), 0, address)
                    seen[written(f"{kind.name} {call}", args)] = refused(told(getattr(sock, call), *args))
    return seen


@scenario
def without_scope(version: int) -> Any:
    """Addresses that mean nothing without their link; a zone in the text is no help."""
    seen = {}
    for host in ("fe80::77", "fe80::77%lo", "febf::1", "ff02::1", "ff02::1%lo", "ff01::1", "::ffff:169.254.1.1", "::1"):
        for kind, call in itertools.product((socket.SOCK_STREAM, socket.SOCK_DGRAM), ("bind", "connect")):
            with socket.socket(socket.AF_INET6, kind) as sock:
                sock.setblocking(False)
                result = told(getattr(sock, call), (host, 0 if call == "bind" else 9))
                seen[f"{kind.name} {call} {host}"] = isinstance(result, tuple) and result[1] == errno.EINVAL
    return seen


@scenario
def odd_local_addresses(version: int) -> Any:
    seen: dict[str, Any] = {}
    names: tuple[Any, ...] = (
        None,
        5,
        1.5,
        (),
        ("x",),
        ["x"],
        Nothing(),
        "a" * 108,
        "a" * 109,
        b"a" * 108,
        "\0" + "a" * 108,
        "\0" + "a" * 107,
        "ü" * 60,
        "\ud800",
        memoryview(b"\0xy"),
        bytearray(b"\0xz"),
        "a\0b",
        b"a\0b",
        array.array("b", b"\0q"),
        memoryview(b"\0abc")[::2],
        released(),
        "/none/such",
        "none-such",
    )
    for name in names:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for call in (
                "connect",
                "connect_ex",
                "sendto",
                *(("bind",) if name not in ("/none/such", "none-such", "a\0b", b"a\0b") else ()),
            ):
                with socket.socket(socket.AF_UNIX, kind) as sock:
                    if call == "sendto" and kind == socket.SOCK_STREAM:
                        continue
                    args = (b"x", name) if call == "sendto" else (name,)
                    seen[written(f"{kind.name} {call}", args)] = told(getattr(sock, call), *args)
    return seen


SERVICES: tuple[Any, ...] = (
    *(None, 0, 80, 65535, 65536, 70000, -1, (1 << 32) - 1, 1 << 32, (1 << 32) + 80, (1 << 63) - 1, -(1 << 63), 1 << 63),
    *(True, 1.5, [], Nothing(), Index(), Broken(), bytearray(b"80"), b"80", b"", b"http", Text("80"), "", " 80", "80 "),
    *(
        [
            "*",
            "80",
            "+80",
            "-80",
            "-1",
            "0x50",
            "65536",
            "4294967295",
            "18446744073709551615",
            "99999999999999999999999",
        ]
    ),
    *(["http", "HTTP", "none-such", "domain", "tftp", "echo", "�", "ü"]),
)


def questions(version: int) -> list[tuple[Any, ...]]:
    """Arguments of getaddrinfo."""
    family, host = family_of(version), loopback(version)
    passive, canonical, numeric = socket.AI_PASSIVE, socket.AI_CANONNAME, socket.AI_NUMERICHOST
    mapped = socket.AI_V4MAPPED
    cases: list[tuple[Any, ...]] = []
    for each in (
        *NO_HOSTS,
        *SPELT,
        *NUMERIC,
        *UNKNOWN,
        *SCOPED,
        *NOT_ENCODABLE,
        *NOT_ENCODED,
        "",
        b"",
        "*",
        host + "\0x",
    ):
        cases += [(each, 9, 0, 1), (each, 9, family, 1), (each, 9, 0, 2, 0, numeric)]
        cases += [
            (each, 9, family, 1, 0, flags | numeric) for flags in (passive | canonical, mapped, mapped | socket.AI_ALL)
        ]
    cases += [(each, 9, family, 1, 0, numeric) for each in ("1.2.3.256", "4294967296", "1.2.3.", "localhost")]
    for port in SERVICES:
        cases += [(host, port), (host, port, 0, 1), (host, port, 0, 2), (host, port, 0, 3), (None, port, family, 1)]
        cases += [(None, port, family, 1, 0, passive), (None, port, 0, 1, 0, socket.AI_NUMERICSERV), ("", port, 0, 1)]
    for place, number in itertools.product(
        range(2, 6), (*NUMBERS, 2, 3, 4, 6, 10, 17, 132, 136, 2048, 0x400, 0x80, 0x800)
    ):
        if place < 5 or number.__class__ is not int or not number & socket.AI_ADDRCONFIG:
            for args in ([host, 80, 0, 0, 0, 0], [host, 80, family, 1, 0, 0]):
                args[place] = number
                cases.append(tuple(args))
    for kind, protocol in itertools.product(range(7), (0, 6, 17, 1, 58, 132, 136, 33)):
        cases += [(host, port, family, kind, protocol) for port in (80, None, "http", "domain", "none-such")]
    return cases


@scenario
def odd_getaddrinfo(version: int) -> Any:
    seen = {written("getaddrinfo", args): told(socket.getaddrinfo, *args) for args in questions(version)}
    words: tuple[dict[str, Any], ...] = ({}, {"host": "::1"}, {"host": "::1", "port": 1, "kind": 1})
    for some in (*words, {"host": "::1", "port": 1, "type": 1, "flags": 0}):
        seen[f"getaddrinfo {some}"] = told(socket.getaddrinfo, **some)[:2]
    return seen


@scenario
def odd_getnameinfo(version: int) -> Any:
    numeric, service = socket.NI_NUMERICHOST, socket.NI_NUMERICSERV
    host = loopback(version)
    cases: list[Any] = [None, 5, host, [], [host, 80], (), (host,), (host, 80), (host, 80, 0), (host, 80, 0, 0, 0)]
    cases += [(each, 80) for each in (*NO_HOSTS, *SPELT, *NUMERIC, *UNKNOWN, *SCOPED, "", "\ud800", host + "\0x")]
    cases += [
        (host, port) for port in (*PORTS, 70000, 53, 69, 0, 65535) if port is not True and not isinstance(port, Index)
    ]
    cases += [("::1", 80, flow) for flow in FLOWS]
    cases += [("fe80::1", 80, 0, scope) for scope in SCOPES if not isinstance(scope, Index)]
    flags = (numeric | service, numeric, numeric | socket.NI_DGRAM, numeric | service | socket.NI_NAMEREQD)
    seen = {}
    for address, flag in itertools.product(cases, flags):
        seen[written("getnameinfo", (address, flag))] = told(socket.getnameinfo, address, flag)
    for number in (*NUMBERS, 32, 64, 128):
        if not isinstance(number, Index) and (not isinstance(number, int) or number & (numeric | ~0xFF)):
            seen[written("getnameinfo", ("…", number))] = told(socket.getnameinfo, (host, 80), number)
    return seen


@scenario
def odd_hosts(version: int) -> Any:
    """The functions that are older than getaddrinfo."""
    seen = {}
    for host in (
        *NO_HOSTS,
        *SPELT,
        *NUMERIC,
        *UNKNOWN,
        *SCOPED,
        *NOT_ENCODABLE,
        *NOT_ENCODED,
        "*",
        "",
        "<broadcast>",
        "127.0.0.1\0x",
    ):
        seen[written("gethostbyname", (host,))] = told(socket.gethostbyname, host)
        if host not in ("", "0x7f.1", "<broadcast>") and not str(host).startswith("::ffff"):
            seen[written("gethostbyname_ex", (host,))] = told(socket.gethostbyname_ex, host)
    for host in (
        *NO_HOSTS,
        *UNKNOWN,
        *NOT_ENCODABLE,
        *NOT_ENCODED,
        "fe80::1%none",
        "2001:db8::1%lo",
        "127.0.0.1%1",
        "",
        b"",
        "\0",
    ):
        seen[written("gethostbyaddr", (host,))] = told(socket.gethostbyaddr, host)
    return seen


@scenario
def odd_services(version: int) -> Any:
    """Names and numbers of services, protocols and interfaces, and the conversions of the module."""
    seen: dict[str, Any] = {}
    protocols: tuple[tuple[Any, ...], ...] = (
        (),
        ("tcp",),
        ("udp",),
        ("none",),
        (None,),
        (5,),
        ("",),
        (b"tcp",),
        ("tcp", 1),
        ("t\0",),
    )
    name: Any
    for name in ("http", "none-such", "", None, 5, b"http", "HTTP", "\ud800", "ht\0tp", [], Nothing(), Text("http")):
        for protocol in protocols:
            seen[written("getservbyname", (name, *protocol))] = told(socket.getservbyname, name, *protocol)
        seen[written("getprotobyname", (name,))] = told(socket.getprotobyname, name)
    for number in (*(each for each in NUMBERS if each.__class__ not in (bool, Index) and each != 1), 80, 53, 69, 443):
        for protocol in protocols:
            seen[written("getservbyport", (number, *protocol))] = told(socket.getservbyport, number, *protocol)
        for call in (socket.inet_ntoa, socket.htons, socket.ntohs, socket.htonl, socket.ntohl, socket.inet_aton):
            seen[written(call.__name__, (number,))] = told(call, number)
    for number in NUMBERS:
        seen[written("if_indextoname", (number,))] = told(socket.if_indextoname, number) if number != 9 else ""
    for name in (
        "lo",
        "none",
        "",
        b"lo",
        b"",
        bytearray(b"lo"),
        Text("lo"),
        None,
        5,
        1.5,
        "l\0o",
        b"l\0o",
        "ü",
        "\ud800",
        "a" * 300,
    ):
        seen[written("if_nametoindex", (name,))] = told(socket.if_nametoindex, name)
    return seen
