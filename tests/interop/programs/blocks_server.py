"""Send every client the same 20 MB, in blocks of the size that it names in a line."""

from __future__ import annotations

import random
import socket
import socketserver

DATA = random.Random(1).randbytes(20_000_000)


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        size = int(self.rfile.readline())
        for at in range(0, len(DATA), size):
            self.request.sendall(DATA[at : at + size])


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True


with Server(("::", 8080), Handler) as server:
    print("listening", flush=True)
    server.serve_forever()
