"""Services and protocols by name and number, from small tables of our own (getservbyname(3), getprotobyname(3))."""

from __future__ import annotations

import _socket
import re
from typing import Any, Final

from catenet.posix.arguments import c_int, check_function, is_plain_text

__all__ = ["getprotobyname", "getservbyname", "getservbyport", "numeric_port", "port_of"]

SERVICES: Final = {
    "echo": (7, "tcp udp"),
    "discard": (9, "tcp udp"),
    "daytime": (13, "tcp udp"),
    "ftp-data": (20, "tcp"),
    "ftp": (21, "tcp"),
    "ssh": (22, "tcp"),
    "telnet": (23, "tcp"),
    "smtp": (25, "tcp"),
    "time": (37, "tcp udp"),
    "domain": (53, "tcp udp"),
    "bootps": (67, "udp"),
    "bootpc": (68, "udp"),
    "tftp": (69, "udp"),
    "gopher": (70, "tcp"),
    "finger": (79, "tcp"),
    "http": (80, "tcp"),
    "kerberos": (88, "tcp udp"),
    "pop3": (110, "tcp"),
    "sunrpc": (111, "tcp udp"),
    "nntp": (119, "tcp"),
    "ntp": (123, "udp"),
    "imap2": (143, "tcp"),
    "imap": (143, "tcp"),
    "snmp": (161, "tcp udp"),
    "bgp": (179, "tcp"),
    "ldap": (389, "tcp udp"),
    "https": (443, "tcp udp"),
    "submission": (587, "tcp"),
    "ldaps": (636, "tcp udp"),
    "imaps": (993, "tcp"),
    "pop3s": (995, "tcp"),
    "mysql": (3306, "tcp"),
    "postgresql": (5432, "tcp"),
    "amqp": (5672, "tcp"),
    "redis": (6379, "tcp"),
    "http-alt": (8080, "tcp udp"),
}
"""Port and protocols by service name (IANA registry), so that worlds do not depend on the machine's /etc/services."""

PROTOCOLS: Final = {"ip": 0, "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6": 41, "ipv6-icmp": 58, "icmpv6": 58}

_NUMERIC: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_ULONG_MAX: Final = (1 << 64) - 1


def getservbyname(*args: Any) -> int:
    """Port of a service, over a protocol if one is named; OSError when there is none."""
    if not all(is_plain_text(arg) for arg in args) or not 1 <= len(args) <= 2:
        check_function(_getservbyname, *args)
    port = port_of(*args)
    if port is None:
        raise OSError("service/proto not found")
    return port


def port_of(name: str, protocol: str | None = None) -> int | None:
    """Port of a service; None when there is none of this name over this protocol."""
    port, protocols = SERVICES.get(name, (0, ""))
    return port if port and (protocol is None or protocol in protocols.split()) else None


def getservbyport(*args: Any) -> str:
    """Service of a port, over a protocol if one is named; OSError when there is none."""
    if not 1 <= len(args) <= 2 or args[0].__class__ is not int or not all(is_plain_text(arg) for arg in args[1:]):
        check_function(_getservbyport, *args)
    port = c_int(args[0])
    if not 0 <= port <= 0xFFFF:
        raise OverflowError("getservbyport: port must be 0-65535.")
    for name, (number, protocols) in SERVICES.items():
        if number == port and (len(args) == 1 or args[1] in protocols.split()):
            return name
    raise OSError("port/proto not found")


def getprotobyname(*args: Any) -> int:
    """Number of an IP protocol; OSError when unknown."""
    if len(args) != 1 or not is_plain_text(args[0]):
        check_function(_getprotobyname, *args)
    if args[0] not in PROTOCOLS:
        raise OSError("protocol not found")
    return PROTOCOLS[args[0]]


def numeric_port(text: str) -> int | None:
    """A port written as a number, as glibc reads it: strtoul(3), then cut to an int; None for a service's name.

    Numbers that become negative are names, too, and nobody has such a name.
    """
    if not text:
        return 0
    found = _NUMERIC.fullmatch(text)
    if found is None:
        return None
    value = int(found[1])
    value = _ULONG_MAX if abs(value) > _ULONG_MAX else value & _ULONG_MAX
    value &= 0xFFFFFFFF
    return None if value >> 31 else value & 0xFFFF


# What the modules had before anybody patched them: they say what is wrong with arguments.
_getservbyname = _socket.getservbyname
_getservbyport = _socket.getservbyport
_getprotobyname = _socket.getprotobyname
