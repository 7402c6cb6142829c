"""A TCP server that answers in capitals and shuts down before it closes: upper_server.py [PORT] [CLIENTS].

Closing a socket with unread input resets the connection and may destroy what the client has not read yet. So: send
the answer, shut down our direction, read until the client has shut down its own, and only then close.
"""

import socket
import sys


def serve(connection: socket.socket) -> int:
    """Answer one client; return the number of bytes it sent."""
    received = 0
    with connection:
        connection.settimeout(60)
        while chunk := connection.recv(4096):
            received += len(chunk)
            connection.sendall(chunk.upper())
            if chunk.endswith(b"\n.\n"):  # the client's last line
                break
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(4096):
            received += len(chunk)
    return received


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7000
    clients = int(sys.argv[2]) if len(sys.argv) > 2 else None
    with socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        print(f"listening on port {listener.getsockname()[1]}", flush=True)
        served = 0
        while clients is None or served < clients:
            connection, peer = listener.accept()
            print(f"{peer[0]} sent {serve(connection)} bytes", flush=True)
            served += 1


if __name__ == "__main__":
    main()
