"""URLs of ends: what the verbs connect to, listen on, and relay between."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Final

from catenet.cli import UsageError
from catenet.net.target import SCHEMES, Scheme, Target, host_and_port, parse_target

__all__ = ["RELAYED", "STDIO", "check_two_words", "is_datagram", "is_group", "parse"]

STDIO: Final = Target("stdio")
"""Standard input and output, written `-`."""

_DATAGRAM: Final = (socket.SOCK_DGRAM,)
RELAYED: Final[Mapping[str, Scheme]] = {
    **{name: SCHEMES[name] for name in ("tcp", "tls", "unix")},
    "udp": Scheme(kinds=_DATAGRAM),
    "unix-datagram": Scheme(is_path=True, kinds=_DATAGRAM),
    "mcast": Scheme(kinds=_DATAGRAM),
    "session+tcp": Scheme(),
    "session+tls": Scheme(tls=True),
}


def parse(text: str, *, listening: bool = False) -> Target:
    """Return the end that `text` names. Raises `UsageError`."""
    if text in ("-", "stdio:"):
        if listening:
            raise UsageError("standard input cannot be listened on")
        return STDIO
    try:
        target = parse_target(text, listening=listening, schemes=RELAYED)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if is_group(target):
        try:
            is_multicast = ipaddress.ip_address(target.host.partition("%")[0]).is_multicast
        except ValueError:
            is_multicast = False
        if not is_multicast:
            raise UsageError(f"{text}: {target.host!r} is no multicast group; write mcast://239.1.2.3:5000")
    return target


def check_two_words(urls: list[str], verb: str) -> None:
    """Refuse a host and a port in two words, as ncat takes them. Raises `UsageError` that says how to write it."""
    if len(urls) == 2 and urls[1].isascii() and urls[1].isdigit() and "://" not in urls[0] and urls[0] != "-":
        place = host_and_port(urls[0].removeprefix("[").removesuffix("]"), int(urls[1]))
        raise UsageError(f"{urls[0]} {urls[1]}: write it as one word, catenet {verb} tcp://{place}")


def is_datagram(target: Target) -> bool:
    """Whether an end is of datagrams."""
    scheme = RELAYED.get(target.scheme)
    return scheme is not None and scheme.kinds == _DATAGRAM


def is_group(target: Target) -> bool:
    """Whether an end is a multicast group."""
    return target.scheme == "mcast"
