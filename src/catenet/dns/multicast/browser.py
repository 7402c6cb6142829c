"""Following services (RFC 6763 4, 5): from records that come and go to services that are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from catenet.dns.multicast.packets import Item, Key
from catenet.dns.multicast.querier import Found, Lost, Querier
from catenet.dns.multicast.services import Service, address_text, properties_of_data
from catenet.wire.dns.name import fold, is_below, labels, name_to_text
from catenet.wire.dns.numbers import AAAA, PTR, SRV, TXT, A

__all__ = ["MOST_INSTANCES", "Browser", "Change", "Host", "Instance"]

MOST_INSTANCES: Final = 1000


class Change(NamedTuple):
    """What happened to a service: it is there, says something else, or is gone."""

    kind: Literal["found", "changed", "gone"]
    service: Service


@dataclass(slots=True)
class Instance:
    """What is known of a service."""

    name: bytes
    where: bytes = b""
    text: bytes | None = None
    told: Service | None = None


@dataclass(slots=True)
class Host:
    """Addresses of a host, and how many services are on it."""

    items: dict[tuple[bytes, int, bytes], Item] = field(default_factory=dict)
    users: int = 0


class Browser:
    """Follows the instances of a type, or a single one. `take` is to be called with all events of the querier."""

    def __init__(self, querier: Querier, interface: str = "") -> None:
        self._querier, self._interface = querier, interface
        self._kinds: set[Key] = set()
        self._instances: dict[bytes, Instance] = {}
        self._hosts: dict[bytes, Host] = {}
        self.refused = 0
        """Instances that are not followed, as there are too many."""

    def follow_type(self, name: bytes, now: float) -> None:
        """Follow all instances of a type (`type_name`)."""
        self._kinds.add((fold(name), PTR))
        self._querier.watch(name, PTR, now)

    def follow(self, name: bytes, now: float) -> None:
        """Follow one instance."""
        key = fold(name)
        if key in self._instances:
            return
        if len(self._instances) >= MOST_INSTANCES:
            self.refused += 1
            return
        self._instances[key] = Instance(name)
        self._querier.watch(name, SRV, now)
        self._querier.watch(name, TXT, now)

    def take(self, events: Iterable[object], now: float) -> list[Change]:
        """What events of the querier, that came together, mean for the services."""
        gone: list[Change] = []
        changed: dict[bytes, None] = {}
        for event in events:
            if isinstance(event, Found | Lost):
                self._take_one(event, now, gone, changed)
        told = [self._tell(self._instances[key]) for key in changed if key in self._instances]
        return gone + [change for change in told if change is not None]

    def _take_one(self, event: Found | Lost, now: float, gone: list[Change], changed: dict[bytes, None]) -> None:
        item, key, is_found = event.item, event.item.key, isinstance(event, Found)
        if key in self._kinds:
            gone += self._take_pointer(item, is_found, now)
        elif item.type in (A, AAAA):
            changed.update(dict.fromkeys(self._take_address(item, is_found)))
        elif (instance := self._instances.get(key[0])) is not None:
            changed[key[0]] = None
            if is_found and item.type == SRV:
                self._move(instance, item.data, now)
            elif is_found and item.type == TXT:
                instance.text = item.data
            elif item.type == SRV and item.data == instance.where:
                self._move(instance, b"", now)

    def _take_pointer(self, item: Item, is_found: bool, now: float) -> list[Change]:
        if is_found:
            if len(labels(item.data)) > 1 and is_below(fold(item.data), fold(item.name)[-_end(item.name) :]):
                self.follow(item.data, now)
            return []
        instance = self._instances.pop(fold(item.data), None)
        if instance is None:
            return []
        self._querier.unwatch(instance.name, SRV)
        self._querier.unwatch(instance.name, TXT)
        self._move(instance, b"", now)
        return [] if instance.told is None else [Change("gone", instance.told)]

    def _take_address(self, item: Item, is_found: bool) -> list[bytes]:
        """Returns which instances are concerned."""
        name = item.key[0]
        host = self._hosts.get(name)
        if host is None:
            return []
        if is_found:
            host.items[item.identity] = item
        else:
            host.items.pop(item.identity, None)
        return [key for key, one in self._instances.items() if fold(one.where[6:]) == name]

    def _move(self, instance: Instance, where: bytes, now: float) -> None:
        """Follow the addresses of another host, or of none."""
        before, after = instance.where[6:], where[6:]
        instance.where = where
        if fold(before) == fold(after):
            return
        if after:
            self._hosts.setdefault(fold(after), Host()).users += 1
            self._querier.watch(after, A, now)
            self._querier.watch(after, AAAA, now)
        if before:
            host = self._hosts[fold(before)]
            host.users -= 1
            if not host.users:
                del self._hosts[fold(before)]
            self._querier.unwatch(before, A)
            self._querier.unwatch(before, AAAA)

    def _tell(self, instance: Instance) -> Change | None:
        """A service is told of when all is known, and again when something of it has changed."""
        if not instance.where or instance.text is None:
            return None
        items = self._hosts[fold(instance.where[6:])].items.values()
        found = sorted((item.type, text) for item in items if (text := address_text(item, self._interface)))
        if not found:
            return None
        first, *kind = labels(instance.name)
        service = Service(
            first.decode("utf-8", "replace"),
            b".".join(kind[:2]).decode("ascii", "replace"),
            name_to_text(instance.where[6:]),
            int.from_bytes(instance.where[4:6], "big"),
            tuple(text for _, text in found),
            properties_of_data(instance.text),
            self._interface,
        )
        before, instance.told = instance.told, service
        if before == service:
            return None
        return Change("found" if before is None else "changed", service)


def _end(name: bytes) -> int:
    """Bytes of the last three labels of the name of a type, and of the root: `_http._tcp.local.`."""
    return sum(1 + len(label) for label in labels(name)[-3:]) + 1
