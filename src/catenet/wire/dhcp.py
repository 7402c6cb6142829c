"""DHCPv4 messages (RFC 2131, RFC 2132) with client identifiers (RFC 4361) and classless routes (RFC 3442)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from catenet.wire.address import ANY, Prefix
from catenet.wire.errors import Malformed

__all__ = [
    "CLIENT_PORT",
    "DHCPACK",
    "DHCPDECLINE",
    "DHCPDISCOVER",
    "DHCPINFORM",
    "DHCPNAK",
    "DHCPOFFER",
    "DHCPRELEASE",
    "DHCPREQUEST",
    "SERVER_PORT",
    "DhcpMessage",
    "Option",
    "build",
    "build_routes",
    "parse",
    "parse_routes",
]

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68

DHCPDISCOVER: Final = 1
DHCPOFFER: Final = 2
DHCPREQUEST: Final = 3
DHCPDECLINE: Final = 4
DHCPACK: Final = 5
DHCPNAK: Final = 6
DHCPRELEASE: Final = 7
DHCPINFORM: Final = 8


class Option:
    """Option codes."""

    SUBNET_MASK: Final = 1
    ROUTERS: Final = 3
    DNS_SERVERS: Final = 6
    HOST_NAME: Final = 12
    DOMAIN_NAME: Final = 15
    INTERFACE_MTU: Final = 26
    BROADCAST_ADDRESS: Final = 28
    NTP_SERVERS: Final = 42
    REQUESTED_ADDRESS: Final = 50
    LEASE_TIME: Final = 51
    OVERLOAD: Final = 52
    MESSAGE_TYPE: Final = 53
    SERVER_IDENTIFIER: Final = 54
    PARAMETER_REQUEST: Final = 55
    MAXIMUM_SIZE: Final = 57
    RENEWAL_TIME: Final = 58
    REBINDING_TIME: Final = 59
    CLIENT_IDENTIFIER: Final = 61
    DOMAIN_SEARCH: Final = 119
    CLASSLESS_ROUTES: Final = 121


_HEADER: Final = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_MAGIC: Final = b"\x63\x82\x53\x63"
_ETHERNET: Final = 1, 6
_SERIAL_LINE: Final = 20, 0
"""Hardware type and length of address where links have none; the client identifier stands for it, as RFC 4390 2.1
has it."""
_BROADCAST_FLAG: Final = 0x8000
_MINIMUM: Final = 300
"""Length below which old relays drop messages (RFC 1542 2.1)."""
_PAD: Final = 0
_END: Final = 255


@dataclass(slots=True)
class DhcpMessage:
    """One message; options by code, long ones joined (RFC 3396)."""

    type: int
    transaction: int
    client_link: bytes
    """Of 6 bytes; none on links without link-layer addresses, where clients name themselves by an option alone."""
    reply: bool = False
    seconds: int = 0
    broadcast: bool = False
    client: bytes = ANY[4]
    """Address the client has and can be reached at."""
    yours: bytes = ANY[4]
    """Address that the server gives."""
    next_server: bytes = ANY[4]
    relay: bytes = ANY[4]
    options: dict[int, bytes] = field(default_factory=dict)
    """All but the message type."""

    def addresses(self, code: int) -> list[bytes]:
        """Addresses in an option, none when it is absent or of a broken length."""
        value = self.options.get(code, b"")
        return [value[at : at + 4] for at in range(0, len(value), 4)] if len(value) % 4 == 0 else []

    def number(self, code: int) -> int | None:
        """Number in an option, None when it is absent."""
        value = self.options.get(code)
        return int.from_bytes(value, "big") if value else None


def parse(data: bytes | memoryview) -> DhcpMessage:
    """Read a message.

    Raises:
        Malformed: too short, no magic cookie, another kind of link, an option beyond the end, or no message type.
    """
    data = bytes(data)
    if len(data) < _HEADER.size + 4 or data[_HEADER.size : _HEADER.size + 4] != _MAGIC:
        raise Malformed("dhcp: message too short or without magic cookie")
    fields = _HEADER.unpack_from(data)
    operation, hardware, size, _, transaction, seconds, flags = fields[:7]
    if operation not in (1, 2) or (hardware, size) not in (_ETHERNET, _SERIAL_LINE):
        raise Malformed("dhcp: operation or hardware type")
    options = _parse_options(data[_HEADER.size + 4 :])
    overload = options.pop(Option.OVERLOAD, b"\0")
    for bit, area in ((1, fields[13]), (2, fields[12])):
        if overload[-1:] and overload[-1] & bit:
            for code, value in _parse_options(area).items():
                options[code] = options.get(code, b"") + value
    kind = options.pop(Option.MESSAGE_TYPE, b"")
    if len(kind) != 1:
        raise Malformed("dhcp: message type")
    client, yours, next_server, relay = fields[7:11]
    return DhcpMessage(
        kind[0],
        transaction,
        fields[11][:size],
        operation == 2,
        seconds,
        flags & _BROADCAST_FLAG != 0,
        client,
        yours,
        next_server,
        relay,
        options,
    )


def _parse_options(data: bytes) -> dict[int, bytes]:
    options: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        code = data[position]
        if code == _END:
            break
        if code == _PAD:
            position += 1
            continue
        if position + 1 >= len(data) or position + 2 + data[position + 1] > len(data):
            raise Malformed("dhcp: option length")
        end = position + 2 + data[position + 1]
        options[code] = options.get(code, b"") + data[position + 2 : end]
        position = end
    return options


def build(message: DhcpMessage) -> bytes:
    """Build a message; options over 255 bytes are split; ValueError for a value out of range."""
    flags = _BROADCAST_FLAG if message.broadcast else 0
    try:
        head = _HEADER.pack(
            2 if message.reply else 1,
            *(_ETHERNET if message.client_link else _SERIAL_LINE),
            0,
            message.transaction,
            message.seconds,
            flags,
            message.client,
            message.yours,
            message.next_server,
            message.relay,
            message.client_link,
            b"",
            b"",
        )
    except struct.error as error:
        raise ValueError(f"dhcp message: {error}") from None
    parts = [bytes((Option.MESSAGE_TYPE, 1, message.type))]
    for code, value in message.options.items():
        if code in (_PAD, _END, Option.MESSAGE_TYPE, Option.OVERLOAD) or not 0 <= code <= 255:
            raise ValueError(f"dhcp message: {code} is no option of its own")
        for at in range(0, len(value), 255) if value else (0,):
            piece = value[at : at + 255]
            parts.append(bytes((code, len(piece))) + piece)
    data = head + _MAGIC + b"".join(parts) + bytes((_END,))
    return data + bytes(max(0, _MINIMUM - len(data)))


def parse_routes(value: bytes) -> list[tuple[Prefix, bytes]]:
    """Read classless static routes as (prefix, gateway); gateway 0.0.0.0: on the link (RFC 3442).

    Raises:
        Malformed: a prefix length over 32 or a route beyond the end.
    """
    routes: list[tuple[Prefix, bytes]] = []
    position = 0
    while position < len(value):
        length = value[position]
        octets = (length + 7) // 8
        end = position + 1 + octets + 4
        if length > 32 or end > len(value):
            raise Malformed("dhcp: classless routes")
        address = value[position + 1 : position + 1 + octets] + bytes(4 - octets)
        routes.append((Prefix.of(address, length), value[end - 4 : end]))
        position = end
    return routes


def build_routes(routes: list[tuple[Prefix, bytes]]) -> bytes:
    """Build the value of the classless static routes option."""
    return b"".join(
        bytes((prefix.length,)) + prefix.address[: (prefix.length + 7) // 8] + gateway for prefix, gateway in routes
    )
