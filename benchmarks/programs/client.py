"""An ordinary sockets program, the near end of the TUN benchmarks: `client.py ADDRESS PORT in|out|roundtrip SECONDS`.

Prints one line of JSON. The clock runs from the connection's first byte; `in` ends with the far end's answer that it
has everything, so what waits in a send buffer does not count.
"""

import json
import socket
import sys
import time

BLOCK = bytes(1 << 18)
MESSAGE = bytes(64)
TIMEOUT = 10.0


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the service closed the connection")
        data += more
    return data


def put_in(connection: socket.socket, seconds: float) -> dict[str, float]:
    started = time.perf_counter()
    connection.sendall(b"I")
    while time.perf_counter() - started < seconds:
        connection.sendall(BLOCK)
    connection.shutdown(socket.SHUT_WR)
    total = int.from_bytes(receive_exactly(connection, 8), "big")
    return {"bytes": total, "seconds": time.perf_counter() - started}


def take_out(connection: socket.socket, seconds: float) -> dict[str, float]:
    buffer = bytearray(1 << 20)
    total = 0
    started = time.perf_counter()
    connection.sendall(b"O")
    while (spent := time.perf_counter() - started) < seconds:
        count = connection.recv_into(buffer)
        if not count:
            raise ConnectionError("the service closed the connection")
        total += count
    return {"bytes": total, "seconds": spent}


def round_trips(connection: socket.socket, seconds: float) -> dict[str, float]:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b"R")
    times = []
    begin = last = time.perf_counter()
    while last - begin < seconds:
        connection.sendall(MESSAGE)
        receive_exactly(connection, len(MESSAGE))
        now = time.perf_counter()
        times.append(now - last)
        last = now
    times.sort()
    return {
        "count": len(times),
        "seconds": last - begin,
        "p50": times[len(times) // 2],
        "p99": times[len(times) * 99 // 100],
    }


PURPOSES = {"in": put_in, "out": take_out, "roundtrip": round_trips}


def main() -> None:
    address, port, purpose, seconds = sys.argv[1:5]
    with socket.create_connection((address, int(port)), timeout=TIMEOUT) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        print(json.dumps(PURPOSES[purpose](connection, float(seconds))), flush=True)


main()
