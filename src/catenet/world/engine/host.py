"""One host of a world: its stack, its kernel, its programs, and the event that transmits its packets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.kernel import Kernel
from catenet.stack.datagram.send_buffer import PASSED
from catenet.world.engine.configuring import Asking, NetworkService, renumber_host
from catenet.world.engine.host_runtime import HostRuntime
from catenet.world.engine.hostclock import HostClock
from catenet.world.engine.hub import NEVER, Event
from catenet.world.engine.process import KILLED, Process
from catenet.world.engine.program import Command
from catenet.world.engine.programs import Programs, Restart
from catenet.world.engine.wallclock import SECOND, WallClock
from catenet.world.engine.wiring import FIRST_INTERFACE, configure, make_stack
from catenet.world.network.links import Port
from catenet.world.scenario.clocks import ClockProperties

if TYPE_CHECKING:
    from catenet.link.device import Device
    from catenet.posix.names import Names
    from catenet.stack.datagram.send_buffer import SendBuffer
    from catenet.stack.endpoint import Address
    from catenet.stack.ip.output import Output
    from catenet.stack.ip.routes import RouteEntry
    from catenet.stack.nat.config import NatConfig
    from catenet.stack.settings import Settings
    from catenet.stack.stack import Stack
    from catenet.wire.dns.stub import StubConfig
    from catenet.world.world import World

__all__ = ["Host"]

FIRST_PID: Final = 1000
ASLEEP: Final = "asleep"
"""Cause of drops: packets to a host that sleeps, and those that it had not sent."""


class _Pump(Event):
    """The event in which a host's stack, of one boot, transmits its packets."""

    __slots__ = ("_stack", "host")

    def __init__(self, host: Host, stack: Stack) -> None:
        self.host = host
        self._stack = stack

    def happen(self, when: float, sequence: float) -> None:
        """Transmit."""
        self.host.pump(self._stack)


