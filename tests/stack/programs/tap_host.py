"""A host on our stack behind a TAP device in real time: answers pings, echoes TCP and UDP on port 7.

Arguments: the device, addresses, and routes as PREFIX=GATEWAY, with which it is a router.
"""

from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import sys
import time
from typing import Any

from catenet.stack.configuration import configure
from catenet.stack.endpoint import ANY6, Name, StackError
from catenet.stack.stack import Stack
from catenet.wire.address import Prefix, parse_address, parse_interface

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000


def main(name: str, *texts: str) -> None:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    stack = Stack(random.Random(1))
    stack.add_interface("eth0", link_address=bytes.fromhex("02000a090002"))
    stack.settings.dhcp = 0
    configure(stack, 2)
    for text in texts:
        prefix, _, gateway = text.partition("=")
        if gateway:
            stack.settings.ip_forward = 1
            stack.add_route(Prefix.parse(prefix), 2, parse_address(gateway))
        else:
            port = stack.interfaces[2].ethernet
            assert port is not None
            port.add_address(*parse_interface(text))
    listener = stack.tcp_endpoint(6)
    listener.bind(Name(ANY6, 7))
    listener.listen(8)
    datagrams = stack.udp_endpoint(6)
    datagrams.bind(Name(ANY6, 7))
    connections: list[Any] = []
    print("up", flush=True)
    while True:
        now = time.monotonic()
        deadline = stack.next_deadline()
        if deadline is not None and deadline <= now:
            stack.handle_timeout(now)
        serve(listener, connections, datagrams)
        for _, frame in stack.transmit(now):
            try:
                os.write(device, frame)
            except OSError:
                pass
        while (event := stack.next_event()) is not None:
            print(type(event).__name__, flush=True)
        deadline = stack.next_deadline()
        wait = 1.0 if deadline is None else max(0.0, min(1.0, deadline - time.monotonic()))
        readable, _, _ = select.select([device, sys.stdin], [], [], wait)
        if sys.stdin in readable:
            return
        if device in readable:
            for _ in range(64):
                try:
                    frame = os.read(device, 65536)
                except BlockingIOError:
                    break
                stack.receive(frame, time.monotonic(), 2)


def serve(listener: Any, connections: Any, datagrams: Any) -> None:
    while (accepted := listener.accept()) is not None:
        connections.append(accepted)
    for connection in list(connections):
        try:
            while data := connection.receive(4096):
                connection.send(data)
            if data == b"":
                connection.close()
                connections.remove(connection)
        except StackError:
            connections.remove(connection)
    while (got := datagrams.receive_from()) is not None:
        datagrams.send_to(got.data, got.source)


main(*sys.argv[1:])
