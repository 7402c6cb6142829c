"""Chat with everybody on the network, without a server: multicast_chat.py NAME [GROUP] [--say LINE]... [--seconds N].

GROUP is a multicast address, IPv4 (239.7.7.7) or IPv6 (ff02::7:7:7). Without --say the lines come from standard input.
"""

import argparse
import socket
import struct
import threading
import time

PORT = 7007


def join(group: str, interface: str) -> tuple[socket.socket, tuple[str, int]]:
    """Return a socket that receives what is sent to the group, and where to send."""
    family, _, _, _, address = socket.getaddrinfo(group, PORT, type=socket.SOCK_DGRAM)[0]
    chat = socket.socket(family, socket.SOCK_DGRAM)
    chat.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # several members on one host
    chat.bind(("", PORT))
    index = socket.if_nametoindex(interface) if interface else 0
    if family == socket.AF_INET:
        chat.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("@4s4si", socket.inet_aton(group), bytes(4), index)
        )
        chat.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))
        chat.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    else:
        membership = socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index)
        chat.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        chat.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        chat.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 1)
    return chat, address


def listen(chat: socket.socket) -> None:
    while True:
        line, _ = chat.recvfrom(2048)
        print(line.decode(errors="replace"), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Chat with everybody on the network, without a server.")
    parser.add_argument("name")
    parser.add_argument("group", nargs="?", default="239.7.7.7")
    parser.add_argument("--interface", default="", help="name of the network interface (default: the system's choice)")
    parser.add_argument("--say", action="append", default=[], metavar="LINE", help="say this, one line a second")
    parser.add_argument("--seconds", type=float, default=None, help="listen for so long, then leave")
    args = parser.parse_args()
    chat, group = join(args.group, args.interface)
    threading.Thread(target=listen, args=(chat,), daemon=True).start()
    end = None if args.seconds is None else time.monotonic() + args.seconds
    for line in args.say or iter(lambda: input(), None):
        time.sleep(1 if args.say else 0)
        chat.sendto(f"{args.name}: {line}".encode(), group)
    if end is not None:
        time.sleep(max(0.0, end - time.monotonic()))


if __name__ == "__main__":
    try:
        main()
    except (EOFError, KeyboardInterrupt):
        pass
