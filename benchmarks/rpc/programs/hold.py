"""`hold.py PORT COUNT SOURCES HELLO RATE`: open connections from addresses below SOURCES, call on each, keep them.

HELLO, in hexadecimal, is what is sent on each: the beginning of a connection with one call, whose answer has "ann" in
it. RATE of them come in a second at most. Prints a line when all of them stand, and ends with its standard input.
"""

from __future__ import annotations

import resource
import socket
import sys
import time
from typing import Any

BATCH = 200
"""Connections that wait for their answers together: less than the server's backlog."""


IP_BIND_ADDRESS_NO_PORT = 24
"""<linux/in.h>: the port is chosen when the destination is known, which takes no search among those in use."""
PER_SOURCE = 5000


def connect(port: int, sources: Any, number: int, hello: Any) -> Any:
    sock = socket.socket()
    sock.settimeout(60)
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((f"{sources}.{number // PER_SOURCE + 1}", 0))
    sock.connect(("127.0.0.1", port))
    sock.sendall(hello)
    return sock


def await_answer(sock: Any) -> None:
    seen = b""
    while b"ann" not in seen:
        data = sock.recv(65536)
        if not data:
            sys.exit("the server closed an idle connection")
        seen += data


if __name__ == "__main__":
    port, count, sources, hello, rate = sys.argv[1:]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held: list[socket.socket] = []
    started = time.monotonic()
    while len(held) < int(count):
        time.sleep(max(started + len(held) / float(rate) - time.monotonic(), 0.0))
        numbers = range(len(held), min(len(held) + BATCH, int(count)))
        batch = [connect(int(port), sources, number, bytes.fromhex(hello)) for number in numbers]
        for sock in batch:
            await_answer(sock)
        held += batch
    print("held", flush=True)
    sys.stdin.read()