class Host:
    """One host. Made by `World.host`."""

    def __init__(self, world: World, name: str, settings: Settings | None = None, forwarding: bool = False) -> None:
        self.world = world
        self.hub = world.hub
        self.name = name
        self.settings = settings
        self.forwarding = forwarding
        self.nat: NatConfig | None = None
        """What it translates between its networks, if it does."""
        self.devices: list[tuple[Device, tuple[tuple[Address, int], ...]]] = []
        """Devices in the order of attachment, each with its (address, prefix length)s; an index is the position + 2."""
        self.routes: list[RouteEntry] = []
        """Routes that the topology has given to the stack."""
        self.processes: list[Process] = []
        """Every process that has ever run here, in order of start."""
        self.environment: dict[str, str] = {}
        """Environment variables of the programs here, in addition to the interpreter's own."""
        self.machines_temporary: str | None = None
        """What `tempfile.tempdir` is outside of programs, if the host has a temporary directory of its own."""
        self.names: Names = world.names
        """The table of names, which stands before name servers."""
        self.name_service: StubConfig | None = None
        """Name servers that are asked for what is not in the table, and how; None: nobody is."""
        self.files: dict[str, Callable[[], str]] = {}
        """Text of files that programs here see in place of the machine's, by absolute path."""
        self.isolation: str | None = None
        """Whether it gets a process of its own ("process", "shared"); None: as the world says."""
        self.elsewhere = False
        """Whether another process runs it: here are its place in the network and what was told of it."""
        self.owns_process = False
        """Whether nothing but this host lives in its process of the machine, so that its programs may fork."""
        self.up = True
        self.wall = WallClock(world.hub, world.epoch)
        """The clock of the day. It goes on through a crash, as one with a battery does."""
        self.clock: HostClock | None = None
        """What its clocks are driven by; None: by the world's time."""
        self.boots = 0
        """How often it has booted."""
        self.file_numbers: tuple[int, dict[tuple[int, int], int]] = 0, {}
        """Its boot, and its number of each file by the machine's device and number (`patches/file_numbers.py`)."""
        self.slept = 0.0
        """Seconds that it has slept."""
        self.frozen = False
        self.asking: Asking | None = None
        """How it gets addresses from its networks; None: it has its own."""
        self.serving: list[tuple[NetworkService, int]] = []
        """Networks to which it gives addresses, and its ports on them."""
        self._paused_at: float | None = None
        self.past_counters: dict[str, int] = {}
        self.past_drops: dict[str, int] = {}
        self.programs = Programs(self)
        self.services = self.programs.services
        """What `run` was told of, by number."""
        self.next_pid = FIRST_PID
        self._pumping = False
        self._timer_at = NEVER
        self.stack: Stack
        self.kernel: Kernel
        self._pump: _Pump
        self._boot()

    # Programs.

    def run(
        self,
        command: Command,
        *args: Any,
        start: float = 0.0,
        restart: Restart = "never",
        daemon: bool | None = None,
        stdin: str | bytes = "",
        directory: str | Path | None = None,
    ) -> None:
        """Run a program on this host from virtual time `start` (seconds) on.

        `command` is a callable, sync or async, called with `args`; or a command line such as `"server.py --port 80"` or
        `"-m http.server 80"`, to whose end `args` are added; scripts are sought in `directory` (default: the world's).
        `restart` says whether it is run again when it ends ("always") or fails ("on-failure"). A `daemon` is a service:
        the world may end while it runs; with False it may not, and with None it is one if it is restarted always or has
        a socket that others can come to. `stdin` is what it can read. Raises ValueError for what cannot be run.
        """
        self.world.isolation.check_change()
        where = self.world.directory if directory is None else Path(directory)
        self.programs.add(command, args, where, start=start, restart=restart, daemon=daemon, stdin=stdin)

    def new_pid(self) -> int:
        """The number of the next process."""
        pid, self.next_pid = self.next_pid, self.next_pid + 1
        return pid

    def adopt(self, process: Process) -> None:
        """Note that a process has begun to run here."""
        self.processes.append(process)
        self.world.process_started(process)

    def process_ended(self, process: Process) -> None:
        """Restart a process that has ended if that is its policy (called by the hub)."""
        self.programs.restart_ended(process)
        self.world.process_ended(process)

    def use_name_servers(self, config: StubConfig | None, names: Names | None = None) -> None:
        """Ask these name servers for names from now on, and keep this table (the world's, if none is given)."""
        self.name_service = config
        self.names = self.world.names if names is None else names
        self.kernel.names = self.names
        self.kernel.use_name_servers(config)

    # Faults.

    def crash(self) -> None:
        """Crash the host: its processes are killed, and its connections are lost without a packet to their peers."""
        if not self.up:
            return
        self.thaw()
        self.resume()
        self.world.isolation.crashed(self)
        self.up = False
        self.has_addresses()
        self.kernel.discard()
        self.world.topology.power_off(self.name)
        for process in self.processes:
            if process.alive:
                process.crashed = True
                process.kill(KILLED)

    def restart(self) -> None:
        """Boot again, after a crash if the host runs: a new stack, and every program of `run` from its beginning."""
        self.crash()
        self.up = True
        if self.clock is not None:
            self.clock.restarted()
        self._boot()
        self.start_again()
        self.world.isolation.booted(self)

    def start_again(self) -> None:
        """Start every program of `run` from its beginning, now."""
        self.programs.start_again()

    def go_elsewhere(self) -> None:
        """Be run by another process from now on: whatever is done to the stack here, it sends nothing."""
        self.elsewhere = self._pumping = True

    def come_here(self) -> None:
        """Be run in this process from now on, after a boot elsewhere."""
        self.elsewhere = self._pumping = False
        if self.asking is not None:
            self.asking.come_here()
        self._dirty()
        self.start_again()

    # Sleep.

    @property
    def is_held(self) -> bool:
        """Whether none of its programs runs, as it sleeps or is frozen."""
        return self.frozen or self._paused_at is not None

    def pause(self) -> None:
        """Suspend the host, as a laptop whose lid is closed: programs and timers stand still, packets to it are lost.

        Its monotonic clocks do not count the time, CLOCK_BOOTTIME and the clock of the day do (Linux).
        """
        self.world.isolation.check_change()
        if not self.up or self._paused_at is not None:
            return
        self._paused_at = self.hub.now
        self.world.topology.power_off(self.name, ASLEEP)
        for process in self.processes:
            if process.alive:
                process.hold(True)

    def resume(self) -> None:
        """Wake the host up after `pause`: everything goes on where it was, late."""
        if self._paused_at is None:
            return
        begun, self._paused_at = self._paused_at, None
        slept = self.hub.now - begun
        self.slept += slept
        self.stack.slept = self.slept
        for process in self.processes:
            if process.alive:
                process.release(slept)
                if self.frozen:
                    process.hold(False)
        if self.clock is not None:
            self.clock.woken(begun)
        self.programs.go_on()
        if self.asking is not None:
            self.asking.link_changed()
        self._timer_at = NEVER
        self._dirty()

    def freeze(self) -> None:
        """Stop the programs as SIGSTOP does: clocks and timers go on, and the kernel acknowledges what comes."""
        self.world.isolation.check_change()
        if not self.up or self.frozen:
            return
        self.frozen = True
        for process in self.processes:
            if process.alive:
                process.hold(False)

    def thaw(self) -> None:
        """Let the programs go on after `freeze`."""
        if not self.frozen:
            return
        self.frozen = False
        if self._paused_at is None:
            for process in self.processes:
                if process.alive:
                    process.release(0.0)
            self.programs.go_on()

    # Addresses.

    def renumber(self, addresses: Iterable[str] = (), *, keep: float = 0.0) -> None:
        """Give the host other addresses of its networks: these, or the next free ones of each version that it has.

        Of the versions that change, the old ones are deprecated for `keep` seconds (RFC 4862 5.5.4), and then gone.
        What that means for sockets is what it means on Linux. An address that DHCP gave is not renewed, and another
        given instead. Raises ValueError, as `World.host` does.
        """
        self.world.isolation.check_change()
        renumber_host(self, tuple(addresses), keep)

    def configure_itself(self) -> None:
        """Begin to give addresses and to ask for them, after a boot."""
        for service, index in self.serving:
            service.install(self, index)
        if self.asking is not None:
            self.programs.waits = True
            self.asking.begin()

    def has_addresses(self) -> None:
        """Start the programs that waited for addresses: they are there, or do not come."""
        self.programs.waits = False
        self.programs.go_on()

    # The pump.

    def attach(self, device: Device, addresses: tuple[tuple[Address, int], ...]) -> int:
        """Connect a device (a port of a simulated network, a TUN device) and return its interface index."""
        self.devices.append((device, addresses))
        index = len(self.devices) - 1 + FIRST_INTERFACE

        def receive(packet: bytes | memoryview, now: float) -> None:
            if self._paused_at is not None:
                self.past_drops[ASLEEP] = self.past_drops.get(ASLEEP, 0) + 1
            elif self.up:
                self.stack.receive(packet, now - self.slept, index)

        device.attach(receive)
        return index

    def update_stack(self) -> None:
        """Tell the stack the time before something is asked of it outside of packets and timers."""
        if self.up and self._paused_at is None:
            self.stack.handle_timeout(self.hub.now - self.slept)

    def reconfigure(self) -> None:
        """Configure the stack with devices, addresses and routes that it does not have yet."""
        configure(self, self.stack)

    def _boot(self) -> None:
        self.boots += 1
        if self.boots > 1:
            self.past_counters = self.counters()
            self.past_drops = self.drops()
        first = self.kernel.next_descriptor if self.boots > 1 else None
        self.stack = make_stack(self, self.world.generator(f"stack/{self.name}/{self.boots}"))
        self.stack.slept = self.slept
        self.routes.clear()
        configure(self, self.stack)
        self._pump = _Pump(self, self.stack)
        self.stack.on_dirty = self._dirty
        self.kernel = Kernel(
            self.stack,
            self.name,
            self.names,
            HostRuntime(self),
            epoch=self.wall.epoch,
            real_time=self.hub.is_real,
            first_descriptor=first,
            name_service=self.name_service,
        )
        self._timer_at = NEVER
        self._pumping = self.elsewhere  # then it never does
        self.configure_itself()
        self._dirty()

    def counters(self) -> dict[str, int]:
        """Return the stack's counters, earlier boots included: IP by the names of `nstat`, TCP by its own."""
        if self.elsewhere:
            self.world.isolation.take_figures()
            return dict(self.past_counters)
        counts = dict(self.past_counters)
        for name, count in {**self.stack.snapshot(), **self.stack.tcp.counters.snapshot()}.items():
            counts[name] = counts.get(name, 0) + count
        return counts

    def drops(self) -> dict[str, int]:
        """Return the number of packets that the host's NAT has dropped, by cause, earlier boots included."""
        if self.elsewhere:
            self.world.isolation.take_figures()
            return dict(self.past_drops)
        counts = dict(self.past_drops)
        nat = self.stack.nat
        for cause, count in ({} if nat is None else nat.drops).items():
            counts[cause] = counts.get(cause, 0) + count
        return counts

    def use_nat(self, config: NatConfig | None) -> None:
        """Translate addresses from now on, and after every restart, which forgets all mappings."""
        self.past_drops = self.drops()
        self.nat = config
        self.stack.use_nat(config)

    def set_wall_clock(self, nanoseconds: int) -> None:
        """Set the clock of the day, in nanoseconds since 1970; OSError(EINVAL) for what Linux refuses."""
        self.wall.step(nanoseconds)
        self.kernel.epoch = self.wall.epoch

    def use_clock(self, properties: ClockProperties | None = None) -> HostClock:
        """The clock that drives the host's clocks; the first call makes it, right if nothing is said of it.

        The clock of the day then steps by its offset. Raises OSError(EINVAL) for an offset that leads before 1970.
        """
        self.world.isolation.check_change()
        if self.clock is None:
            chosen = properties or ClockProperties()
            ahead = round(chosen.offset * SECOND)
            self.wall.check(self.wall.nanoseconds() + ahead)
            self.clock = HostClock(self.hub, chosen, self.world.generator(f"clock/{self.name}"), self.slept)
            self.wall.follow(self.clock, ahead)
            self.kernel.epoch = self.wall.epoch
            for process in self.processes:
                process.follow(self.clock)
        return self.clock

    def step_clock(self, seconds: float) -> None:
        """Step the clock of the day, as its root would by `time.clock_settime`."""
        self.world.isolation.check_change()
        self.set_wall_clock(self.wall.nanoseconds() + round(seconds * SECOND))

    def change_clock(self, drift: float | None = None, wander: float | None = None) -> None:
        """Let the host's clock drift otherwise from now on; ValueError as `ClockProperties`."""
        self.world.isolation.check_change()
        self.use_clock().change(drift, wander)

    def _dirty(self) -> None:
        if not self._pumping:
            self._pumping = True
            self.hub.soon.append(self._pump)

    def pump(self, stack: Stack) -> None:
        """Transmit the stack's packets, and set the timer for its next deadline."""
        if stack is not self.stack:
            return  # of the boot before, by whose end it was due
        self._pumping = False
        if not self.up or self._paused_at is not None:
            return
        self._transmit(stack, self.hub.now)
        self._arm(stack)

    def _transmit(self, stack: Stack, now: float) -> None:
        devices = self.devices
        packets = stack.transmit(now - self.slept)
        if stack.output.charges:
            self._transmit_charged(packets, stack.output, now)
            return
        for interface, packet in packets:
            device = devices[interface - FIRST_INTERFACE][0]
            if isinstance(device, Port):  # known, so that compiled code calls it directly
                device.send(packet, now)
            else:
                device.send(packet, now)

    def _transmit_charged(self, packets: list[tuple[int, bytes]], output: Output, now: float) -> None:
        """Send packets of which some are charged to sockets until they have left the host."""
        devices = self.devices
        following, last = 0, len(packets)
        crowded: list[SendBuffer] | None = None
        charges, output.charges = output.charges, []
        for place, buffer, size in charges:
            while following < place:
                interface, packet = packets[following]
                devices[interface - FIRST_INTERFACE][0].send(packet, now)
                following += 1
            interface, packet = packets[place]
            following = place + 1
            port = devices[interface - FIRST_INTERFACE][0]
            assert isinstance(port, Port)  # no other has a queue
            port.queued = PASSED
            port.send(packet, now)
            buffer.held.append((port.queued, size))
            if buffer.charged >= buffer.half:
                crowded = [buffer] if crowded is None else [*crowded, buffer]
        while following < last:
            interface, packet = packets[following]
            devices[interface - FIRST_INTERFACE][0].send(packet, now)
            following += 1
        for buffer in dict.fromkeys(crowded or ()):
            buffer.settle(now - self.slept)

    def transmit_now(self) -> None:
        """Transmit what a program has just sent before it goes on, for a peer in real time."""
        hub = self.hub
        hub.now = hub.time()
        if self.up:
            self._transmit(self.stack, hub.now)

    def _arm(self, stack: Stack) -> None:
        """Set the timer for the stack's next deadline; a timer that is too early does no harm."""
        if self._timer_at <= stack.earliest_deadline():
            return
        deadline = stack.next_deadline()
        if deadline is not None and deadline < self._timer_at:
            self._timer_at = deadline
            self.hub.call_at(deadline + self.slept, self._time_out, stack, deadline)

    def _time_out(self, stack: Stack, deadline: float) -> None:
        if stack is not self.stack or not self.up or self._timer_at != deadline or self._paused_at is not None:
            return
        self._timer_at = NEVER
        # After a sleep the sum is rounded: a moment too early, the timer would not run, and be set again for ever.
        stack.handle_timeout(max(self.hub.now - self.slept, deadline))
        self.pump(stack)

    def __repr__(self) -> str:
        return f"<Host {self.name}>"
