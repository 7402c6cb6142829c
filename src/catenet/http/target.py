"""URLs of HTTP (RFC 9110 section 4.2) as targets, and how HTTP names a server."""

from __future__ import annotations

from collections.abc import Mapping

from catenet.net.target import SCHEMES as STREAM_SCHEMES
from catenet.net.target import Scheme, Target, host_and_port

__all__ = ["SCHEMES", "SERVER_SCHEMES", "authority"]

SCHEMES: Mapping[str, Scheme] = {
    "http": Scheme(port=80, takes_path=True),
    "https": Scheme(tls=True, port=443, takes_path=True),
}

SERVER_SCHEMES: Mapping[str, Scheme] = {**SCHEMES, "unix": STREAM_SCHEMES["unix"]}
"""What a server listens on: `http://host:port`, `https://host:port`, `unix:path`."""


def authority(target: Target) -> str:
    """Return what a client calls the server (RFC 9110 section 7.2): `host:port`, or `localhost` for a Unix socket.

    The port is left out if it is the default one.
    """
    if target.unix:
        return "localhost"
    with_port = host_and_port(target.host, target.port)
    default = SCHEMES["https" if target.tls else "http"].port
    return with_port.rpartition(":")[0] if target.port == default else with_port
