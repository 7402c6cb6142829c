"""Finds the largest datagram that a path carries: `serve VERSION`, or `find VERSION HOST GRANULARITY`."""

from __future__ import annotations

import select
import socket
import sys
import time

from catenet.plpmtud import PathSearch, State, Timing, udp_sizes

PORT = 4821
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
# IP_MTU_DISCOVER and IPV6_MTU_DISCOVER set to PROBE: never cut, and larger than what ICMP has told (ip(7)).
PROBE = {4: (socket.IPPROTO_IP, 10, 3), 6: (socket.IPPROTO_IPV6, 23, 3)}


def serve(version: int) -> None:
    """Acknowledge each datagram by its length."""
    with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as user:
        user.bind(("", PORT))
        while True:
            data, peer = user.recvfrom(65536)
            user.sendto(len(data).to_bytes(4, "big"), peer)


def find(version: int, host: str, granularity: int) -> None:
    """Search until the search is complete."""
    search = PathSearch(udp_sizes(version), Timing(probe=1, granularity=granularity))
    with socket.socket(FAMILIES[version], socket.SOCK_DGRAM) as user:
        user.setsockopt(*PROBE[version])
        address = socket.getaddrinfo(host, PORT, FAMILIES[version], socket.SOCK_DGRAM)[0][4]
        begin = time.monotonic()
        while search.state is not State.SEARCH_COMPLETE:
            if search.state is State.DISABLED:
                user.sendto(b"hello", address)  # the peer may not be there yet
            while (size := search.transmit(time.monotonic())) is not None:
                try:
                    user.sendto(bytes(size), address)
                except OSError as error:
                    print("not sent:", error)
            deadline = search.next_deadline()
            wait = 0.2 if deadline is None else max(0.0, deadline - time.monotonic())
            if select.select([user], [], [], wait)[0]:
                try:
                    size = int.from_bytes(user.recv(4), "big")
                except ConnectionRefusedError:
                    continue
                search.start(time.monotonic())
                search.handle_ack(size, time.monotonic())
            search.handle_timeout(time.monotonic())
        print(f"{search.size} bytes, {search.state.value} after {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["serve"]:
        serve(int(words[1]))
    else:
        find(int(words[1]), words[2], int(words[3]))
