"""Services and hosts of the local network, for programs: `browse`, `publish`, `resolve_service`, `host_addresses`."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from catenet.dns.multicast.browser import Browser, Change
from catenet.dns.multicast.core import MulticastEvent
from catenet.dns.multicast.links import Link, Links
from catenet.dns.multicast.packets import Item
from catenet.dns.multicast.publication import Publication
from catenet.dns.multicast.querier import Absent, Found
from catenet.dns.multicast.services import (
    ENUMERATION,
    LOCAL,
    Properties,
    Service,
    address_text,
    label_of,
    type_name,
)
from catenet.wire.dns.name import fold, is_below, labels, name_from_text
from catenet.wire.dns.numbers import AAAA, PTR, A

__all__ = [
    "Changes",
    "Published",
    "ask_links",
    "browse",
    "host_addresses",
    "publish",
    "resolve_service",
    "service_types",
    "services",
]

REST = 0.2
"""Seconds for addresses of the other IP version after those of one have come."""

OTHERS = 1.0
"""Seconds for the answers of others where several may answer."""


class Changes:
    """What happens to the services of a type, as it happens."""

    def __init__(self, links: Links[Change]) -> None:
        self._links = links

    async def next(self) -> Change:
        """The next change."""
        return await self._links.next()

    async def __aiter__(self) -> AsyncIterator[Change]:
        while True:
            yield await self._links.next()


@asynccontextmanager
async def browse(kind: str, *, interfaces: Sequence[str] | None = None) -> AsyncIterator[Changes]:
    """Follow the services of a type, as `_http._tcp`, or of a subtype, `_printer._sub._http._tcp`.

    A service that is on two interfaces is found on both. `interfaces`: their names; else all but the loopback.

    Raises:
        ValueError: no type of service, no such interface.
        OSError: no interface, or no socket.
    """
    async with _browsers([kind], [], interfaces) as links:
        yield Changes(links)


async def resolve_service(
    name: str, kind: str, *, patience: float = 3.0, interfaces: Sequence[str] | None = None
) -> Service:
    """Find where a service is, and what it says about itself; `patience` in seconds.

    Raises as `browse` does, and TimeoutError when nobody has answered.
    """
    suffix = type_name(kind)
    label = label_of(name)
    async with _browsers([], [bytes((len(label),)) + label + suffix], interfaces) as links:
        try:
            async with asyncio.timeout(patience):
                return (await links.next()).service
        except TimeoutError:
            raise TimeoutError(f"nobody on the network has a service {name!r} of type {kind}") from None


def _browsers(kinds: Sequence[str], instances: Sequence[bytes], interfaces: Sequence[str] | None) -> Links[Change]:
    names = [type_name(kind) for kind in kinds]
    browsers: dict[Link, Browser] = {}

    def begin(link: Link) -> None:
        browser = browsers[link] = Browser(link.core.querier, link.interface.name)
        for name in names:
            browser.follow_type(name, link.now)
        for instance in instances:
            browser.follow(instance, link.now)

    def take(link: Link, events: list[MulticastEvent]) -> Sequence[Change]:
        return browsers[link].take(events, link.now)

    return Links(interfaces, begin, take)


class Published:
    """A service that is offered.

    Attributes:
        name: what it is called; other than what was asked for when somebody else has that.
        host: name of the host.
    """

    def __init__(self, publications: dict[Link, Publication]) -> None:
        self._publications = publications

    @property
    def name(self) -> str:
        """What it is called now, on the first interface."""
        return next(iter(self._publications.values())).name

    @property
    def host(self) -> str:
        """Name of the host now, as `printer.local.`."""
        return next(iter(self._publications.values())).host + ".local."


@asynccontextmanager
async def publish(
    name: str,
    kind: str,
    port: int,
    *,
    properties: Properties | None = None,
    subtypes: Sequence[str] = (),
    host: str | None = None,
    interfaces: Sequence[str] | None = None,
) -> AsyncIterator[Published]:
    """Offer a service; it can be found when this has begun, and is taken back at the end.

    Where others have its name, it becomes `name (2)`. `host`: name of this host, without `.local`.

    Raises:
        ValueError: what cannot be said of a service, no such interface.
        OSError: no interface, or no socket.
    """
    label = _host_label(host)
    publications: dict[Link, Publication] = {}

    def begin(link: Link) -> None:
        publications[link] = Publication(
            link.core.responder,
            name,
            kind,
            port,
            properties or {},
            subtypes,
            label,
            link.interface.addresses,
            link.now,
        )

    def take(link: Link, events: list[MulticastEvent]) -> Sequence[bool]:
        publications[link].follow_host(link.now)
        if all(one.is_held for one in publications.values()):
            held.set()
        return []

    held = asyncio.Event()
    async with Links(interfaces, begin, take):
        await held.wait()
        yield Published(publications)


def _host_label(host: str | None) -> str:
    """The name that was given, or the machine's, as the label of a host."""
    text = socket.gethostname() if host is None else host.removesuffix(".").removesuffix(".local")
    if host is None:
        text = re.sub(r"[^A-Za-z0-9-]+", "-", text.partition(".")[0])[:63].strip("-") or "host"
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", text):
        raise ValueError(f"{host!r} is no name of a host: letters, digits and hyphens, up to 63")
    return text


