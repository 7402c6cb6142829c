"""A dual-stack UDP server that answers each datagram with its sender's address: udp_server.py [PORT] [DATAGRAMS]."""

import itertools
import socket
import sys


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 7001
    limit = int(sys.argv[2]) if len(sys.argv) > 2 else None
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # IPv4 peers appear as ::ffff:a.b.c.d
        server.bind(("::", port))
        print(f"listening on port {server.getsockname()[1]}", flush=True)
        for _ in itertools.count() if limit is None else range(limit):
            question, peer = server.recvfrom(2048)
            host = peer[0].removeprefix("::ffff:")
            server.sendto(f"{question.decode(errors='replace')} from {host}".encode(), peer)


if __name__ == "__main__":
    main()
