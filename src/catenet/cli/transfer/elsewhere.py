"""Where to connect to instead: curl's `--resolve` and `--connect-to`, as a resolver of the client."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from catenet.cli import UsageError
from catenet.net.dial import Endpoint, resolve
from catenet.net.target import Target

__all__ = ["Elsewhere"]


@dataclass(slots=True)
class Elsewhere:
    """Addresses by host and port (`*`: any host), and other places to connect to. `given` if there are any."""

    addresses: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    places: list[tuple[str, int | None, str, int | None]] = field(default_factory=list)

    @property
    def given(self) -> bool:
        """Whether the command line says anything."""
        return bool(self.addresses or self.places)

    def add_addresses(self, text: str) -> None:
        """Take `[+]HOST:PORT:ADDRESS[,ADDRESS…]`, or `-HOST:PORT`. Raises `UsageError`."""
        complaint = f"--resolve {text}: write it as HOST:PORT:ADDRESS"
        removes, rest = text.startswith("-"), text.lstrip("+-") if text[:1] in "+-" else text
        host, rest = _host(rest)
        port, _, found = rest.partition(":")
        if not host or not _is_port(port) or removes is bool(found):
            raise UsageError(complaint)
        key = host.lower(), int(port)
        if removes:
            self.addresses.pop(key, None)
            return
        listed = [one.strip().removeprefix("[").removesuffix("]") for one in found.split(",")]
        for one in listed:
            try:
                ipaddress.ip_address(one.partition("%")[0])
            except ValueError:
                raise UsageError(f"--resolve {text}: {one!r} is no address") from None
        self.addresses[key] = listed

    def add_place(self, text: str) -> None:
        """Take `HOST1:PORT1:HOST2:PORT2`, of which any may be left out. Raises `UsageError`."""
        host, rest = _host(text)
        first, colon, rest = rest.partition(":")
        other, second = _host(rest)
        if not colon or any(
            port and not (port.isascii() and port.isdigit() and int(port) < 65536) for port in (first, second)
        ):
            raise UsageError(f"--connect-to {text}: write it as HOST1:PORT1:HOST2:PORT2")
        self.places.append((host.lower(), int(first) if first else None, other, int(second) if second else None))

    async def resolve(self, host: str, port: int) -> Sequence[Endpoint]:
        """Return where to connect to for a host and port. Raises `OSError`."""
        for first, first_port, other, other_port in self.places:
            if first in ("", host.lower()) and first_port in (None, port):
                host, port = other or host, port if other_port is None else other_port
                break
        known = self.addresses.get((host.lower(), port)) or self.addresses.get(("*", port))
        loop = asyncio.get_running_loop()
        if known is None:
            return await resolve(loop, Target("tcp", host, port))
        return [found for one in known for found in await resolve(loop, Target("tcp", one, port))]


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) < 65536


def _host(text: str) -> tuple[str, str]:
    """Return a host, without brackets, and what follows the colon behind it."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, rest = text.partition(":")
    return host, rest
