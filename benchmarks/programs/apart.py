"""Programs of the `isolation` benchmark, with blocking sockets: `apart.py PURPOSE [ARGUMENTS]`.

`serve`: take connections, and send back what comes from each; `sink`: take one connection and all that comes from it;
`echo HOST COUNT`: send 64 bytes and wait for them, COUNT times; `bulk HOST COUNT`: COUNT blocks of 64 KB;
`datagrams`: take datagrams for ever; `send HOST COUNT RATE`: COUNT datagrams of 1,000 bytes, RATE a second.
"""

from __future__ import annotations

import socket
import sys
import time

PORT = 9000
BLOCK = bytes(65536)
MESSAGE = bytes(64)


def serve() -> None:
    with socket.create_server(("0.0.0.0", PORT)) as listener:
        while True:
            with listener.accept()[0] as connection:
                while message := connection.recv(64):
                    connection.sendall(message)


def sink() -> None:
    with socket.create_server(("0.0.0.0", PORT)) as listener:
        connection, _ = listener.accept()
        buffer = bytearray(1 << 18)
        while connection.recv_into(buffer):
            pass


def echo(host: str, count: str) -> None:
    with socket.create_connection((host, PORT)) as connection:
        for _ in range(int(count)):
            connection.sendall(MESSAGE)
            assert connection.recv(64) == MESSAGE


def bulk(host: str, count: str) -> None:
    with socket.create_connection((host, PORT)) as connection:
        for _ in range(int(count)):
            connection.sendall(BLOCK)


def datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("0.0.0.0", PORT))
        while True:
            receiver.recv(2048)


def send(host: str, count: str, rate: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((host, PORT))
        for _ in range(int(count)):
            sender.send(bytes(1000))
            time.sleep(1 / float(rate))


{each.__name__: each for each in (serve, sink, echo, bulk, datagrams, send)}[sys.argv[1]](*sys.argv[2:])
