"""Ethernet segments for tests of the stack: stations, and the frames between them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from catenet.stack.endpoint import ANY4, ANY6
from catenet.stack.stack import Stack
from catenet.wire import ethernet, icmp, ip, nd
from catenet.wire.address import parse_interface

from .net import Network

ANY = {4: ANY4, 6: ANY6}
TEXTS = {4: ("10.0.0.1/24", "10.0.0.2/24"), 6: ("fd00::1/64", "fd00::2/64")}
both = pytest.mark.parametrize("version", [4, 6])


def link(number: int) -> Any:
    return b"\x02\x00\x00\x00\x00" + bytes((number,))


def station(net: Any, number: int, *texts: Any, **settings: Any) -> Any:
    stack = Stack(random.Random(number))
    for name, value in settings.items():
        setattr(stack.settings, name, value)
    stack.add_interface(link_address=link(number), addresses=tuple(map(parse_interface, texts)))
    net.stacks.append(stack)
    return stack


def lan(version: int, **settings: Any) -> Any:
    net = Network()
    one, other = (station(net, n + 1, TEXTS[version][n], **settings) for n in range(2))
    net.wire((one, 2), (other, 2))
    return net, one, other, *(parse_interface(text)[0] for text in TEXTS[version])


def port(stack: Any) -> Any:
    return stack.interfaces[2].ethernet


def entry(stack: Any, neighbour: Any) -> Any:
    return port(stack).neighbours.get(neighbour)


def frames(net: Any) -> Any:
    found = [ethernet.parse_frame(raw) for _, _, raw in net.seen]
    net.seen.clear()
    return found


def questions(net: Any, version: int) -> Any:
    """Frames that ask for a neighbour: (to many?, target)."""
    found = []
    for frame in frames(net):
        many = ethernet.is_group(frame.destination)
        if version == 4 and frame.ethertype == ethernet.ARP:
            question = ethernet.parse_arp(frame.payload)
            if question.operation == 1:
                found.append((many, question.target))
        elif version == 6 and frame.ethertype == ethernet.ETHERTYPES[6]:
            packet = ip.parse(frame.payload)
            if packet.protocol == 58:
                message = icmp.parse(packet.payload, packet.source, packet.destination)
                read = nd.parse(message) if isinstance(message, icmp.Other) else None
                if isinstance(read, nd.NeighborSolicitation):
                    found.append((many, read.target))
    return found
