"""A clock that is kept by servers, as what a server tells: stratum, reference id and root distance by its system peer.

The rules are those of RFC 5905 section 11.2.3 and appendix A.5.5: the best of those that agree is the system peer.
"""

from __future__ import annotations

import hashlib
import random
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from catenet.net.target import parse_target
from catenet.ntp.asking import SECURE_SCHEMES
from catenet.ntp.association import Association, PollRange
from catenet.ntp.client import secured
from catenet.ntp.daemon import Keeper, Server
from catenet.ntp.reference import MOST_STRATUM, UNKNOWN, State
from catenet.ntp.timestamp import short_to_seconds

__all__ = ["Upstream", "address_id", "follow"]

_PRECISION: Final = 2.0**-20


class Upstream:
    """What is known of the clock of a `Keeper` (`catenet.ntp.reference.Reference`).

    A server that follows this host would be followed in a circle: its answers are refused (`Association.local_id`).
    """

    def __init__(self, keeper: Keeper, associations: Mapping[str, Association]) -> None:
        self._keeper = keeper
        self._associations = associations
        keeper.on_connected = self._note

    def _note(self, name: str, sock: socket.socket) -> None:
        self._associations[name].local_id = address_id(sock.getsockname()[0])

    def state(self, now: float) -> State:
        """See `Reference`."""
        steering = self._keeper.steering
        bound = steering.error_bound(now)
        if bound is None or steering.choice is None or not steering.choice.agreeing:
            return UNKNOWN
        best = min(steering.choice.agreeing, key=lambda one: one.distance)
        association = self._associations[best.name]
        server, current = association.server, association.current
        if server is None or current is None or server.stratum >= MOST_STRATUM:
            return UNKNOWN
        delay = short_to_seconds(server.root_delay) + current.delay
        identity = address_id(self._keeper.routes[best.name].address)
        # Root distance is half of the delay and the dispersion: together they are the bound.
        dispersion = max(bound - delay / 2, _PRECISION)
        return State(server.leap, server.stratum + 1, identity, delay, dispersion, now)


def address_id(host: str) -> bytes:
    """Return the reference id of a server by its address (RFC 5905 section 7.3)."""
    if ":" not in host:
        return socket.inet_aton(host) if host else bytes(4)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return hashlib.md5(packed, usedforsecurity=False).digest()[:4]


def follow(
    servers: Sequence[str],
    *,
    polls: PollRange = PollRange(),
    secure: bool = False,
    ca: str | None = None,
) -> dict[Server, Association]:
    """Return what a `Keeper` takes for servers as `catenet.ntp.client.query` has them; first they are asked four times.

    Raises `ValueError` for a server that is none, `ImportError` without the packages that NTS needs,
    `catenet.net.tls.TlsError`.
    """
    found: dict[Server, Association] = {}
    for text in servers:
        target = parse_target(text, schemes=SECURE_SCHEMES, default="nts" if secure else "ntp")
        rng = random.SystemRandom()
        keys = secured(target, ca) if target.scheme == "nts" else None
        protection = None if keys is None else keys.session
        server = Server(target.host, target.port, keys)
        found[server] = Association(rng, polls=polls, burst=True, protection=protection)
    return found
