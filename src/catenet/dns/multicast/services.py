"""Services on the network (RFC 6763): what a name, a type and a TXT record say, and what is said for a service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from catenet.dns.multicast.names import Claim
from catenet.dns.multicast.packets import Item
from catenet.wire.address import format_address
from catenet.wire.dns.name import LONGEST_LABEL, join, name_from_text, reverse_name
from catenet.wire.dns.numbers import AAAA, PTR, SRV, TXT, A

__all__ = [
    "ENUMERATION",
    "LOCAL",
    "Properties",
    "Service",
    "address_text",
    "data_of_properties",
    "host_claim",
    "label_of",
    "properties_of_data",
    "service_claim",
    "type_name",
]

LOCAL: Final = name_from_text("local.")
ENUMERATION: Final = name_from_text("_services._dns-sd._udp.local.")
"""Has a PTR record for each type of service (RFC 6763 9)."""
HOST_TTL: Final = 120
"""Seconds, of records with a host's name in them; of others it is the next (RFC 6762 10)."""
OTHER_TTL: Final = 4500
LONGEST_TXT: Final = 8192

_TYPE: Final = re.compile(r"_[a-z0-9]([a-z0-9-]*[a-z0-9])?\._(tcp|udp)", re.IGNORECASE)
_LONGEST_TYPE: Final = 16
_SUBTYPE: Final = re.compile(r"([^.]+)\._sub\.(.*)")

Properties = Mapping[str, bytes | str | None]


@dataclass(frozen=True, slots=True)
class Service:
    """A service that somebody offers.

    Attributes:
        name: what people call it.
        type: as `_http._tcp`.
        host: name of the host, as `printer.local.`.
        port: number of the port.
        addresses: of the host, as text; those of IPv6 that hold on one link only have its name (`fe80::1%eth0`).
        properties: what the TXT record says; None for a key without a value. Keys are as they came.
        interface: where it was heard.
    """

    name: str
    type: str
    host: str = ""
    port: int = 0
    addresses: tuple[str, ...] = ()
    properties: Mapping[str, bytes | None] = field(default_factory=dict)
    interface: str = ""


def type_name(kind: str) -> bytes:
    """The name under which instances of a type are found; `_printer._sub._http._tcp` is a subtype (RFC 6763 7).

    Raises ValueError for what is no type of service.
    """
    text = kind.removesuffix(".").removesuffix(".local")
    found = _SUBTYPE.fullmatch(text)
    labels = [] if found is None else [found[1].encode(), b"_sub"]
    base = text if found is None else found[2]
    if not _TYPE.fullmatch(base) or base.index(".") > _LONGEST_TYPE:
        raise ValueError(f"{kind!r} is no type of service; did you mean {_nearest_type(base)}?")
    return join([*labels, *(label.encode() for label in base.split(".")), b"local"])


def _nearest_type(text: str) -> str:
    words = [word for word in re.split(r"[^A-Za-z0-9-]+", text) if word]
    transport = "udp" if "udp" in words else "tcp"
    service = next((word for word in words if word not in ("tcp", "udp", "local")), "http")[: _LONGEST_TYPE - 1]
    return f"_{service.strip('-') or 'http'}._{transport}"


def label_of(name: str) -> bytes:
    """The label of an instance. Raises ValueError when it is empty, or longer than 63 bytes."""
    label = name.encode()
    if not 0 < len(label) <= LONGEST_LABEL:
        raise ValueError(f"{name!r} is no name of a service: it has to have 1 to 63 bytes, and has {len(label)}")
    return label


def data_of_properties(properties: Properties) -> bytes:
    """The data of a TXT record (RFC 6763 6). Raises ValueError for a key or a value that it cannot have."""
    strings = []
    for key, value in properties.items():
        if not key or "=" in key or not key.isascii() or not key.isprintable():
            raise ValueError(f"{key!r} is no key: it has to have printable ASCII characters other than '='")
        text = key.encode()
        if value is not None:
            text += b"=" + (value.encode() if isinstance(value, str) else value)
        if len(text) > 255:
            raise ValueError(f"{key!r} and its value have {len(text)} bytes; there is room for 255")
        strings.append(bytes((len(text),)) + text)
    data = b"".join(strings) or b"\0"
    if len(data) > LONGEST_TXT:
        raise ValueError(f"all properties have {len(data)} bytes; there is room for {LONGEST_TXT}")
    return data


def properties_of_data(data: bytes) -> dict[str, bytes | None]:
    """What a TXT record says. Of keys that are equal but for case the first counts; what is no key is left out."""
    found: dict[str, bytes | None] = {}
    seen = set()
    at = 0
    while at < len(data):
        text = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
        key, equals, value = text.partition(b"=")
        if not key or not key.isascii() or key.lower() in seen:
            continue
        seen.add(key.lower())
        found[key.decode()] = value if equals else None
    return found


def address_items(name: bytes, addresses: Iterable[bytes]) -> list[Item]:
    """Records of a host."""
    return [Item(name, A if len(address) == 4 else AAAA, HOST_TTL, address, True) for address in addresses]


def address_text(item: Item, interface: str) -> str | None:
    """The address in a record, None for data that is none."""
    if len(item.data) != {A: 4, AAAA: 16}.get(item.type):
        return None
    text = format_address(item.data)
    return f"{text}%{interface}" if interface and item.data[:2] == b"\xfe\x80" else text


def host_claim(label: bytes, addresses: Sequence[bytes]) -> Claim:
    """A host's name, with its addresses and their names."""
    return Claim(
        label,
        LOCAL,
        False,
        lambda name: address_items(name, addresses),
        lambda name: [Item(reverse_name(address), PTR, HOST_TTL, name, True) for address in addresses],
    )


def service_claim(
    name: str, kind: str, port: int, properties: Properties, subtypes: Sequence[str], host: Claim
) -> Claim:
    """An instance of a type of service on a host. Raises ValueError for what cannot be said of one."""
    if not 0 <= port <= 0xFFFF:
        raise ValueError(f"{port} is no port")
    suffix, text = type_name(kind), data_of_properties(properties)
    parents = [suffix, *(type_name(f"{subtype}._sub.{kind}") for subtype in subtypes)]

    def unique(name: bytes) -> list[Item]:
        where = bytes(4) + port.to_bytes(2, "big") + host.name
        return [Item(name, SRV, HOST_TTL, where, True), Item(name, TXT, OTHER_TTL, text, True)]

    def shared(name: bytes) -> list[Item]:
        pointers = [Item(parent, PTR, OTHER_TTL, name) for parent in parents]
        return [*pointers, Item(ENUMERATION, PTR, OTHER_TTL, suffix)]

    return Claim(label_of(name), suffix, True, unique, shared)
