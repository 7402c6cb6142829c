"""An iperf3 server for one test, over TCP, as an ordinary threaded Python program: iperf3_server.py [PORT].

Speaks the control protocol of ESnet's iperf3: a 37-byte cookie on every connection, one signed byte per state change,
JSON behind a 4-byte length.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import sys
import threading
import time
from typing import Any

COOKIE = 37
TEST_START, TEST_RUNNING, TEST_END = 1, 2, 4
PARAM_EXCHANGE, CREATE_STREAMS, EXCHANGE_RESULTS, DISPLAY_RESULTS, IPERF_DONE = 9, 10, 13, 14, 16


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise EOFError("the client left in the middle")
        data += chunk
    return data


def read_json(connection: socket.socket) -> dict[str, Any]:
    (length,) = struct.unpack("!I", exactly(connection, 4))
    return dict(json.loads(exactly(connection, length)))


def write_json(connection: socket.socket, value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    connection.sendall(struct.pack("!I", len(text)) + text)


class Stream:
    """One data connection, either received or sent until told to stop."""

    def __init__(self, connection: socket.socket, number: int, sends: bool, block: int) -> None:
        self.connection, self.number, self.bytes, self.stopped = connection, number, 0, False
        self.thread = threading.Thread(target=self.send if sends else self.receive, args=(block,), daemon=True)

    def receive(self, block: int) -> None:
        buffer = bytearray(block)
        try:
            while count := self.connection.recv_into(buffer):
                self.bytes += count
        except OSError:
            pass

    def send(self, block: int) -> None:
        data = bytes(block)
        try:
            while not self.stopped:
                self.connection.sendall(data)
                self.bytes += block
        except OSError:
            pass


def serve(listener: socket.socket) -> dict[str, Any]:
    control, _ = listener.accept()
    control.settimeout(10)
    cookie = exactly(control, COOKIE)
    control.sendall(bytes([PARAM_EXCHANGE]))
    wanted = read_json(control)
    parallel = int(wanted.get("parallel", 1))
    directions = [False, True] if wanted.get("bidirectional") else [bool(wanted.get("reverse"))]
    control.sendall(bytes([CREATE_STREAMS]))
    streams: list[Any] = []
    for sends in directions:
        for _ in range(parallel):
            connection, _ = listener.accept()
            if exactly(connection, COOKIE) != cookie:
                raise PermissionError("a stranger connected")
            number = len(streams) + (2 if streams else 1)  # iperf3 numbers its streams 1, 3, 4, 5, ...
            streams.append(Stream(connection, number, sends, int(wanted.get("len", 131072))))
    control.sendall(bytes([TEST_START]))
    control.sendall(bytes([TEST_RUNNING]))
    began = time.monotonic()
    for stream in streams:
        stream.thread.start()
    assert exactly(control, 1) == bytes([TEST_END])
    seconds = time.monotonic() - began
    for stream in streams:  # a client in the middle of a block waits for the rest of it, or for the end
        stream.stopped = True
        with contextlib.suppress(OSError):
            stream.connection.shutdown(socket.SHUT_RDWR)
    report = {
        "cpu_util_total": 0.0,
        "cpu_util_user": 0.0,
        "cpu_util_system": 0.0,
        "sender_has_retransmits": 0,
        "streams": [
            {"id": one.number, "bytes": one.bytes, "retransmits": -1, "jitter": 0, "errors": 0, "packets": 0}
            | {"start_time": 0, "end_time": seconds}
            for one in streams
        ],
    }
    control.sendall(bytes([EXCHANGE_RESULTS]))
    read_json(control)
    write_json(control, report)
    control.sendall(bytes([DISPLAY_RESULTS]))
    assert exactly(control, 1) == bytes([IPERF_DONE])
    for stream in streams:
        stream.connection.close()
    control.close()
    return report


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 5201
    with socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        print(f"listening on port {port}", flush=True)
        while True:
            try:
                print(json.dumps(serve(listener)["streams"]), flush=True)
            except (OSError, EOFError, ValueError, AssertionError) as error:  # a scanner, not a client
                print(f"no test: {error!r}", flush=True)


if __name__ == "__main__":
    main()
