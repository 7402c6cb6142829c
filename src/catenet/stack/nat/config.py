"""What an administrator decides about a NAT, in the terms of RFC 4787."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from catenet.stack.endpoint import Address

__all__ = ["DYNAMIC_PORTS", "Behaviour", "Endpoint", "NatConfig", "NatTimeouts", "Unknown"]

Endpoint: TypeAlias = "tuple[Address, int]"
"""Address and port; of ICMP echo the identifier stands for the port, at the peer 0."""

DYNAMIC_PORTS: Final = (1024, 65_535)


class Behaviour(enum.Enum):
    """On what of the peer a mapping depends, or who may send to it (RFC 4787 4.1 and 5)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Unknown(enum.Enum):
    """What becomes of a TCP segment from inside that is no SYN and belongs to no session."""

    MAP = "map"
    """It makes a session, as on Linux (`nf_conntrack_tcp_loose`)."""
    DROP = "drop"
    RESET = "reset"
    """It is dropped, and its sender gets a RST."""


@dataclass(frozen=True)
class NatTimeouts:
    """Seconds without packets after which a session is forgotten."""

    udp: float = 300.0
    """UDP whose peer has answered (RFC 4787 REQ-5: at least 2 minutes, 5 are recommended)."""
    udp_unanswered: float = 120.0
    tcp_established: float = 7440.0
    """2 hours and 4 minutes (RFC 5382 REQ-5)."""
    tcp_transitory: float = 240.0
    """TCP that is opening, or closed by both sides or by a RST (RFC 5382 REQ-5, RFC 7857 2)."""
    icmp: float = 60.0
    """ICMP echo (RFC 5508 REQ-2)."""


@dataclass(frozen=True)
class NatConfig:
    """A NAT of one router."""

    outside: tuple[int, ...]
    """Indices of the interfaces behind which peers see the router's addresses alone."""
    mapping: Behaviour = Behaviour.ENDPOINT_INDEPENDENT
    filtering: Behaviour = Behaviour.ADDRESS_AND_PORT_DEPENDENT
    timeouts: NatTimeouts = field(default_factory=NatTimeouts)
    preserve_ports: bool = True
    """Whether a mapping gets the port of its inside endpoint if that is free; otherwise chance decides."""
    ports: tuple[int, int] = DYNAMIC_PORTS
    """First and last port that mappings get; a preserved one need not lie between."""
    hairpin: bool = True
    """Whether hosts inside reach each other by their outside endpoints (RFC 4787 REQ-9)."""
    refresh_inbound: bool = False
    """Whether datagrams from outside keep UDP sessions alive too (RFC 4787 REQ-6: those from inside do)."""
    unknown: Unknown = Unknown.MAP
    limit: int = 65_536
    """Most sessions at a time."""
    forwards: Mapping[tuple[int, int], Endpoint] = field(default_factory=dict)
    """Inside endpoints by protocol number and outside port: mappings that always are."""
