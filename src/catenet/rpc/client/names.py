"""The addresses of a target: from whom, and when they are asked for again.

`Refresh` decides and does nothing; resolvers are asynchronous functions. Sources: gRPC `naming.md`; the rule for asking
again is that of its DNS resolvers: when a connection has failed or ended, with a floor.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from catenet.net.backoff import ConnectionBackoff
from catenet.net.dial import Endpoint, interleave, resolve
from catenet.net.target import Target

__all__ = ["Refresh", "Resolved", "Resolver", "all_endpoints", "by_dns", "usual_resolver"]


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a target leads to; `ttl`: seconds for which that holds, None if nobody knows."""

    endpoints: tuple[Endpoint, ...]
    ttl: float | None = None


Resolver = Callable[[Target], Awaitable[Resolved]]
"""Finds the addresses of one target, without its `alternatives`. Raises `OSError`; anything else counts as one."""


async def by_system(target: Target) -> Resolved:
    """Ask `getaddrinfo`: the system's resolver, in a world the host's. Nobody knows how long its answers hold."""
    return Resolved(tuple(await resolve(asyncio.get_running_loop(), target)))


async def by_dns(target: Target) -> Resolved:
    """Ask name servers: that of the target, or those of resolv.conf(5). Addresses and sockets as `by_system`."""
    from catenet.dns.client.addresses import find_addresses

    if target.unix or _is_address(target.host):
        return await by_system(target)
    found = await find_addresses(target.host, target.server)
    endpoints = [_endpoint(address, target.port) for address in found.addresses]
    six = [endpoint.family == socket.AF_INET6 for endpoint in endpoints]
    return Resolved(tuple(interleave(endpoints, six)), found.ttl)


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host.partition("%")[0])
        except (OSError, ValueError):
            continue
        return True
    return False


def _endpoint(address: str, port: int) -> Endpoint:
    if ":" in address:
        return Endpoint(socket.AF_INET6, (address, port, 0, 0))
    return Endpoint(socket.AF_INET, (address, port))


def usual_resolver(target: Target) -> Resolver:
    """Return who is asked for a target if its channel does not say."""
    return by_dns if target.server else by_system


class Refresh:
    """When to ask for the addresses: at first, on request, and when what was said does not hold any more.

    `floor`: seconds between an answer and the next question, unless the answer holds for less. After a failure the
    next question has the backoff of connections.
    """

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._wanted = True
        self._not_before = float("-inf")
        self._expires: float | None = None
        self._backoff = ConnectionBackoff()

    def request(self) -> None:
        """A connection has failed or ended: the addresses may be others now."""
        self._wanted = True

    def next_deadline(self) -> float | None:
        """Return when to ask; None: not before there is a request."""
        return self._not_before if self._wanted else self._expires

    def succeeded(self, ttl: float | None, now: float) -> None:
        """There was an answer."""
        if ttl is not None and not 0 <= ttl < math.inf:  # a resolver's own idea of no answer
            ttl = None
        self._wanted = False
        self._backoff.succeeded()
        self._not_before = now + (self._floor if ttl is None else min(self._floor, max(ttl, 1.0)))
        self._expires = None if ttl is None else now + max(ttl, self._floor, 1.0)

    def failed(self, now: float, rng: random.Random) -> None:
        """There was none."""
        self._wanted = True
        self._not_before = now + self._backoff.failed(rng)


async def all_endpoints(target: Target, resolver: Resolver) -> Resolved:
    """Ask for a target and its alternatives. Raises the `OSError` of the last if none has an address."""
    endpoints: dict[Endpoint, None] = {}
    ttl: float | None = None
    error: OSError | None = None
    for one in (target, *target.alternatives):
        try:
            resolved = _checked(await resolver(one))
        except OSError as failure:
            error = failure
            continue
        except Exception as failure:  # of a resolver that is not ours
            error = OSError(f"the resolver failed: {type(failure).__name__}: {failure}")
            continue
        endpoints.update(dict.fromkeys(resolved.endpoints))
        if resolved.ttl is not None:
            ttl = resolved.ttl if ttl is None else min(ttl, resolved.ttl)
    if not endpoints:
        raise error or OSError("the name has no address")
    return Resolved(tuple(endpoints), ttl)


def _checked(resolved: Resolved) -> Resolved:
    """Return what a resolver said. Raises `TypeError` for what can be no address."""
    for endpoint in resolved.endpoints:
        address = endpoint.address
        if isinstance(address, str):
            continue
        if not isinstance(address, tuple) or [type(part) for part in address[:2]] != [str, int]:
            raise TypeError(f"{address!r} is no address of a socket")
    return resolved
