"""Where one can connect and send, from a host with 10.9.0.1/24, fd00:9::1/64 and a default route: what each call says.

Run as a program it prints what it saw on the machine's own sockets.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable
from typing import Any

FOUR = """
255.255.255.255 224.0.0.1 239.1.1.1 10.9.0.255 10.9.0.0 10.9.0.77 192.168.9.9 0.0.0.0 0.1.2.3 127.255.255.255
127.0.0.9 127.0.0.0 169.254.1.1 10.9.0.1
""".split()  # noqa: SIM905
SIX = """
ff01::1 ff02::1 ff05::1 ff0e::1 :: ::1 fd00:9::77 2001:db8::1 fe80::1 ::2 ::127.0.0.1 ::ffff:255.255.255.255
::ffff:224.0.0.1 ::ffff:10.9.0.255 ::ffff:0.0.0.0 ::ffff:10.9.0.77
""".split()  # noqa: SIM905
RESERVED = ("240.0.0.1", "255.255.255.254", "::ffff:240.0.0.1")


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))


def source(sock: socket.socket) -> str:
    """Own address; which of the link-local ones it is says nothing."""
    host = str(sock.getsockname()[0])
    return "link-local" if host.startswith("fe80") else host


def reach(text: str) -> list[Any]:
    """TCP's connect, UDP's connect and sendto, without and with leave to broadcast."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    seen: list[Any] = [text]
    with socket.socket(family) as sock:
        sock.setblocking(False)
        seen += [outcome(sock.connect, (text, 9)), source(sock)]
    for allowed in (0, 1):
        for call in ("connect", "sendto"):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, allowed)
                data = (b"x",) if call == "sendto" else ()
                seen += [outcome(getattr(sock, call), *data, (text, 9)), source(sock)]
    return seen


def reach_all() -> list[Any]:
    return [reach(text) for text in (*FOUR, *SIX)]


def loopback_addresses() -> list[Any]:
    """Who is who within 127.0.0.0/8, and what being bound to a broadcast or multicast address means."""
    seen: list[Any] = []
    with socket.create_server(("0.0.0.0", 0)) as server:
        with socket.create_connection(("127.0.0.9", server.getsockname()[1])) as client:
            accepted, name = server.accept()
            seen += [name[0], client.getpeername()[0], accepted.getsockname()[0]]
            accepted.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("", 0))
        receiver.settimeout(5)
        port = receiver.getsockname()[1]
        for own in ("", "127.7.7.7", "127.255.255.255", "224.0.0.1"):
            for peer in ("127.0.0.1", "127.3.3.3", "127.255.255.255"):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    sender.bind((own, 0))
                    sender.sendto(own.encode(), (peer, port))
                    data, name = receiver.recvfrom(100)
                    seen += [own, peer, data == own.encode(), name[0]]
            with socket.socket() as sock:
                sock.bind((own, 0))
                seen += [sock.getsockname()[0], outcome(sock.listen)]
    return seen


if __name__ == "__main__":
    print(json.dumps([reach_all(), loopback_addresses()]))
