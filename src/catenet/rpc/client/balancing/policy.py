"""What a load balancing policy is, and the two simplest: the first address that answers, and all in turn.

A policy is told of addresses and of how the connections to them stand; it says to which there should be connections,
and where a call goes. It does nothing itself. Sources: gRPC `load-balancing.md`,
`connectivity-semantics-and-api.md`, gRFC A61.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from catenet.rpc.model.load_report import LoadReport

__all__ = ["A", "PickFirst", "Policy", "RoundRobin", "State"]

A = TypeVar("A")


class State(enum.Enum):
    """How a connection to an address stands, or all of a channel together."""

    IDLE = "idle"
    CONNECTING = "connecting"
    READY = "ready"
    FAILED = "transient failure"


class Policy(Generic[A]):
    """Chooses an address for a call. This class does what most policies have in common.

    * `races`: the driver connects to whichever address answers first, and keeps that one connection.
    * `keyed`: a call goes where its key says, and nowhere else.
    * `watches_calls`: `call_ended` wants to be told; `reads_load`: with the server's load report.
    """

    races: ClassVar[bool] = False
    keyed: bool = False
    watches_calls: bool = False
    reads_load: bool = False
    key_header: str | None = None
    """Metadata whose value is the key of a call."""

    def __init__(self) -> None:
        self.addresses: tuple[A, ...] = ()
        self.states: dict[A, State] = {}
        self.counts = dict.fromkeys(State, 0)
        """How many addresses stand so."""
        self.more: list[A] = []
        """What has been added to `wanted` since whoever connects has looked."""

    def update(self, addresses: Sequence[A], now: float) -> None:
        """Take the addresses that the name has now, those that are there already included."""
        self.addresses = tuple(dict.fromkeys(addresses))
        self.states = {address: self.states.get(address, State.IDLE) for address in self.addresses}
        self.counts = dict.fromkeys(State, 0)
        for state in self.states.values():
            self.counts[state] += 1

    def set_state(self, address: A, state: State, now: float) -> None:
        """The connection to an address stands otherwise; one that has failed counts as failed until it is ready."""
        before = self.states.get(address)
        if before is not None and (state is State.READY or state is State.FAILED or before is not State.FAILED):
            self.states[address] = state
            self.counts[before] -= 1
            self.counts[state] += 1

    def wanted(self) -> Sequence[A]:
        """Return the addresses to which there should be connections."""
        return self.addresses

    def wants(self, address: A) -> bool:
        """Whether an address is one of `wanted`, without a walk through all."""
        return address in self.states

    def pick(self, key: bytes | None = None) -> A | None:
        """Return where the next call goes; None while there is no such place."""
        raise NotImplementedError

    def fails(self, key: bytes | None = None) -> bool:
        """Whether a call that finds no place fails, rather than waits, unless it waits for readiness."""
        return self.state is State.FAILED

    def usable(self, address: A) -> bool:
        """Whether calls may go to an address at all."""
        return True

    @property
    def state(self) -> State:
        """How all stand together: ready if one is; failed once every one has."""
        if self.counts[State.READY]:
            return State.READY
        return State.FAILED if self.counts[State.FAILED] == len(self.states) else State.CONNECTING

    def call_ended(self, address: A, failed: bool, load: LoadReport | None, now: float) -> None:
        """An attempt has ended at an address."""

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""
        return None

    def handle_timeout(self, now: float) -> None:
        """Time has passed."""


class PickFirst(Policy[A]):
    """All calls go to the first address that connects; the driver races them as happy eyeballs does (gRFC A61).

    With `shuffle` the order is this client's own (gRFC A62).
    """

    races = True

    def __init__(self, shuffle: random.Random | None = None) -> None:
        super().__init__()
        self.current: A | None = None
        self._shuffle = shuffle

    def update(self, addresses: Sequence[A], now: float) -> None:
        """Take the addresses; a connection to one that is gone is no longer picked."""
        if self._shuffle is not None:
            addresses = self._shuffle.sample(addresses, len(addresses))
        super().update(addresses, now)
        if self.current not in self.states:
            self.current = None

    def set_state(self, address: A, state: State, now: float) -> None:
        """The first that is ready is the one; another has its turn when it is not any more."""
        super().set_state(address, state, now)
        if state is State.READY and self.current is None and address in self.states:
            self.current = address
        elif state is not State.READY and self.current == address:
            self.current = None

    def wanted(self) -> Sequence[A]:
        """Return the connected address, or all."""
        return self.addresses if self.current is None else (self.current,)

    def wants(self, address: A) -> bool:
        """Whether an address is the connected one, or there is none yet."""
        return address in self.states if self.current is None else address == self.current

    def pick(self, key: bytes | None = None) -> A | None:
        """Return the connected address."""
        return self.current


class RoundRobin(Policy[A]):
    """Calls go to all ready addresses in turn. `rng` chooses where to begin, so that clients do not march in step."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._ready: dict[A, None] = {}
        self._order: list[A] | None = []
        """Those that are ready; None: the next call looks."""
        self._next = 0

    def update(self, addresses: Sequence[A], now: float) -> None:
        """Take the addresses."""
        super().update(addresses, now)
        self._ready = {address: None for address in self._ready if address in self.states}
        self._order = None

    def set_state(self, address: A, state: State, now: float) -> None:
        """A connection has come up, or has gone."""
        super().set_state(address, state, now)
        if state is State.READY and address in self.states and address not in self._ready:
            self._ready[address] = None
            if len(self._ready) == 1:
                self._next = self._rng.randrange(1 << 16)
        elif state is not State.READY and address in self._ready:
            del self._ready[address]
        else:
            return
        self._order = None

    def pick(self, key: bytes | None = None) -> A | None:
        """Return the next ready address."""
        ready = self._order
        if ready is None:
            ready = self._order = list(self._ready)
        if not ready:
            return None
        self._next += 1
        return ready[self._next % len(ready)]
