"""resolv.conf(5): which name servers there are, and how names are completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from catenet.wire.address import format_address, parse_address
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.stub import Server, StubConfig

__all__ = [
    "MOST_ATTEMPTS",
    "MOST_NDOTS",
    "MOST_SERVERS",
    "MOST_TIMEOUT",
    "format_resolv_conf",
    "parse_resolv_conf",
]

MOST_SERVERS: Final = 3
MOST_NDOTS: Final = 15
MOST_TIMEOUT: Final = 30
MOST_ATTEMPTS: Final = 5


def parse_resolv_conf(text: str, zone_index: Callable[[str], int] | None = None) -> StubConfig:
    """Read the text of a resolv.conf. As in glibc, lines and options that mean nothing are passed over.

    `zone_index` knows the number of an interface by its name (OSError when there is none).
    """
    servers: list[Server] = []
    search: tuple[bytes, ...] = ()
    options: dict[str, int] = {}
    for line in text.splitlines():
        if line[:1] in ("#", ";"):
            continue
        keyword, *values = line.split()[:64] or [""]
        if keyword == "nameserver" and values and len(servers) < MOST_SERVERS:
            servers += _server(values[0], zone_index)
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


def format_resolv_conf(config: StubConfig) -> str:
    """Write a resolv.conf that says the same, as far as one can: ports other than 53 have no place in it."""
    lines = [
        f"nameserver {format_address(server.address)}" + (f"%{server.scope}" if server.scope else "")
        for server in config.servers
    ]
    if config.search:
        lines.append(" ".join(["search", *(name_to_text(name).rstrip(".") or "." for name in config.search)]))
    default = StubConfig()
    options = [f"ndots:{config.ndots}"] if config.ndots != default.ndots else []
    options += [f"timeout:{config.timeout:g}"] if config.timeout != default.timeout else []
    options += [f"attempts:{config.attempts}"] if config.attempts != default.attempts else []
    flags = {"rotate": config.rotate, "use-vc": config.use_tcp, "edns0": config.edns, "trust-ad": config.trust_ad}
    options += [name for name, chosen in flags.items() if chosen]
    if options:
        lines.append(" ".join(["options", *options]))
    return "".join(line + "\n" for line in lines)


def _server(text: str, zone_index: Callable[[str], int] | None) -> list[Server]:
    host, _, zone = text.partition("%")
    try:
        return [Server(parse_address(host), 53, _scope(zone, zone_index) if zone else 0)]
    except (ValueError, OSError):
        return []


def _scope(zone: str, zone_index: Callable[[str], int] | None) -> int:
    if zone.isascii() and zone.isdecimal():
        return int(zone)
    if zone_index is None:
        raise ValueError("nobody knows interfaces by name")
    return zone_index(zone)


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
