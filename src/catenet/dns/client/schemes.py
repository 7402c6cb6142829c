"""How servers are written: `udp://`, `tcp://`, `tls://`, `quic://`, `https://` and `http://`."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

from catenet.net import Scheme

__all__ = ["SCHEMES"]

SCHEMES: Final[Mapping[str, Scheme]] = {
    "udp": Scheme(port=53),
    "tcp": Scheme(port=53),
    "tls": Scheme(tls=True, port=853),
    "quic": Scheme(tls=True, port=853, kinds=(socket.SOCK_DGRAM,)),
    "https": Scheme(tls=True, port=443, takes_path=True),
    "http": Scheme(port=80, takes_path=True),
}
"""UDP, and TCP for what was cut (RFC 7766); TCP alone; TLS (RFC 7858); QUIC (RFC 9250), with the extra `quic`; HTTPS
(RFC 8484), and behind a proxy HTTP."""
