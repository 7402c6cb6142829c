"""Our DHCP servers on a TAP device in real time, and router advertisements that say that DHCPv6 gives addresses.

Arguments: the device, and seconds for which addresses are given. Messages are printed by their types.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time

from catenet.stack.dhcp.pool import AddressPool, ServerConfig
from catenet.stack.dhcp.server4 import Dhcp4Server
from catenet.stack.dhcp.server6 import Dhcp6Server
from catenet.stack.stack import Stack
from catenet.wire import dhcp, dhcp6
from catenet.wire.address import Prefix, parse_address, parse_interface

LINK = bytes.fromhex("02000a090002")


def main(name: str, lifetime: str) -> None:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
    stack = Stack(random.Random(1))
    stack.settings.dhcp = 0
    stack.settings.ip_forward = 1
    own = ("10.9.0.1/24", "fd09::1/64", "fe80::1/64")
    stack.add_interface("eth0", link_address=LINK, addresses=tuple(map(parse_interface, own)))
    pools = [
        ServerConfig(
            Prefix.parse(prefix),
            AddressPool(parse_address(first), parse_address(last)),
            lifetime=int(lifetime),
            routers=routers,
            dns_servers=(parse_address(server),),
            search=(b"\4home\7example\0",),
        )
        for prefix, first, last, routers, server in (
            ("10.9.0.0/24", "10.9.0.50", "10.9.0.60", (parse_address("10.9.0.1"),), "10.9.0.53"),
            ("fd09::/64", "fd09::50", "fd09::60", (), "fd09::53"),
        )
    ]
    servers = (
        Dhcp4Server(stack, 2, pools[0], parse_address("10.9.0.1")),
        Dhcp6Server(stack, 2, pools[1], dhcp6.duid_ll(LINK)),
    )
    for server in servers:
        tell(server.responder)
    print("up", flush=True)
    while True:
        now = time.monotonic()
        stack.handle_timeout(now)
        for _, frame in stack.transmit(now):
            os.write(device, frame)
        deadline = stack.next_deadline()
        wait = 1.0 if deadline is None else max(0.0, min(1.0, deadline - time.monotonic()))
        if select.select([device], [], [], wait)[0]:
            try:
                while True:
                    stack.receive(os.read(device, 65536), time.monotonic(), 2)
            except BlockingIOError:
                pass


def tell(responder: object) -> None:
    """Print what is asked and answered."""
    respond = responder.respond  # type: ignore[attr-defined]

    def told(message: dhcp.DhcpMessage | dhcp6.Dhcp6Message, now: float) -> object:
        answer = respond(message, now)
        version = 4 if isinstance(message, dhcp.DhcpMessage) else 6
        print(f"v{version}", message.type, "->", answer.type if answer is not None else "nothing", flush=True)
        return answer

    responder.respond = told  # type: ignore[attr-defined]


main(*sys.argv[1:])