async def host_addresses(name: str, *, patience: float = 2.0, interfaces: Sequence[str] | None = None) -> list[str]:
    """The addresses of a host of the local network, `printer.local`; `patience` in seconds.

    Returns an empty list when nobody has answered. Raises ValueError for a name that is not under `local`, and as
    `browse` does.
    """
    wire = name_from_text(name.removesuffix(".") + ".")
    if not is_below(fold(wire), LOCAL) or len(labels(wire)) < 2:
        raise ValueError(f"{name!r} is no name of the local network: it has to end in .local")

    def begin(link: Link) -> None:
        link.core.querier.watch(wire, A, link.now)
        link.core.querier.watch(wire, AAAA, link.now)

    def take(link: Link, events: list[MulticastEvent]) -> Sequence[list[tuple[int, str]]]:
        answers = [(event.key[1], "") for event in events if isinstance(event, Absent)]
        items = [event.item for event in events if isinstance(event, Found)]
        texts = [(item.type, address_text(item, link.interface.name)) for item in items]
        return [answers + [(kind, text) for kind, text in texts if text is not None]]

    found: dict[str, int] = {}
    answered: set[int] = set()
    async with Links(interfaces, begin, take) as links:
        try:
            async with asyncio.timeout(patience) as limit:
                while len(answered) < 2:
                    heard = await links.next()
                    addresses = {text: kind for kind, text in heard if text}
                    if addresses and not found:
                        limit.reschedule(min(limit.when() or 0.0, asyncio.get_running_loop().time() + REST))
                    answered.update(kind for kind, _ in heard)
                    found = addresses | found
        except TimeoutError:
            pass
    return sorted(found, key=lambda text: found[text])


async def ask_links(
    name: bytes, kind: int, *, patience: float = 2.0, interfaces: Sequence[str] | None = None
) -> dict[str, list[Item]]:
    """The records of one set, by interface; `patience` in seconds for the first of them.

    An owner's answer is complete, and ends the wait; where several may answer it goes on for a second. An empty dict:
    nobody has answered; an interface with an empty list: the owner has no such records. Raises as `browse` does.
    """

    def begin(link: Link) -> None:
        link.core.querier.watch(name, kind, link.now)

    def take(link: Link, events: list[MulticastEvent]) -> Sequence[tuple[str, Item | None]]:
        place = link.interface.name
        found: list[tuple[str, Item | None]] = [(place, event.item) for event in events if isinstance(event, Found)]
        return found + [(place, None) for event in events if isinstance(event, Absent)]

    answers: dict[str, list[Item]] = {}
    async with Links(interfaces, begin, take) as links:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience) as limit:
                while True:
                    place, item = await links.next()
                    if not answers:
                        is_complete = item is None or item.flush
                        limit.reschedule(loop.time() + (REST if is_complete else OTHERS))
                    answers.setdefault(place, []).extend([] if item is None else [item])
        except TimeoutError:
            return answers


async def service_types(*, patience: float = 2.0, interfaces: Sequence[str] | None = None) -> list[str]:
    """The types of services that are heard of within `patience` seconds, as `_http._tcp`. Raises as `browse` does."""

    def begin(link: Link) -> None:
        link.core.querier.watch(ENUMERATION, PTR, link.now)

    def take(link: Link, events: list[MulticastEvent]) -> Sequence[str]:
        names = [labels(event.item.data) for event in events if isinstance(event, Found)]
        return [b".".join(name[:2]).decode("ascii", "replace") for name in names]

    found: set[str] = set()
    async with Links(interfaces, begin, take) as links:
        try:
            async with asyncio.timeout(patience):
                while True:
                    found.add(await links.next())
        except TimeoutError:
            pass
    return sorted(found)


async def services(*, patience: float = 2.0, interfaces: Sequence[str] | None = None) -> list[Service]:
    """The services of all types that are heard of within `patience` seconds. Raises as `browse` does."""
    browsers: dict[Link, Browser] = {}

    def begin(link: Link) -> None:
        browsers[link] = Browser(link.core.querier, link.interface.name)
        link.core.querier.watch(ENUMERATION, PTR, link.now)

    def take(link: Link, events: list[MulticastEvent]) -> Sequence[Change]:
        for event in events:
            if isinstance(event, Found) and fold(event.item.name) == ENUMERATION and is_below(event.item.data, LOCAL):
                browsers[link].follow_type(event.item.data, link.now)
        return browsers[link].take(events, link.now)

    found: dict[tuple[str, str, str], Service] = {}
    async with Links(interfaces, begin, take) as links:
        try:
            async with asyncio.timeout(patience):
                while True:
                    change = await links.next()
                    key = (change.service.name, change.service.type, change.service.interface)
                    found[key] = change.service
                    if change.kind == "gone":
                        del found[key]
        except TimeoutError:
            pass
    return list(found.values())
