"""A service that is offered: the names of the service and of its host, which may both have to change."""

from __future__ import annotations

from collections.abc import Sequence

from catenet.dns.multicast.responder import Responder
from catenet.dns.multicast.services import Properties, host_claim, service_claim

__all__ = ["Publication"]


class Publication:
    """Claims both names. `follow_host` is to be called after events of the responder.

    Raises ValueError for what cannot be said of a service.
    """

    def __init__(
        self,
        responder: Responder,
        name: str,
        kind: str,
        port: int,
        properties: Properties,
        subtypes: Sequence[str],
        host: str,
        addresses: Sequence[bytes],
        now: float,
    ) -> None:
        self._responder = responder
        self._host = host_claim(host.encode(), addresses)
        self._service = service_claim(name, kind, port, properties, subtypes, self._host)
        self._told_host = self._host.name
        responder.claim(self._host, now)
        responder.claim(self._service, now)

    @property
    def name(self) -> str:
        """The name of the service as it is now."""
        return self._service.label.decode()

    @property
    def host(self) -> str:
        """The first label of the host's name as it is now."""
        return self._host.label.decode()

    @property
    def is_held(self) -> bool:
        """Whether both names are ours."""
        return self._host.is_held and self._service.is_held

    def follow_host(self, now: float) -> None:
        """Say on which host the service is when that has got another name; to be called after events."""
        if self._host.is_held and self._host.name != self._told_host:
            self._told_host = self._host.name
            self._responder.update(self._service, now)

    def withdraw(self, now: float) -> None:
        """Give both names up."""
        self._responder.release(self._service, now)
        self._responder.release(self._host, now)
