"""resolv.conf(5): which name servers there are, and how names are completed."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final

from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.stub import Server, StubConfig

__all__ = ["parse_resolv_conf", "server_host", "system_config"]

RESOLV_CONF: Final = Path("/etc/resolv.conf")
MOST_SERVERS: Final = 3
MOST_NDOTS: Final = 15
MOST_TIMEOUT: Final = 30
MOST_ATTEMPTS: Final = 5


def system_config(path: Path = RESOLV_CONF) -> StubConfig:
    """What this machine's file says; without a file the server of this machine itself, as resolv.conf(5) has it."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        text = ""
    return parse_resolv_conf(text)


def parse_resolv_conf(text: str) -> StubConfig:
    """Read the text of a resolv.conf. As in glibc, lines and options that mean nothing are passed over."""
    servers: list[Server] = []
    search: tuple[bytes, ...] = ()
    options: dict[str, int] = {}
    for line in text.splitlines():
        if line[:1] in ("#", ";"):
            continue
        keyword, *values = line.split()[:64] or [""]
        if keyword == "nameserver" and values and len(servers) < MOST_SERVERS:
            servers += _server(values[0])
        elif keyword in ("search", "domain"):
            search = _domains(values if keyword == "search" else values[:1])
        elif keyword == "options":
            options |= dict(_option(value) for value in values)
    return StubConfig(
        tuple(servers) or (Server(parse_address("127.0.0.1")),),
        search,
        ndots=min(options.get("ndots", 1), MOST_NDOTS),
        timeout=max(1, min(options.get("timeout", 5), MOST_TIMEOUT)),
        attempts=max(1, min(options.get("attempts", 2), MOST_ATTEMPTS)),
        rotate="rotate" in options,
        use_tcp="use-vc" in options,
        edns="edns0" in options,
        trust_ad="trust-ad" in options,
    )


def server_host(server: Server) -> str:
    """The address of a server as the host of a URL, with its zone."""
    return format_address(server.address) + (f"%{server.scope}" if server.scope else "")


def _server(text: str) -> list[Server]:
    host, _, zone = text.partition("%")
    try:
        return [Server(parse_address(host), 53, _scope(zone, socket.if_nametoindex) if zone else 0)]
    except (ValueError, OSError):
        return []


def _scope(zone: str, index: Callable[[str], int]) -> int:
    return int(zone) if zone.isdecimal() else index(zone)


def _domains(values: list[str]) -> tuple[bytes, ...]:
    found = []
    for value in values:
        try:
            found.append(name_from_text(value))
        except ValueError:
            continue
    return tuple(found)


def _option(text: str) -> tuple[str, int]:
    name, _, value = text.partition(":")
    return name, int(value) if value.isascii() and value.isdecimal() else 0
