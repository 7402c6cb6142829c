"""Fetch a page over HTTP/1.0 with nothing but a socket: fetch.py HOST [PORT] [PATH]."""

import socket
import sys


def fetch(host: str, port: int, path: str) -> tuple[str, bytes]:
    """Return the status line and the body."""
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(65536):  # HTTP/1.0: the end of the page is the end of the connection
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


def main() -> int:
    host, port, path = [*sys.argv[1:4], *["localhost", "80", "/"][len(sys.argv) - 1 :]]
    status, body = fetch(host, int(port), path)
    print(status)
    sys.stdout.write(body.decode(errors="replace"))
    return 0 if " 200 " in f"{status} " else 1


if __name__ == "__main__":
    sys.exit(main())
