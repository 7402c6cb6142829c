"""The programs of a host that `Host.run` was told of: when each starts, and when it starts again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from catenet.world.engine.children.separate import SeparateProcess
from catenet.world.engine.process import Process
from catenet.world.engine.program import Command, Program, make_program
from catenet.world.patches import install

if TYPE_CHECKING:
    from catenet.world.engine.host import Host

__all__ = ["RESTART_DELAYS", "Programs", "Restart"]

Restart: TypeAlias = Literal["never", "on-failure", "always"]

RESTART_DELAYS: Final[tuple[float, ...]] = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0)
"""Seconds before the first, second, … restart of a program (exponential backoff, as container runtimes have it)."""


class _Service:
    """Arguments of `Host.run`, kept for restarts."""

    __slots__ = ("declared", "program", "restart", "restarts", "stdin")

    def __init__(self, program: Program, restart: Restart, declared: bool | None, stdin: str | bytes) -> None:
        self.program = program
        self.restart = restart
        self.declared = declared
        self.stdin = stdin
        self.restarts = 0


class Programs:
    """Starts the programs of a host. The hub's calls of it are its host's (`owner_of`)."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.services: dict[int, _Service] = {}
        """What is to run, by the order in which it was told of."""
        self.waits = False
        """Whether programs wait for the first addresses of this boot."""
        self._held: list[tuple[_Service, int]] = []
        """Those that were due while none could start, and the boots in which they were."""

    def add(
        self,
        command: Command,
        args: tuple[Any, ...],
        directory: Path | None,
        *,
        start: float,
        restart: Restart,
        daemon: bool | None,
        stdin: str | bytes,
    ) -> None:
        """Schedule one; see `Host.run`."""
        if restart not in ("never", "on-failure", "always"):
            raise ValueError(f"restart must be 'never', 'on-failure' or 'always', not {restart!r}")
        if start < 0:
            raise ValueError(f"start must not be negative, but is {start!r}")
        declared = True if daemon is None and restart == "always" else daemon
        if callable(command):
            install.rebind((command, args))
        service = _Service(make_program(command, args, directory), restart, declared, stdin)
        self.services[len(self.services)] = service
        self._schedule(service, max(0.0, start - self.host.hub.now))

    def start_again(self) -> None:
        """Start every one from its beginning, now."""
        for service in self.services.values():
            self._schedule(service, 0.0)

    def restart_ended(self, process: Process) -> None:
        """Start a program again whose process has ended, if that is its policy."""
        service, host = process.service, self.host
        if not host.up or process.crashed or host.world.stopping or not isinstance(service, _Service):
            return
        if service.restart == "always" or (service.restart == "on-failure" and process.status != 0):
            delay = RESTART_DELAYS[min(service.restarts, len(RESTART_DELAYS) - 1)]
            service.restarts += 1
            self._schedule(service, delay)
            process.replaced = True

    def go_on(self) -> None:
        """Start those that were due while none could, if they can now."""
        if not self.host.is_held and not self.waits and not self.host.elsewhere:
            held, self._held = self._held, []
            for service, boot in held:
                self._start(service, boot)

    def held(self) -> list[bool]:
        """Of those that were due while none could start: whether each is a declared service."""
        return [service.declared is True for service, _ in self._held]

    def _schedule(self, service: _Service, delay: float) -> None:
        host = self.host
        if host.elsewhere:
            return
        host.world.ending.expect(1, service=service.declared is True)
        host.hub.call_later(delay, self._start, service, host.boots)

    def _start(self, service: _Service, boot: int) -> None:
        host = self.host
        if host.is_held or self.waits:
            self._held.append((service, boot))
            return
        if host.up and boot == host.boots:
            self._launch(service)
        host.world.ending.expect(-1, service=service.declared is True)

    def _are_apart(self) -> bool:
        """Whether each program has a process of the machine of its own, beside the one that has the host's kernel."""
        programs = [service.program for service in self.services.values()]
        return self.host.owns_process and len(programs) > 1 and not any(each.is_callable for each in programs)

    def _launch(self, service: _Service) -> None:
        host = self.host
        make = SeparateProcess if self._are_apart() else Process
        process = make(host, service.program, host.new_pid(), declared=service.declared, stdin=service.stdin)
        process.service = service
        host.adopt(process)
