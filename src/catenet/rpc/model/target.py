"""Where a call goes, as text: the URLs that channels and servers take."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from catenet.http import target as http
from catenet.net import target as net
from catenet.net.target import Scheme, Target

__all__ = ["SCHEMES", "SESSION_SCHEMES", "parse_target", "session_url"]

SESSION_SCHEMES: Final[Mapping[str, Scheme]] = {
    "session+grpc": Scheme(),
    "session+grpcs": Scheme(tls=True),
    "session+tcp": Scheme(),
    "session+tls": Scheme(tls=True),
}
"""Calls over sessions, which survive their connections; the two last ones are the first two, as sessions have them."""

SCHEMES: Mapping[str, Scheme] = {
    **{name: {**net.SCHEMES, **http.SCHEMES}[name] for name in ("tcp", "tls", "http", "https", "dns", "unix")},
    **SESSION_SCHEMES,
}

_FAMILIES = {"ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_DEFAULT_PORT = 443


def parse_target(text: str, listening: bool = False) -> Target:
    """Return the target that `text` names; raise `ValueError` that says what is wrong with it.

    `tcp://host:port`, `tls://host:port`, `http(s)://host[:port]/base`, `dns:///host:port`,
    `dns:host:port`, `unix:/path`, `unix://path`,
    `session+grpc(s)://host:port` and plain `host:port` (which is `tcp`). `base` is the path that stands
    before `/service/method`. `listening`: the host may be missing, which means all addresses of this machine.

    Clients also take `dns://server/host:port`, which asks that name server, and lists, all of which are connected to:
    `ipv4:address:port,address:port`, `ipv6:[address]:port,[address]:port`, `unix:/path,unix:/path`.
    """
    if listening:
        return net.parse_target(text, listening=True, schemes=SCHEMES)
    scheme, _, rest = text.partition(":")
    if scheme in _FAMILIES:
        return _address_list(text, scheme, rest)
    if scheme == "unix" and ",unix:" in rest:
        first, *others = [net.parse_target(f"unix:{path}", schemes=SCHEMES) for path in rest.split(",unix:")]
        return replace(first, resolve_all=True, alternatives=tuple(others))
    if scheme == "dns" and not rest.startswith("/") and not rest.isdigit():  # `dns:50051` is a host and a port
        return net.parse_target(f"dns:///{rest}", schemes=SCHEMES)
    server, slash, endpoint = rest.removeprefix("//").rpartition("/")
    if scheme == "dns" and slash and server and rest.startswith("//"):
        target = net.parse_target(f"dns:///{endpoint}", schemes=SCHEMES)
        if "/" in server:
            raise ValueError(f"target {text!r}: write dns://SERVER/NAME:PORT")
        return replace(target, server=server)
    return net.parse_target(text, schemes=SCHEMES)


def _address_list(text: str, scheme: str, rest: str) -> Target:
    """`ipv4:` and `ipv6:` with any number of addresses (gRPC `naming.md`); a port that is missing is 443."""
    if not rest or rest.startswith("//"):
        raise ValueError(f"target {text!r}: write {scheme}:ADDRESS:PORT,ADDRESS:PORT")
    targets = [_address(text, scheme, part) for part in rest.split(",")]
    return replace(targets[0], alternatives=tuple(targets[1:]))


def _address(text: str, scheme: str, part: str) -> Target:
    bare = scheme == "ipv6" and not part.startswith("[")
    host, colon, port = (part, "", "") if bare else part.rpartition(":")
    if not bare and (not colon or part.endswith("]")):
        host, port = part, ""
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        socket.inet_pton(_FAMILIES[scheme], host.partition("%")[0])
    except (OSError, ValueError):
        raise ValueError(f"target {text!r}: {part!r} is no {scheme.replace('ip', 'IP')} address and port") from None
    if port and not (port.isascii() and port.isdigit() and int(port) <= net.MAX_PORT):
        raise ValueError(f"target {text!r}: {port!r} is no port")
    return Target(scheme, host, int(port or _DEFAULT_PORT), resolve_all=True)


def session_url(target: Target, secure: bool) -> str:
    """Return where a session for calls goes, as sessions have it; `secure`: with TLS."""
    return f"session+{'tls' if secure else 'tcp'}://{net.host_and_port(target.host, target.port)}"
