"""Lifetimes of an interface's addresses: preferred, then deprecated, then gone (RFC 4862 5.5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.stack.interface import AddressState, Interface, InterfaceAddress
from catenet.stack.timers import Timer

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["Lifetimes"]


class Lifetimes:
    """Ends what has had its time, whether a router or a server gave it."""

    def __init__(self, stack: Stack, interface: Interface) -> None:
        self._stack = stack
        self._interface = interface
        self._timer: Timer | None = None

    def change(self, entry: InterfaceAddress, preferred_until: float, valid_until: float) -> None:
        """Give an address other lifetimes, absolute times in seconds."""
        entry.preferred_until, entry.valid_until = preferred_until, valid_until
        if entry.state in (AddressState.PREFERRED, AddressState.DEPRECATED):
            self._set(entry, AddressState.PREFERRED if preferred_until > self._stack.now else AddressState.DEPRECATED)
        self.schedule()

    def schedule(self) -> None:
        """Have what ends first ended in time."""
        if self._timer is not None:
            self._timer.cancel()
        now = self._stack.now
        ends = [entry.valid_until for entry in self._interface.addresses]
        ends += [entry.preferred_until for entry in self._interface.addresses if entry.preferred_until > now]
        earliest = min(ends, default=float("inf"))
        if earliest < float("inf"):
            self._timer = self._stack.timers.call_at(max(earliest, now), self._expire)

    def _expire(self) -> None:
        now = self._stack.now
        for entry in list(self._interface.addresses):
            if entry.valid_until <= now:
                if self._interface.port is not None:
                    self._interface.port.forget(entry.address)
                self._stack.address_table.remove(self._interface.index, entry.address)
            elif entry.preferred_until <= now and entry.state is AddressState.PREFERRED:
                self._set(entry, AddressState.DEPRECATED)
        self.schedule()

    def _set(self, entry: InterfaceAddress, state: AddressState) -> None:
        if entry.state is not state:
            self._stack.address_table.set_state(self._interface.index, entry.address, state)
