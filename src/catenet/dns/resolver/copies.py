"""Copies of zones that are fetched from their primaries and kept up to date; RFC 8806 has that for the root."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from catenet.dns.exchange import Exchange
from catenet.dns.resolver.config import AuthZone
from catenet.dns.resolver.context import Context
from catenet.dns.zone import Zone
from catenet.dns.zone.secondary import Loaded, Secondary

__all__ = ["Copies"]


class Copies:
    """Runs the secondaries of a resolver; their exchanges are among its own.

    Args:
        context: where zones are put that have come, and taken away that have expired.
        secondaries: one for each zone that is fetched.
        tokens: where tokens of exchanges come from.
        vet: called with a copy that is to be validated before it is used.
    """

    def __init__(
        self,
        context: Context,
        secondaries: Sequence[Secondary],
        tokens: Iterator[int],
        vet: Callable[[AuthZone, Zone], None],
    ) -> None:
        self._vet = vet
        self._context = context
        self._secondaries = list(secondaries)
        self._numbers = tokens
        self._tokens: dict[int, tuple[Secondary, int]] = {}
        """By our tokens: whose exchange it is, and its own token."""
        self._started = False
        self._settings = {one.name: one for one in context.config.auth_zones}

    def transmit(self) -> list[Exchange]:
        """What is to be sent now."""
        outgoing = []
        for secondary in self._secondaries:
            for exchange in secondary.transmit():
                token = next(self._numbers)
                self._tokens[token] = secondary, exchange.token
                outgoing.append(exchange._replace(token=token))
        return outgoing

    def finished(self) -> list[int]:
        """Tokens whose sockets may be closed."""
        if not self._tokens:
            return []
        closed = {(id(secondary), number) for secondary in self._secondaries for number in secondary.finished()}
        found = [token for token, (one, number) in self._tokens.items() if (id(one), number) in closed]
        for token in found:
            del self._tokens[token]
        return found

    def receive(self, token: int, data: bytes, now: float) -> bool:
        """Take a message; False if the token is none of ours."""
        found = self._tokens.get(token)
        if found is None:
            return False
        found[0].receive(found[1], data, now)
        self._take_events(found[0])
        return True

    def fail(self, token: int, now: float) -> bool:
        """An exchange has failed; False if it is none of ours."""
        found = self._tokens.get(token)
        if found is None:
            return False
        found[0].fail(found[1], now)
        return True

    def notify(self, origin: bytes, serial: int | None, now: float) -> None:
        """A primary says that its zone has changed (RFC 1996); `origin` is folded."""
        for secondary in self._secondaries:
            if secondary.origin == origin:
                secondary.notify(serial, now)

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is to be called; at once, to begin."""
        if not self._secondaries:
            return None
        if not self._started:
            return 0.0
        times = [due for one in self._secondaries if (due := one.next_deadline()) is not None]
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Begin, or go on with what has waited long enough."""
        for secondary in self._secondaries:
            if not self._started:
                secondary.start(now)
            else:
                secondary.handle_timeout(now)
            self._take_events(secondary)
        self._started = True

    def _take_events(self, secondary: Secondary) -> None:
        while (event := secondary.next_event()) is not None:
            zone = event.zone if isinstance(event, Loaded) else None
            settings = self._settings.get(secondary.origin)
            if settings is None:
                self._context.copies[secondary.origin] = zone
            elif (new := self._context.take_copy(settings, zone)) is not None:
                self._vet(settings, new)
            self._context.policies.replace(secondary.origin, () if zone is None else zone)
