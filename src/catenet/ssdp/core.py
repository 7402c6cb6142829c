"""Both sides of SSDP on one link, as cores of five verbs: `ControlPoint` searches and listens, `Advertiser` is found.

Nothing is heard of other networks: SSDP is for the link, and a search that comes from elsewhere, or with a forged
source, would have devices send many datagrams to whom it names. What an advertiser answers is limited besides, to one
address and altogether.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final, Protocol, cast

from catenet.net.core import Peer
from catenet.net.multicast import Network, is_on_link
from catenet.ssdp.cache import Cache, Change
from catenet.ssdp.device import Device
from catenet.ssdp.message import (
    Advertisement,
    Malformed,
    Search,
    build_advertisement,
    build_search,
    check_target,
    parse,
)

__all__ = ["Advertiser", "ControlPoint", "LinkPeer"]

SEARCHES: Final = 3
"""How often a search is sent, as datagrams get lost (section 1.3.2)."""
BETWEEN_SEARCHES: Final = 0.3
MOST_CHANGES: Final = 1024
"""That wait for the program; later ones are only in the cache."""

ANNOUNCEMENTS: Final = 2
"""How often each advertisement is sent (section 1.2.1)."""
BETWEEN_ANNOUNCEMENTS: Final = 0.2
FIRST_ANNOUNCEMENT: Final = 0.1
"""Seconds within which a device that starts waits, so that not all speak at once after a power failure."""

ANSWERS_A_SECOND: Final = 200.0
"""Datagrams of all answers together."""
MOST_ASKERS: Final = 256
MOST_WAITING: Final = 1024
"""Answers that wait for their moment."""
UNICAST_WAIT: Final = 1.0
"""Seconds within which a search to this device alone is answered (section 1.3.3)."""


class LinkPeer(Peer, Protocol):
    """Whom a datagram comes from or goes to."""

    @property
    def address(self) -> tuple[object, ...] | str:
        """Host and port first."""


class _Core:
    """What both sides have in common."""

    def __init__(self, networks: Collection[Network] | None) -> None:
        self._networks = networks
        self._out: list[tuple[bytes, Peer]] = []
        self.malformed = 0
        """Datagrams that could not be read."""
        self.foreign = 0
        """Datagrams from other networks."""

    def _read(self, data: bytes, host: str) -> Search | Advertisement | None:
        """What a datagram says, None if it is not to be heard."""
        if self._networks is not None and not is_on_link(host, self._networks):
            self.foreign += 1
            return None
        try:
            return parse(data)
        except Malformed:
            self.malformed += 1
            return None

    def handle_error(self, error: OSError, now: float) -> None:
        """A datagram could not be sent; it is lost, as others are."""


class ControlPoint(_Core):
    """Searches, and hears what is advertised.

    Args:
        groups: where a search goes: peers on the socket that it leaves from, each with the text of its HOST.
        networks: of this link; None: all is heard.
        interface: its name, for entries.
    """

    def __init__(
        self, groups: Sequence[tuple[Peer, str]], networks: Collection[Network] | None = None, interface: str = ""
    ) -> None:
        super().__init__(networks)
        self._groups = groups
        self._searches: list[tuple[float, Search]] = []
        self._changes: deque[Change] = deque()
        self.cache = Cache(interface)

    def search(self, target: str, wait: int, now: float) -> None:
        """Search for a target; devices answer within `wait` seconds (1 to 5). ValueError."""
        if not 1 <= wait <= 5:
            raise ValueError(f"devices are asked to answer within 1 to 5 seconds, not {wait}")
        search = Search(check_target(target), wait, "catenet UPnP/2.0 catenet")
        self._searches += [(now + number * BETWEEN_SEARCHES, search) for number in range(SEARCHES)]

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram."""
        host = str(cast("LinkPeer", peer).address[0])
        heard = self._read(data, host)
        if isinstance(heard, Advertisement):
            self._note(self.cache.hear(heard, host, now))

    def _note(self, changes: list[Change]) -> None:
        self._changes += changes[: MOST_CHANGES - len(self._changes)]

    def transmit(self, now: float) -> list[tuple[bytes, Peer]]:
        """Return the next datagrams to be sent."""
        due = [search for when, search in self._searches if when <= now]
        self._searches = [entry for entry in self._searches if entry[0] > now]
        return [(build_search(search, host), peer) for search in due for peer, host in self._groups]

    def next_event(self) -> Change | None:
        """Return what happened, or None."""
        return self._changes.popleft() if self._changes else None

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""
        times = [when for when, _ in self._searches]
        if (expires := self.cache.deadline) is not None:
            times.append(expires)
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Let entries expire; searches that are due are sent by `transmit`."""
        self._note(self.cache.expire(now))

    @property
    def idle(self) -> bool:
        """Whether all searches have been sent."""
        return not self._searches

    def drain(self, now: float) -> None:
        """Search no more."""
        self._searches.clear()


class Advertiser(_Core):
    """Advertises one device, and answers searches for it.

    Args:
        device: which.
        groups: where advertisements go, each with the text of its HOST.
        random: for delays, so that not all devices speak at once.
        networks: of this link; None: all is heard.
        boot_id: larger after each start of the device (section 1.2.2).
    """

    def __init__(
        self,
        device: Device,
        groups: Sequence[tuple[Peer, str]],
        random: Random,
        networks: Collection[Network] | None = None,
        boot_id: int = 1,
    ) -> None:
        super().__init__(networks)
        self._device, self._groups, self._random, self._boot_id = device, groups, random, boot_id
        self._waiting: list[tuple[float, int, Advertisement, Peer]] = []
        self._number = 0
        self._next_announcement: float | None = None
        self._left = ANNOUNCEMENTS
        self._asked: dict[tuple[str, str], float] = {}
        self._tokens = ANSWERS_A_SECOND
        self._tokens_at = 0.0
        self.limited = 0
        """Searches and answers that were dropped for the sake of the limits."""

    def start(self, now: float) -> None:
        """Begin to advertise."""
        self._next_announcement = now + self._random.uniform(0, FIRST_ANNOUNCEMENT)

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram."""
        host = str(cast("LinkPeer", peer).address[0])
        heard = self._read(data, host)
        if not isinstance(heard, Search) or self._next_announcement is None:
            return
        answers = self._device.answers(heard.target)
        if not answers:
            return
        if not self._may_answer(host, heard.target, now) or len(self._waiting) + len(answers) > MOST_WAITING:
            self.limited += 1
            return
        wait = UNICAST_WAIT if heard.wait is None else max(1, heard.wait)
        for target, usn in answers:
            self._number += 1
            # A little less than all of it: the answer has to be there by then.
            when = now + self._random.uniform(0, 0.9 * wait)
            heappush(self._waiting, (when, self._number, self._advertisement("response", target, usn), peer))

    def _may_answer(self, host: str, target: str, now: float) -> bool:
        """Whether an address gets an answer: three for the same search at once, then one a second."""
        key = (host, target)
        self._asked = {known: until for known, until in self._asked.items() if until > now}
        due = max(now, self._asked.get(key, now)) + 1.0
        if due > now + SEARCHES or (key not in self._asked and len(self._asked) >= MOST_ASKERS):
            return False
        self._asked[key] = due
        return True

    def _advertisement(self, kind: str, target: str, usn: str) -> Advertisement:
        device = self._device
        return Advertisement(
            kind,  # type: ignore[arg-type]
            target,
            usn,
            device.location,
            device.max_age,
            device.server,
            boot_id=self._boot_id,
            config_id=1,
        )

    def transmit(self, now: float) -> list[tuple[bytes, Peer]]:
        """Return the next datagrams to be sent."""
        out, self._out = self._out, []
        self._tokens = min(ANSWERS_A_SECOND, self._tokens + (now - self._tokens_at) * ANSWERS_A_SECOND)
        self._tokens_at = now
        while self._waiting and self._waiting[0][0] <= now:
            _, _, answer, peer = heappop(self._waiting)
            if self._tokens < 1:
                self.limited += 1
                continue
            self._tokens -= 1
            out.append((build_advertisement(answer, ""), peer))
        return out

    def next_event(self) -> None:
        """Nothing happens that a program has to know."""
        return

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""
        times = [self._waiting[0][0]] if self._waiting else []
        if self._next_announcement is not None:
            times.append(self._next_announcement)
        return min(times, default=None)

    def handle_timeout(self, now: float) -> None:
        """Advertise, if it is time; answers that are due are sent by `transmit`."""
        if self._next_announcement is None or self._next_announcement > now:
            return
        self._say("alive")
        self._left -= 1
        if self._left > 0:
            self._next_announcement = now + BETWEEN_ANNOUNCEMENTS
        else:
            # At a random moment before half of the time is over (section 1.2.2), and then twice again.
            self._left = ANNOUNCEMENTS
            self._next_announcement = now + self._device.max_age * self._random.uniform(0.25, 0.45)

    def _say(self, kind: str) -> None:
        for target, usn in self._device.targets():
            one = self._advertisement(kind, target, usn)
            self._out += [(build_advertisement(one, host), peer) for peer, host in self._groups]

    @property
    def idle(self) -> bool:
        """Whether all has been sent."""
        return not self._out

    def drain(self, now: float) -> None:
        """Say that the device goes; answer nothing more."""
        if self._next_announcement is not None:
            self._next_announcement = None
            self._waiting.clear()
            self._say("byebye")
            self._say("byebye")
