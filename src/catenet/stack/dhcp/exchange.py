"""What clients and servers of DHCP share: a socket on one interface, and datagrams taken out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from catenet.stack.datagram.datagram import Datagram
from catenet.stack.datagram.udp import UdpEndpoint
from catenet.stack.endpoint import Name, StackError
from catenet.stack.timers import Timer

if TYPE_CHECKING:
    from catenet.stack.stack import Stack

__all__ = ["DhcpClientBase", "DhcpSocket"]


class DhcpSocket:
    """A UDP endpoint of one interface that hands its datagrams to `take`, never from within a call of its own."""

    def __init__(self, stack: Stack, index: int, name: Name, take: Callable[[Datagram], None]) -> None:
        """Raises StackError when the port is taken."""
        self._stack = stack
        self._take = take
        version = 4 if len(name.address) == 4 else 6
        self.endpoint: UdpEndpoint = stack.udp_endpoint(version)
        self.endpoint.set_option("SO_BROADCAST" if version == 4 else "IPV6_V6ONLY", 1)
        self.endpoint.set_option("SO_REUSEADDR", 1)
        self.endpoint.set_option("SO_BINDTODEVICE", index)
        self.endpoint.bind(name)
        self.endpoint.on_ready = lambda: stack.call_soon(self._receive)

    def _receive(self) -> None:
        while not self.endpoint.closed:
            try:
                datagram = self.endpoint.receive_from()
            except StackError:
                continue
            if datagram is None:
                return
            self._take(datagram)

    def send(self, data: bytes, name: Name) -> None:
        """Send; what cannot be sent is counted, and sent again by who waits for the answer."""
        try:
            self.endpoint.send_to(data, name)
        except StackError:
            self._stack.counters[self.endpoint.version].ip.OutDiscards += 1

    def close(self) -> None:
        """Give the port back."""
        self.endpoint.close()


class DhcpClientBase:
    """A client has one socket and one timer."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._socket: DhcpSocket | None = None
        self._timer: Timer | None = None

    def _set_timer(self, deadline: float, callback: Callable[[], None]) -> None:
        self._stop_timer()
        if deadline < float("inf"):
            self._timer = self._stack.timers.call_at(deadline, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        self._stop_timer()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
