"""Which name servers this machine (in a world: this host) has: its resolv.conf(5)."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from catenet.wire.address import format_address
from catenet.wire.dns.resolv_conf import parse_resolv_conf
from catenet.wire.dns.stub import Server, StubConfig

__all__ = ["server_host", "system_config"]

RESOLV_CONF: Final = Path("/etc/resolv.conf")


def system_config(path: Path = RESOLV_CONF) -> StubConfig:
    """What this machine's file says; without a file the server of this machine itself, as resolv.conf(5) has it."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        text = ""
    return parse_resolv_conf(text, socket.if_nametoindex)


def server_host(server: Server) -> str:
    """The address of a server as the host of a URL, with its zone."""
    return format_address(server.address) + (f"%{server.scope}" if server.scope else "")
