"""The well-known port of a server: requests, and all transfers if they are to use that port too. Pure.

With transfers on ports of their own a request is an event and nothing else. In single-port mode, for clients behind a
NAT or a firewall that lets nothing in from another port, the peer's port alone tells transfers apart.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from catenet.net.core import Peer
from catenet.net.segments import Segments
from catenet.tftp.errors import ErrorCode
from catenet.tftp.packets import ERROR, RRQ, WRQ, Malformed, Request, build_error, opcode_of, parse_request
from catenet.tftp.transfer import Transfer

__all__ = ["Asked", "ServerCore"]

MOST_ERRORS: Final = 64
MOST_ASKED: Final = 64
"""Requests that wait to be looked at, and answers that wait to be sent; more are dropped, and asked again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and what it came in, by which its duplicates are known."""

    request: Request
    peer: Peer
    data: bytes


class ServerCore:
    """Requests as events. `attach` transfers that are to use this port."""

    def __init__(self) -> None:
        self.malformed = 0
        self.closing = False
        self._asked: deque[Asked] = deque()
        self._errors: deque[tuple[bytes | Segments, Peer]] = deque()
        self._transfers: dict[str, Transfer] = {}
        self._ready: deque[Transfer] = deque()
        self._deadlines: list[tuple[float, int, Transfer]] = []
        self._armed: dict[Transfer, float] = {}
        self._numbers = count()

    # Single-port mode.

    def attach(self, transfer: Transfer) -> None:
        """Let a transfer use this port; one with the same peer is forgotten."""
        self._transfers[transfer.peer.name] = transfer
        self.touch(transfer)

    def detach(self, transfer: Transfer) -> None:
        """The transfer is closed."""
        if self._transfers.get(transfer.peer.name) is transfer:
            del self._transfers[transfer.peer.name]

    def touch(self, transfer: Transfer) -> None:
        """A transfer may have something to send."""
        self._ready.append(transfer)

    def _find(self, peer: Peer) -> Transfer | None:
        return self._transfers.get(peer.name) if self._transfers else None

    # Answers.

    def refuse(self, peer: Peer, code: int, text: str) -> None:
        """Answer with an ERROR."""
        if len(self._errors) < MOST_ERRORS:
            self._errors.append((build_error(code, text), peer))

    # The verbs.

    def receive(self, data: bytes, peer: Peer, now: float) -> None:
        """Take a datagram."""
        transfer = self._find(peer)
        code = opcode_of(data)
        if code in (RRQ, WRQ):
            self._receive_request(data, peer)
        elif transfer is not None:
            transfer.receive(data, peer, now)
            self._ready.append(transfer)
        elif code != ERROR:
            self.malformed += 1
            self.refuse(peer, ErrorCode.UNKNOWN_ID if code in (3, 4, 6) else ErrorCode.ILLEGAL, "unknown transfer")

    def receive_many(self, data: bytes, size: int, peer: Peer, now: float) -> None:
        """Datagrams of `size` bytes have come at once."""
        transfer = self._find(peer)
        if transfer is not None and opcode_of(data) not in (RRQ, WRQ):
            transfer.receive_many(data, size, peer, now)
            self._ready.append(transfer)
            return
        for start in range(0, len(data), size):
            self.receive(data[start : start + size], peer, now)

    def _receive_request(self, data: bytes, peer: Peer) -> None:
        if self.closing:
            self.refuse(peer, ErrorCode.UNDEFINED, "the server is closing")
            return
        try:
            request = parse_request(data)
        except Malformed as error:
            self.malformed += 1
            self.refuse(peer, ErrorCode.ILLEGAL, str(error))
            return
        if len(self._asked) < MOST_ASKED:
            self._asked.append(Asked(request, peer, data))

    def transmit(self, now: float) -> Sequence[tuple[bytes | Segments, Peer]]:
        """Return the next packets to be sent."""
        if self._errors:
            found = list(self._errors)
            self._errors.clear()
            return found
        while self._ready:
            transfer = self._ready[0]
            packets = transfer.transmit(now)
            self._arm(transfer)
            if packets:
                self._ready.rotate(-1)  # the others get their turn
                return packets
            self._ready.popleft()
        return ()

    def next_event(self) -> Asked | None:
        """Return the next request."""
        return self._asked.popleft() if self._asked else None

    def _arm(self, transfer: Transfer) -> None:
        """See that a transfer is asked when it is due; a time that has moved later is looked at early."""
        due = transfer.next_deadline()
        if due is not None and due < self._armed.get(transfer, float("inf")):
            self._armed[transfer] = due
            heapq.heappush(self._deadlines, (due, next(self._numbers), transfer))

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do."""
        return self._deadlines[0][0] if self._deadlines else None

    def handle_timeout(self, now: float) -> None:
        """Do what transfers have to do."""
        while self._deadlines and self._deadlines[0][0] <= now:
            noted, _, transfer = heapq.heappop(self._deadlines)
            if self._armed.get(transfer) != noted:
                continue
            del self._armed[transfer]
            due = transfer.next_deadline()
            if due is not None and due <= now:
                transfer.handle_timeout(now)
                self._ready.append(transfer)
            else:
                self._arm(transfer)

    def handle_error(self, error: OSError, now: float) -> None:
        """A socket of all peers does not say whose error it is."""

    @property
    def idle(self) -> bool:
        """Whether no transfer on this port goes on."""
        return all(transfer.idle for transfer in self._transfers.values())

    def drain(self, now: float) -> None:
        """Take no requests any more."""
        self.closing = True
