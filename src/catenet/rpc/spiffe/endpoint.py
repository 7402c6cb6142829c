"""Where the Workload API is (SPIFFE Workload Endpoint section 4)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

__all__ = ["find_endpoint"]

VARIABLE = "SPIFFE_ENDPOINT_SOCKET"


def find_endpoint(given: str | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Return the target of a channel: of what is given, or of SPIFFE_ENDPOINT_SOCKET. Raises `ValueError`."""
    text, where = given, given
    if not text:
        text = (os.environ if environment is None else environment).get(VARIABLE, "")
        where = f"{VARIABLE}={text}"
        if not text:
            raise ValueError(f"{VARIABLE} is not set: it names the socket of the SPIFFE Workload API")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{where}: it has a scheme and a place, nothing else")
    if parts.scheme == "unix":
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError(f"{where}: unix:///an/absolute/path is expected")
        return f"unix:{unquote(parts.path)}"
    if parts.scheme == "tcp":
        try:
            host = ipaddress.ip_address(parts.hostname or "")
        except ValueError:
            host = None
        if host is None or not port or parts.path:
            raise ValueError(f"{where}: tcp://ADDRESS:PORT is expected, with a number as address")
        return f"tcp://[{host}]:{port}" if host.version == 6 else f"tcp://{host}:{port}"
    raise ValueError(f"{where}: unix:///path or tcp://address:port is expected")
