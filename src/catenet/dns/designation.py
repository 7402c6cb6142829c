"""Which encrypted resolvers a resolver designates: SVCB records of `_dns.resolver.arpa` (RFC 9461, RFC 9462)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.dns.rrset import RRset
from catenet.net import Scheme, parse_target
from catenet.net.target import host_and_port
from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.message import Message, Question
from catenet.wire.dns.name import ROOT, fold, name_from_text, skip_name
from catenet.wire.dns.numbers import SVCB
from catenet.wire.errors import Malformed

__all__ = ["DESIGNATION", "Designation", "designation_set", "read_designations"]

DESIGNATION: Final = Question(name_from_text("_dns.resolver.arpa."), SVCB)
TTL: Final = 300
MOST: Final = 8
"""Designations of one resolver that are looked at."""
_MANDATORY, _ALPN, _NO_DEFAULT, _PORT, _HINT4, _ECH, _HINT6, _DOHPATH = range(8)
_KNOWN: Final = frozenset(range(8)) - {_ECH}
_SCHEMES: Final = {
    "tls": Scheme(tls=True, port=853),
    "https": Scheme(tls=True, port=443, takes_path=True),
    "quic": Scheme(tls=True, port=853, kinds=(socket.SOCK_DGRAM,)),
}
_DEFAULT_PORTS: Final = {"tls": 853, "https": 443, "quic": 853}
_ALPNS: Final = {"tls": (b"dot",), "https": (b"h2", b"http/1.1"), "quic": (b"doq",)}
"""Also the order in which we ask what one record has (RFC 7858, RFC 8484, RFC 9250)."""
_VARIABLE: Final = "{?dns}"


@dataclass(frozen=True, slots=True)
class Designation:
    """One resolver that is designated.

    Attributes:
        priority: lower ones first.
        name: in wire format, by which its certificate is authenticated (ADN).
        scheme: `tls`, `https` or `quic`.
        port: to ask at.
        path: over HTTPS.
        hints: addresses of `name`, as text.
    """

    priority: int
    name: bytes
    scheme: str
    port: int
    path: str = ""
    hints: tuple[str, ...] = ()

    def url(self, host: str) -> str:
        """Where to ask at an address of it."""
        return f"{self.scheme}://{host_and_port(host, self.port)}{self.path}"


def designation_set(name: bytes, urls: Iterable[str]) -> RRset | None:
    """The records of a server that is called `name` and listens on these URLs; None without an encrypted one."""
    data: list[bytes] = []
    for url in urls:
        if not url.startswith(tuple(f"{scheme}://" for scheme in _SCHEMES)):
            continue
        target = parse_target(url, listening=True, schemes=_SCHEMES)
        params = [(_ALPN, b"".join(bytes((len(one),)) + one for one in _ALPNS[target.scheme]))]
        if target.port != _DEFAULT_PORTS[target.scheme]:
            params.append((_PORT, struct.pack("!H", target.port)))
        params += _hint(target.host)
        if target.scheme == "https":
            params.append((_DOHPATH, (target.base + _VARIABLE).encode()))
        fields = b"".join(struct.pack("!HH", key, len(value)) + value for key, value in sorted(params))
        data.append(struct.pack("!H", len(data) + 1) + name + fields)
    return RRset(DESIGNATION.name, SVCB, TTL, tuple(data)) if data else None


def _hint(host: str) -> list[tuple[int, bytes]]:
    """The address on which a server listens, if it is one."""
    try:
        address = parse_address(host)
    except ValueError:
        return []
    return [(_HINT4 if len(address) == 4 else _HINT6, address)] if any(address) else []


def read_designations(message: Message) -> list[Designation]:
    """What an answer designates that we can ask, best first. Raises Malformed.

    Records with parameters that have to be understood and are not, and those that lead to another name, are left out.
    """
    found: list[Designation] = []
    for record in message.answer:
        if record.type == SVCB and fold(record.name) == DESIGNATION.name:
            found += _read(record.data)
    return sorted(found, key=lambda one: one.priority)[:MOST]


def _read(data: bytes) -> Sequence[Designation]:
    try:
        (priority,) = struct.unpack_from("!H", data)
        end = skip_name(data, 2)
        name, params = data[2:end], _params(data, end)
        keys = params.get(_MANDATORY, b"")
        mandatory = {int.from_bytes(keys[at : at + 2], "big") for at in range(0, len(keys), 2)}
        alpns = _texts(params.get(_ALPN, b""))
        port = int.from_bytes(params[_PORT], "big") if _PORT in params else -1
        path = params.get(_DOHPATH, b"").decode()
    except (struct.error, IndexError, UnicodeDecodeError):
        raise Malformed("a SVCB record that cannot be read") from None
    if not priority or name == ROOT or mandatory - _KNOWN or not port:
        return ()  # an alias, no name (RFC 9462 4), what we do not understand
    hints = [params.get(_HINT4, b"")[at : at + 4] for at in range(0, len(params.get(_HINT4, b"")) // 4 * 4, 4)]
    hints += [params.get(_HINT6, b"")[at : at + 16] for at in range(0, len(params.get(_HINT6, b"")) // 16 * 16, 16)]
    shown = tuple(format_address(one) for one in hints[:MOST])
    found = []
    for scheme, known in _ALPNS.items():
        if not set(known) & set(alpns) or (scheme == "https" and not _is_path(path)):
            continue
        where = _DEFAULT_PORTS[scheme] if port < 0 else port
        base = path.removesuffix(_VARIABLE) if scheme == "https" else ""
        found.append(Designation(priority, name, scheme, where, base, shown))
    return found


def _is_path(path: str) -> bool:
    """Whether it is a template that we can fill in: a path, then the variable alone."""
    plain = path.removesuffix(_VARIABLE)
    return (
        path.startswith("/")
        and plain != path
        and plain.isascii()
        and plain.isprintable()
        and not set(plain) & set("{} ?#")
    )


def _params(data: bytes, at: int) -> dict[int, bytes]:
    params = {}
    while at < len(data):
        key, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) < size:
            raise IndexError
        params[key] = value
        at += 4 + size
    return params


def _texts(data: bytes) -> list[bytes]:
    texts, at = [], 0
    while at < len(data):
        texts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return texts
