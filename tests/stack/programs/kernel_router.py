"""The kernel as a router between two TUN devices, `in0` and `out0`, in the namespace that this runs in.

Each line on standard input is a side and a packet in hexadecimal; the answer a line of JSON: what came out by side.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import struct
import sys

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
MARK = b"that was all"


def open_tun(name: str) -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


def drain(device: int) -> list[bytes]:
    found: list[bytes] = []
    while True:
        try:
            packet = os.read(device, 65536)
        except BlockingIOError:
            return found
        if packet[0] >> 4 == 4:
            found.append(packet)


def main(fence: bytes) -> None:
    devices = {"in": open_tun("in0"), "out": open_tun("out0")}
    print("open", flush=True)
    for line in sys.stdin:
        side, text = line.split()
        os.write(devices[side], bytes.fromhex(text))
        # An echo to the router itself is answered after all that came before it has been dealt with.
        os.write(devices["in"], fence)
        found: dict[str, list[bytes]] = {"in": [], "out": []}
        while not any(MARK in packet for packet in found["in"]):
            if not select.select(list(devices.values()), [], [], 30)[0]:
                sys.exit("the kernel does not answer")
            for name, device in devices.items():
                found[name] += drain(device)
        found["out"] += drain(devices["out"])
        shown = {name: [each.hex() for each in packets if MARK not in each] for name, packets in found.items()}
        print(json.dumps(shown), flush=True)


main(bytes.fromhex(sys.argv[1]))
