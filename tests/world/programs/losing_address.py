"""A program whose host loses the address that it uses: what its sockets do, as JSON. Arguments: 4 or 6, the peer.

It waits for conditions, so that it runs on a kernel in seconds and in a world in minutes.
"""

import contextlib
import errno
import json
import socket
import sys
import time
from collections.abc import Callable

FAMILY = {"4": socket.AF_INET, "6": socket.AF_INET6}[sys.argv[1]]
PEER = sys.argv[2], 7
found: dict[str, object] = {}


def code(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "ok"


def source() -> str:
    """Address of a new flow; "" without any."""
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.connect(PEER)
        return str(sock.getsockname()[0])
    return ""


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def can_bind(address: str) -> bool:
    with socket.socket(FAMILY, socket.SOCK_DGRAM) as sock:
        return code(lambda: sock.bind((address, 0))) == "ok"


def echo(connection: socket.socket, data: bytes) -> bool:
    connection.sendall(data)
    return connection.recv(100) == data


tcp = socket.create_connection(PEER)
old = tcp.getsockname()[0]
assert echo(tcp, b"a")
bound = socket.socket(FAMILY, socket.SOCK_DGRAM)
bound.bind((old, 0))
connected = socket.socket(FAMILY, socket.SOCK_DGRAM)
connected.connect(PEER)
print("ready", old, flush=True)
if FAMILY == socket.AF_INET6:
    until(lambda: source() not in ("", old))
    found["deprecated, bind"] = can_bind(old)
    found["deprecated, connection"] = echo(tcp, b"b")
    with socket.create_connection(PEER) as new:
        found["deprecated, new connection from the old"] = new.getsockname()[0] == old
until(lambda: not can_bind(old))
until(lambda: source() not in ("", old))
tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2000)
found["send"] = code(lambda: tcp.send(b"c"))
found["bound sendto"] = code(lambda: bound.sendto(b"x", PEER))
found["connected send"] = code(lambda: connected.send(b"x"))
found["bound connect"] = code(lambda: bound.connect(PEER))
found["connection keeps its name"] = tcp.getsockname()[0] == old
with socket.create_connection(PEER) as new:
    found["new connection"] = echo(new, b"d")
found["end"] = code(lambda: tcp.recv(1))
print(json.dumps(found), flush=True)
