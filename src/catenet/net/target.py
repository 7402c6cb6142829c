"""URLs that name where a client connects to or where a server listens.

A scheme is data (`Scheme`), so that a protocol adds its own to the ones that are here. The syntax is that of
RFC 3986 (section 3.2.2: IPv6 addresses stand in brackets); `dns:` and `unix:` are as gRPC's `naming.md` has them.
"""

from __future__ import annotations

import difflib
import socket
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "DATAGRAM_SCHEMES",
    "MAX_PORT",
    "SCHEMES",
    "Scheme",
    "Target",
    "host_and_port",
    "parse_target",
    "refuse_scheme",
]

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a scheme says of its targets.

    * `tls`: the connection begins with TLS.
    * `port`: the port of a URL that names none; None: it must name one.
    * `takes_path`: a path may follow the port.
    * `is_path`: the whole target is the path of a Unix socket.
    * `resolve_all`: connect to every address of the name, to balance among them, instead of the first that answers.
    * `kinds`: which sockets a server of it binds, `SOCK_STREAM`, `SOCK_DGRAM` or both to one port.
    """

    tls: bool = False
    port: int | None = None
    takes_path: bool = False
    is_path: bool = False
    resolve_all: bool = False
    kinds: tuple[int, ...] = (socket.SOCK_STREAM,)


SCHEMES: Mapping[str, Scheme] = {
    "tcp": Scheme(),
    "tls": Scheme(tls=True, port=443),
    "dns": Scheme(resolve_all=True),
    "unix": Scheme(is_path=True),
}
"""The schemes of any protocol on streams: TCP, TLS over TCP, TCP to all addresses of a name, Unix sockets."""

DATAGRAM_SCHEMES: Mapping[str, Scheme] = {"udp": Scheme(kinds=(socket.SOCK_DGRAM,))}


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed URL: `unix` is the path of a socket (`@name`: abstract), otherwise `host` and `port` count.

    `base` is the path of the URL, without a slash at its end. `tls` and `resolve_all` are those of the scheme.
    `server` is the name server to ask, `alternatives` the others of a list.
    """

    scheme: str
    host: str = ""
    port: int = 0
    unix: str = ""
    tls: bool = False
    resolve_all: bool = False
    base: str = ""
    server: str = ""
    alternatives: tuple[Target, ...] = ()

    @property
    def url(self) -> str:
        """The target as a URL, which `parse_target` reads back; the host of all addresses is `localhost`."""
        return self._url(self.host or "localhost")

    @property
    def listening_url(self) -> str:
        """The target as a URL to listen on: the host of all addresses is left out."""
        return self._url(self.host)

    def _url(self, host: str) -> str:
        if self.unix:
            return f"{self.scheme}:{self.unix}"
        slashes = f"://{self.server}/" if self.resolve_all else "://"
        return f"{self.scheme}{slashes}{host_and_port(host, self.port)}{self.base}"


def host_and_port(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def refuse_scheme(text: str, schemes: Mapping[str, Scheme], others: Mapping[str, Scheme], function: str) -> None:
    """Raise `ValueError` that names `function` if the scheme of `text` is one of `others` instead of `schemes`."""
    name = text.partition(":")[0]
    if name in others and name not in schemes:
        raise ValueError(f"target {text!r}: no scheme {name!r}; do you mean {function}()?")


def parse_target(
    text: str, *, listening: bool = False, schemes: Mapping[str, Scheme] = SCHEMES, default: str | None = None
) -> Target:
    """Return the target that `text` names; raise `ValueError` that says what is wrong with it.

    `scheme://host:port`, with a path where the scheme takes one; `unix:/path`, `unix://path` and `unix:@name`;
    `dns:///host:port`. Plain `host:port` has the scheme `default`, which is `tcp` or else the first one. `listening`:
    the host may be missing, which means all addresses of this machine.
    """
    name, colon, rest = text.partition(":")
    scheme = schemes.get(name)
    if colon and scheme is not None and scheme.is_path:
        path = rest.removeprefix("//")
        if not path:
            raise ValueError(f"target {text!r} names no path; write {name}:/run/service.sock")
        return Target(name, unix=path, tls=scheme.tls)
    if not rest.startswith("//"):
        default = default or ("tcp" if "tcp" in schemes else next(iter(schemes)))
        return _with_endpoint(text, default, schemes[default], text, "", listening)
    if scheme is None:
        near = difflib.get_close_matches(name, schemes, n=1)
        hint = f"do you mean {near[0]}?" if near else f"known: {', '.join(schemes)}"
        raise ValueError(f"target {text!r}: no scheme {name!r}; {hint}")
    endpoint, base = _endpoint_and_base(text, name, scheme, rest[2:])
    return _with_endpoint(text, name, scheme, endpoint, base, listening)


def _endpoint_and_base(text: str, name: str, scheme: Scheme, rest: str) -> tuple[str, str]:
    if scheme.resolve_all:
        # scheme://resolver/name: a resolver of one's own is not modelled.
        resolver, _, endpoint = rest.rpartition("/")
        if resolver:
            raise ValueError(
                f"target {text!r}: a DNS server in the target is not supported; write {name}:///{endpoint}"
            )
        return endpoint, ""
    endpoint, _, path = rest.partition("/")
    if path and not scheme.takes_path:
        raise ValueError(f"target {text!r}: {name}:// takes no path")
    path = path.rstrip("/")
    return endpoint, f"/{path}" if path else ""


def _with_endpoint(text: str, name: str, scheme: Scheme, endpoint: str, base: str, listening: bool) -> Target:
    host, port = _split_endpoint(text, endpoint, scheme.port)
    if not host and not listening:
        raise ValueError(f"target {text!r} names no host")
    return Target(name, host, port, tls=scheme.tls, resolve_all=scheme.resolve_all, base=base)


def _ipv6(text: str, address: str) -> str:
    """What stands in brackets is an address and never a name, which some reader would look up."""
    try:
        socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        raise ValueError(f"target {text!r}: [{address}] is no IPv6 address") from None
    return address


def _split_endpoint(text: str, endpoint: str, default: int | None) -> tuple[str, int]:
    host, colon, port = endpoint.rpartition(":")
    if endpoint.startswith("[") and endpoint.endswith("]"):
        host, colon, port = endpoint, "", ""
    elif not colon:
        host, port = endpoint, ""
    if host.startswith("[") and host.endswith("]"):
        host = _ipv6(text, host[1:-1])
    elif ":" in host:
        raise ValueError(f"target {text!r}: an IPv6 address stands in brackets, [{endpoint.strip('[]')}]:PORT")
    if not colon and host.isascii() and host.isdigit():
        raise ValueError(f"target {text!r} is no host; a port of this machine is localhost:{host}")
    if not port and default is not None and not colon:
        return host, default
    if not (port.isascii() and port.isdigit() and int(port) <= MAX_PORT):
        raise ValueError(f"target {text!r}: {port!r} is no port" if port else f"target {text!r} names no port")
    return host, int(port)
