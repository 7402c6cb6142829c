"""A device that is advertised: what it is, and which targets find it (UPnP Device Architecture 2.0, section 1.1.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from catenet.ssdp.message import ALL, ROOT, check_target

__all__ = ["Device"]

LEAST_AGE: Final = 60
MOST_TARGETS: Final = 64
_VERSIONED: Final = re.compile(r"(urn:.+):(\d+)")


@dataclass(frozen=True, slots=True)
class Device:
    """A root device without embedded ones.

    Attributes:
        udn: its unique name, `uuid:...`.
        location: URL of its description.
        type: as `urn:schemas-upnp-org:device:MediaServer:1`; empty for one that has none.
        services: types of its services.
        server: what it runs, as `OS/version UPnP/2.0 product/version`.
        max_age: seconds for which an advertisement holds (1,800 at least, the specification says).

    Raises ValueError for what cannot be said of a device.
    """

    udn: str
    location: str
    type: str = ""
    services: tuple[str, ...] = ()
    server: str = "catenet UPnP/2.0 catenet"
    max_age: int = 1800

    def __post_init__(self) -> None:
        if not self.udn.startswith("uuid:"):
            raise ValueError(f"{self.udn!r} is no name of a device; write uuid:...")
        for target in (self.udn, *filter(None, [self.type]), *self.services):
            check_target(target)
        if len(self.services) > MOST_TARGETS:
            raise ValueError(f"{len(self.services)} services, more than {MOST_TARGETS}")
        if not LEAST_AGE <= self.max_age <= 86_400:
            raise ValueError(f"max_age must be {LEAST_AGE} to 86400 seconds, not {self.max_age}")
        if not re.fullmatch(r"https?://[!-~]+", self.location):
            raise ValueError(f"{self.location!r} is no URL of a description; write http://...")

    def targets(self) -> Iterator[tuple[str, str]]:
        """All that it is, each with its USN: root device, name, type, services (tables 1-1 and 1-3)."""
        yield ROOT, f"{self.udn}::{ROOT}"
        yield self.udn, self.udn
        for target in (self.type, *dict.fromkeys(self.services)):
            if target:
                yield target, f"{self.udn}::{target}"

    def answers(self, target: str) -> list[tuple[str, str]]:
        """Targets and USNs for a search. A later version answers for an earlier one, by its name (section 1.3.3)."""
        if target == ALL:
            return list(self.targets())
        wanted = _VERSIONED.fullmatch(target)
        found = []
        for own, usn in self.targets():
            has = _VERSIONED.fullmatch(own)
            if own == target:
                found.append((own, usn))
            elif wanted and has and wanted[1] == has[1] and _is_earlier(wanted[2], has[2]):
                found.append((target, f"{self.udn}::{target}"))
        return found


def _is_earlier(wanted: str, has: str) -> bool:
    return len(wanted) < 10 and 0 < int(wanted) < int(has)
