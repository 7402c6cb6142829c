"""The servers of a command line: `@[::1]:53`, `@fe80::1%eth0`, `@name`, `@https://name/path`, and where they are."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from catenet.cli import UsageError
from catenet.cli.resolve.needs import need
from catenet.wire.address import parse_address

if TYPE_CHECKING:
    from catenet.cli.resolve.switches import Options
    from catenet.net.target import Target

__all__ = ["Address", "Habits", "NameServer", "addresses", "name_server", "system_servers"]


@dataclass(frozen=True, slots=True)
class Habits:
    """What holds for all servers: IP version (4, 6, None), the option that says so, port."""

    version: int | None = None
    port: int | None = None
    option: str = ""


@dataclass(frozen=True, slots=True)
class NameServer:
    """A server as it was written, and what that means."""

    text: str
    target: Target


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a server: the URL to ask, and the name that the server was given by, if it was.

    `unverified`: whatever its certificate is (RFC 9462 4.3).
    """

    url: str
    name: str | None = None
    unverified: bool = False


def name_server(text: str, options: Options, habits: Habits) -> NameServer:
    """The server that `text`, without its @, names. Raises UsageError."""
    from catenet.dns.client import SCHEMES
    from catenet.net import parse_target

    if not text:
        raise UsageError("@ names no server; write @ADDRESS, @NAME or @SCHEME://NAME")
    wanted, path = _scheme(options)
    schemes = SCHEMES
    if habits.port is not None:
        schemes = {name: replace(scheme, port=habits.port) for name, scheme in SCHEMES.items()}
    try:
        target = parse_target(_with_brackets(text), schemes=schemes, default=wanted)
    except ValueError as error:
        raise UsageError(f"@{text}: {error}") from None
    if target.scheme != wanted and wanted != "udp":
        if (target.scheme, wanted) != ("udp", "tcp"):
            said = {"tcp": "+tcp", "tls": "TLS", "quic": "QUIC", "https": "HTTPS", "http": "HTTP"}[wanted]
            raise UsageError(f"@{text} and --{wanted}: one says {target.scheme}, the other {said}")
        target = replace(target, scheme="tcp")
    if target.scheme in ("http", "https"):
        target = replace(target, base=target.base.partition("{")[0] or path)
    _check(text, target, habits)
    if target.scheme == "quic":
        need("catenet.dns.client.quic", f"@{text}", "quic")
        if options.keepalive:
            raise UsageError(f"@{text} and +keepalive: QUIC has a timeout of its own (RFC 9250 5.5.2)")
    return NameServer(text, target)


def _scheme(options: Options) -> tuple[str, str]:
    wanted = [
        (scheme, path)
        for scheme, path in (
            ("tls", "" if options.tls else None),
            ("quic", "" if options.quic else None),
            ("https", options.https),
            ("http", options.http),
            ("tcp", "" if options.tcp else None),
        )
        if path is not None
    ]
    if len(wanted) > 1:
        first, second = (
            {"tcp": "+tcp", "http": "+http-plain"}.get(scheme, f"--{scheme}") for scheme, _ in reversed(wanted[:2])
        )
        raise UsageError(f"{first} and {second}: give one of them")
    return wanted[0] if wanted else ("udp", "/dns-query")


def _with_brackets(text: str) -> str:
    """As `parse_target` takes it: IPv6 addresses in brackets; `address#port`, as name servers' files write it."""
    scheme, slashes, rest = text.rpartition("://")
    host, hash_sign, port = rest.partition("#")
    if hash_sign and "/" not in host:
        rest = f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
    elif rest.count(":") > 1 and not rest.startswith("[") and "/" not in rest:
        rest = f"[{rest}]"
    return f"{scheme}{slashes}{rest}"


def _check(text: str, target: Target, habits: Habits) -> None:
    host, percent, zone = target.host.partition("%")
    if target.port == 0:
        raise UsageError(f"@{text}: nobody listens on port 0")
    try:
        address = parse_address(host)
    except ValueError:
        if ":" in host:
            raise UsageError(f"@{text}: {host!r} is no IPv6 address") from None
        if percent:
            raise UsageError(f"@{text}: only an IPv6 address has a zone") from None
        if host.replace(".", "").isdecimal():
            raise UsageError(f"@{text}: {host!r} is no IPv4 address") from None
        return
    version = 4 if len(address) == 4 else 6
    if habits.version not in (None, version):
        raise UsageError(f"@{text} and {habits.option or f'-{habits.version}'}: the address is of IPv{version}")
    if percent and not (version == 6 and zone):
        raise UsageError(f"@{text}: {'an empty zone' if version == 6 else 'only an IPv6 address has a zone'}")
    if zone and not zone.isdecimal():
        try:
            socket.if_nametoindex(zone)
        except OSError:
            raise UsageError(f"@{text}: no interface {zone!r} here") from None


def system_servers(options: Options, habits: Habits) -> list[NameServer]:
    """Those of resolv.conf(5). Raises UsageError when none is of the wanted version."""
    from catenet.dns.config import server_host, system_config

    found = [
        name_server(server_host(server), options, habits)
        for server in system_config().servers
        if habits.version in (None, 4 if len(server.address) == 4 else 6)
    ]
    if not found:
        raise UsageError(f"/etc/resolv.conf names no server with an IPv{habits.version} address; name one with @SERVER")
    return found


async def addresses(server: NameServer, version: int | None) -> Sequence[Address]:
    """Where a server is: all addresses of its name, of one IP version if that is wanted. Raises OSError."""
    from catenet.net import ConnectError
    from catenet.net.tls import explain

    target = server.target
    try:
        parse_address(target.host.partition("%")[0])
    except ValueError:
        pass
    else:
        return [Address(target.url)]
    family = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}[version]
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, family=family, type=socket.SOCK_STREAM)
    except OSError as error:
        which = "" if version is None else f"IPv{version} "
        raise ConnectError(f"no {which}address of the server {target.host}: {explain(error)}") from None
    except UnicodeError:
        raise ConnectError(f"the server {target.host!r} has no possible name") from None
    hosts = dict.fromkeys(str(address[0]) for *_, address in found)
    return [Address(replace(target, host=host).url, target.host) for host in hosts]
