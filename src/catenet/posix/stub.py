"""How a host asks its name servers: the stub's machine (`catenet.wire.dns.stub`) on sockets of the host's own stack.

Only the thread that calls waits, in `Runtime.park`, as in any other system call; its sockets go when it is killed.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, ClassVar, Final

from catenet.posix.file import File
from catenet.posix.inet_stream import InetStream
from catenet.posix.sockets import MSG_NOSIGNAL, SocketFile
from catenet.stack.endpoint import Name
from catenet.wire.dns.stub import Answer, Send, Server, StubConfig, StubLookup

if TYPE_CHECKING:
    from catenet.posix.kernel import Kernel

__all__ = ["ask"]

LARGEST: Final = 65_535
ROTATIONS: Final = 16


def ask(kernel: Kernel, call: str, config: StubConfig, name: bytes, absolute: bool, types: tuple[int, ...]) -> Answer:
    """Look a name up by the host's name servers; `call` is the system call that waits, for reports."""
    random = kernel.stack.random
    first = random.randrange(ROTATIONS) if config.rotate else 0
    machine = StubLookup(name, absolute, types, config, lambda: random.getrandbits(16), first, kernel.stub_cache)
    runtime = kernel.runtime
    machine.start(runtime.monotonic())
    exchanges: list[_Exchange] = []
    try:
        while machine.answer is None:
            sends = machine.transmit()
            if sends:  # all that went before has been answered, or given up
                _close(exchanges)
                exchanges = _begin(kernel, machine, sends)
            for exchange in exchanges:
                exchange.proceed(runtime.monotonic())
            _wait(kernel, call, machine, exchanges)
    finally:
        _close(exchanges)
    return machine.answer


def _wait(kernel: Kernel, call: str, machine: StubLookup, exchanges: list[_Exchange]) -> None:
    """Wait for news of the exchanges, or for the machine's deadline."""
    runtime = kernel.runtime
    deadline = machine.next_deadline()
    if deadline is None or machine.has_output():
        return
    files: list[File] = [exchange.file for exchange in exchanges if not exchange.over]
    runtime.park(call, files, max(0.0, deadline - runtime.monotonic()))
    machine.handle_timeout(runtime.monotonic())


def _begin(kernel: Kernel, machine: StubLookup, sends: list[Send]) -> list[_Exchange]:
    """A datagram has a socket of its own (RFC 5452 9.2); what goes by TCP shares a connection (RFC 7766 6.2.1)."""
    if sends[0].tcp:
        return [_Connection(kernel, machine, sends)]
    return [_Datagram(kernel, machine, [send]) for send in sends]


def _close(exchanges: list[_Exchange]) -> None:
    for exchange in exchanges:
        exchange.file.release()


class _Exchange:
    """Queries to one server by one socket."""

    kind: ClassVar[int] = int(socket.SOCK_DGRAM)

    def __init__(self, kernel: Kernel, machine: StubLookup, sends: list[Send]) -> None:
        self.machine = machine
        self.sends = sends
        self.server: Server = sends[0].server
        self.over = False
        """Whether nothing more can come."""
        family = socket.AF_INET if len(self.server.address) == 4 else socket.AF_INET6
        self.file: SocketFile = kernel.socket(family, self.kind)
        self.file.nonblocking = True
        self.file.acquire()
        self.begun = False

    def proceed(self, now: float) -> None:
        """Send what can be sent, and hand what has come to the machine."""
        if self.over:
            return
        try:
            if not self.begun:
                self.begun = True
                self.begin()
            self.read(now)
        except OSError:
            self.fail(now)

    def fail(self, now: float) -> None:
        """Tell the machine that nothing comes of the queries."""
        self.over = True
        for send in self.sends:
            self.machine.fail(send, now)

    def begin(self) -> None:
        """Connect the socket, so that it hears nobody but the server."""
        self.file.connect(Name(self.server.address, self.server.port, self.server.scope))

    def read(self, now: float) -> None:
        """Hand what has come to the machine; OSError when nothing more can come."""
        raise NotImplementedError


class _Datagram(_Exchange):
    """One query by UDP, from a port that the stack draws."""

    def begin(self) -> None:
        """Send the query."""
        super().begin()
        self.file.send(self.sends[0].data, 0)

    def read(self, now: float) -> None:
        """See `_Exchange`."""
        while (data := self.file.receive(LARGEST, 0)) is not None:
            self.machine.receive(data, self.server, now)


class _Connection(_Exchange):
    """Queries by TCP, each with its length before it."""

    kind: ClassVar[int] = int(socket.SOCK_STREAM)

    def __init__(self, kernel: Kernel, machine: StubLookup, sends: list[Send]) -> None:
        super().__init__(kernel, machine, sends)
        self._output = b"".join(len(send.data).to_bytes(2, "big") + send.data for send in sends)
        self._input = b""
        self._connected = False

    def begin(self) -> None:
        """Begin to connect."""
        self._connected = bool(self.file.connect(Name(self.server.address, self.server.port, self.server.scope)))

    def read(self, now: float) -> None:
        """See `_Exchange`."""
        file = self.file
        assert isinstance(file, InetStream)
        if not self._connected:
            self._connected = bool(file.finish_connect())
        while self._connected and self._output:
            count = file.send(self._output, MSG_NOSIGNAL)
            if not count:
                break
            self._output = self._output[count:]
        while self._connected and (data := file.receive(LARGEST, 0)) is not None:
            if not data:
                raise ConnectionError("closed without an answer")
            self._take(data, now)

    def _take(self, data: bytes, now: float) -> None:
        """Hand the messages that are complete to the machine."""
        held = self._input + data
        at = 0
        while len(held) >= at + 2:
            end = at + 2 + int.from_bytes(held[at : at + 2], "big")
            if len(held) < end:
                break
            self.machine.receive(held[at + 2 : end], self.server, now)
            at = end
        self._input = held[at:]
