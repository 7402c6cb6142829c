"""The machine under test: one stack, one process on its POSIX surface, virtual time.

Time stands still while packets are handled and system calls are made, and jumps from one deadline to the next. The
process runs in greenlets, one per system call: a call that blocks comes back to the runner and goes on when what it
waits for happens. There is no world, no link and no other host: what the stack sends is kept for the script to look at.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from greenlet import getcurrent, greenlet

from catenet.posix.file import File, Watcher
from catenet.posix.kernel import Kernel
from catenet.posix.runtime import Owner, Runtime
from catenet.stack.interface import Interface
from catenet.stack.settings import Settings
from catenet.stack.stack import Stack
from catenet.testing.packetdrill.clock import START
from catenet.testing.packetdrill.config import Config
from catenet.testing.packetdrill.wire import Sent, dissect
from catenet.wire.address import Prefix

__all__ = ["Machine", "Running"]

_SEED: Final = 20130626
_SETTLE_LIMIT: Final = 10_000
_TICK: Final = 1e-6
"""Seconds that an event takes. RACK tells by their times which of two segments left first (RFC 8985 section 3.2)."""


class Running(Watcher):
    """A system call under way; `result` is set when it is `done`, `finished` is the time (microseconds) of that."""

    __slots__ = ("_machine", "_task", "_timeout_at", "_woken", "done", "finished", "result")

    def __init__(self, machine: Machine, call: Callable[[], object]) -> None:
        self._machine = machine
        self.done = False
        self.finished = 0
        self.result: object = None
        self._woken = True
        self._timeout_at: float | None = None
        self._task = greenlet(lambda: self._body(call))

    def _body(self, call: Callable[[], object]) -> None:
        self.result = call()
        self.done = True
        self.finished = self._machine.usecs

    def file_ready(self, file: File) -> bool:
        """Note that a file that the call waits on may show something new (`posix` calls this)."""
        self._woken = True
        return True

    def park(self, files: Iterable[File], timeout: float | None) -> bool:
        """Wait, in the call's own greenlet; False when the time was up."""
        watched = tuple(files)
        self._woken = False
        self._timeout_at = None if timeout is None else self._machine.now + max(timeout, 0.0)
        for file in watched:
            file.watchers[self] = None
        parent = getcurrent().parent
        assert parent is not None
        try:
            parent.switch()
        finally:
            for file in watched:
                file.watchers.pop(self, None)
        self._timeout_at = None
        return self._woken

    @property
    def deadline(self) -> float | None:
        """Time at which it stops waiting."""
        return self._timeout_at

    def step(self) -> bool:
        """Go on if it can; whether it did."""
        if self.done:
            return False
        if not self._woken and (self._timeout_at is None or self._timeout_at > self._machine.now):
            return False
        self._machine.current = self
        try:
            self._task.parent = getcurrent()
            self._task.switch()
        finally:
            self._machine.current = None
        return True


class _MachineRuntime(Runtime):
    """The runtime of the machine's system calls: calls wait in greenlets of their own, at the script's time."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def park(self, call: str, files: Sequence[File], timeout: float | None) -> bool:
        """Wait in the greenlet of the call that runs."""
        running = self._machine.current
        assert running is not None, call
        return running.park(files, timeout)

    def now(self) -> float:
        """The machine's time."""
        return self._machine.now

    def owner(self) -> Owner:
        """The machine is its only process."""
        return self._machine


class Machine:
    """Stack, kernel and clock. `outbox` holds what the stack has sent and the script has not asked for yet."""

    def __init__(self, config: Config) -> None:
        assert config.local_ip is not None
        assert config.remote_ip is not None
        assert config.mtu is not None
        self.pid = 0
        """Of its one process."""
        self.now = START
        self.outbox: deque[Sent] = deque()
        self.current: Running | None = None
        self._running: list[Running] = []
        self._fired_in_place = 0
        # Scripts state what Linux does, with the limits of its newer versions.
        self.settings = Settings(tcp_hystart=1, tcp_truesize=1, rmem_max=1 << 22, wmem_max=1 << 22)
        self.stack = Stack(random.Random(_SEED), self.settings)
        prefix = 16 if len(config.local_ip) == 4 else 48
        self.stack.tcp.merged_size = config.mss
        self.interface: Interface = self.stack.add_interface("tun0", config.mtu, ((config.local_ip, prefix),))
        self.route = self.stack.add_route(Prefix.of(bytes(len(config.local_ip)), 0), self.interface.index)
        self.kernel = Kernel(self.stack, "packetdrill", None, _MachineRuntime(self))
        self._settle()

    @property
    def usecs(self) -> int:
        """Microseconds since the script began."""
        return round((self.now - START) * 1e6)

    @staticmethod
    def usecs_of(when: float) -> int:
        """A time of the stack as microseconds of the script, rounded up."""
        return math.ceil((when - START) * 1e6 - 1e-3)

    def start(self, call: Callable[[], object]) -> Running:
        """Make a system call, as far as it goes at this instant."""
        running = Running(self, call)
        self._running.append(running)
        self._settle()
        return running

    def inject(self, packet: bytes) -> None:
        """Hand a packet to the stack."""
        self.stack.receive(packet, self.now, self.interface.index)
        self._settle()

    def advance(self, usecs: int) -> None:
        """Let time pass until a time of the script, doing whatever falls due."""
        until = START + usecs / 1e6
        while (deadline := self.next_deadline()) is not None and deadline <= until:
            self._fire(deadline)
        self._move_to(until)

    def advance_to_packet(self, usecs: int) -> bool:
        """As `advance`, but stop at the first packet sent; whether there was one."""
        until = START + usecs / 1e6
        while not self.outbox:
            deadline = self.next_deadline()
            if deadline is None or deadline > until:
                self._move_to(until)
                return False
            self._fire(deadline)
        return True

    def fire_next(self, usecs: int) -> bool:
        """Go to the next deadline and do what falls due; False when there is none until a time of the script."""
        deadline = self.next_deadline()
        if deadline is None or self.usecs_of(deadline) > usecs:
            return False
        self._fire(deadline)
        return True

    def next_deadline(self) -> float | None:
        """Return the time of the next deadline; None for never."""
        deadlines = [running.deadline for running in self._running]
        deadlines.append(self.stack.next_deadline())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _move_to(self, until: float) -> None:
        """Let the clock go on, and the stack know it: calls down carry no time."""
        if until > self.now:
            self.now = until
            self._settle()

    def tick(self) -> None:
        """Let the least time pass: what happens later in a script happens later, also where the script says +0."""
        self.now += _TICK

    def _fire(self, deadline: float) -> None:
        self._fired_in_place = 0 if deadline > self.now else self._fired_in_place + 1
        if self._fired_in_place > _SETTLE_LIMIT:
            raise AssertionError("the stack has a deadline that handle_timeout does not clear")
        self.now = max(self.now, deadline)
        self.stack.handle_timeout(self.now)
        self._settle()

    def _settle(self) -> None:
        """Send what is to be sent, let calls go on that can, until nothing moves at this instant."""
        for _ in range(_SETTLE_LIMIT):
            packets = self.stack.transmit(self.now)
            if not self.stack.tcp.held:
                self.outbox.extend(dissect(packet, self.now) for _, packet in packets)
            if packets and self._running:
                self.now += _TICK  # a process that waits goes on after the packet that woke it is dealt with
            moved = [running for running in self._running if running.step()]
            self._running = [running for running in self._running if not running.done]
            if not packets and not moved:
                return
        raise AssertionError("the stack never comes to rest")
