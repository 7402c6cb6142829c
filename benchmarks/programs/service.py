"""An ordinary sockets program, the far end of the TUN benchmarks: `service.py [ADDRESS] [PORT]`.

The first byte of a connection says what it is for: `I` take everything in and answer with its length, `O` give out
bytes until the peer has had enough, `R` send back every 64 bytes. The peers' programs speak the same.
"""

import socket
import sys

BLOCK = bytes(1 << 18)
MESSAGE = 64


def take_in(connection: socket.socket) -> None:
    buffer = bytearray(1 << 20)
    total = 0
    while count := connection.recv_into(buffer):
        total += count
    connection.sendall(total.to_bytes(8, "big"))


def give_out(connection: socket.socket) -> None:
    while True:
        connection.sendall(BLOCK)


def send_back(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while message := connection.recv(MESSAGE):
        connection.sendall(message)


PURPOSES = {b"I": take_in, b"O": give_out, b"R": send_back}


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "0.0.0.0"
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 9000
    with socket.create_server((address, port)) as listener:
        # Whatever the machine's default: with BBR, the default of some, a kernel sends half as fast over TUN.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    PURPOSES[connection.recv(1)](connection)
                except (ConnectionError, KeyError):
                    pass


main()
