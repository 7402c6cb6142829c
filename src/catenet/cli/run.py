"""catenet run: a world, or one program, on the network of one's choice."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from signal import raise_signal
from typing import TYPE_CHECKING, Any, Final

from catenet.cli import UsageError
from catenet.cli.arguments import address, check_writable, duration, seed, stall
from catenet.cli.console import Console
from catenet.cli.running.folder import state_folder
from catenet.cli.running.guards import close_process, watching
from catenet.cli.running.isolating import has_hosts_apart, isolated, workers
from catenet.cli.running.options import add_options, check_options
from catenet.cli.running.results import write_json
from catenet.cli.running.temporary import give_temporary
from catenet.wire.address import format_address, parse_address, parse_interface
from catenet.world.engine.layout import settle, settled
from catenet.world.scenario.console_scripts import find_console_script
from catenet.world.scenario.units import nearest

if TYPE_CHECKING:
    from catenet.world.engine.stalling import Watch
    from catenet.world.observe.report import Report
    from catenet.world.scenario.worldfile import WorldPlan
    from catenet.world.world import World

__all__ = ["register", "run"]

NETWORKS: Final = ("sim", "kernel", "tun")
INTERRUPTED: Final = 130
SOLE_HOST: Final = "host"
"""Name of the host on which a single program runs."""

EPILOG: Final = """\
TARGET is a world file (world.toml), a script (script.py) or a module (-m MODULE); ARGS are the program's.
networks:
  sim     a simulated internet in this process, in virtual time, the same for the same seed
  kernel  the operating system's sockets; one program
  tun     one program on Catenet's own stack behind a TUN device, in real time; needs CAP_NET_ADMIN.
          With --tap or --bridge it is a station on an Ethernet, and asks for its addresses if it is given none.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.set_defaults(parser=parser, own_process=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.usage = "catenet run [OPTIONS] TARGET [ARGS...]"
    parser.add_argument("--net", choices=NETWORKS, default="sim", help="the network to run on (default: sim)")
    parser.add_argument(
        "--seed", type=seed, help="what chance is drawn from, for --net sim (default: the world's, or 0)"
    )
    parser.add_argument(
        "--isolation",
        choices=("process", "shared"),
        help="with --net sim: an operating-system process for each host that runs programs (default), or one for all",
    )
    parser.add_argument(
        "--workers", type=workers, metavar="N", help="how many isolated hosts compute at a time (default: processors)"
    )
    parser.add_argument("--for", dest="duration", type=duration, metavar="DURATION", help="stop after so long, as 30s")
    parser.add_argument(
        "--stall",
        type=stall,
        metavar="DURATION",
        help="for --net sim: end when a program stands still for so long of real time (default: the world's, or 60s)",
    )
    parser.add_argument("--pcap", type=Path, metavar="FILE", help="write every packet to FILE (pcapng)")
    parser.add_argument(
        "--pcap-host", metavar="NAME", help="with --pcap: only what this host sends and receives, each packet once"
    )
    parser.add_argument("--plot", type=Path, metavar="DIR", help="draw each TCP connection's course, a picture each")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the run's figures to FILE (-: to standard output, and all else to standard error)",
    )
    parser.add_argument(
        "--address",
        action="append",
        default=[],
        type=address,
        metavar="CIDR",
        help="the host's address; may be repeated",
    )
    parser.add_argument(
        "--device", default="catenet%d", metavar="NAME", help="name of the TUN device (default: catenet0)"
    )
    parser.add_argument("--tap", action="store_true", help="with --net tun: a TAP device (Ethernet)")
    parser.add_argument("--bridge", metavar="NAME", help="with --net tun: a TAP device in this bridge of the kernel")
    parser.add_argument(
        "--gateway", action="append", default=[], metavar="ADDRESS", help="the way to other networks; may be repeated"
    )
    parser.add_argument(
        "--dns",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="with --net tun: a name server to ask; up to three (default: those that DHCP and routers tell of)",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="say what of the interpreter is the same in every run"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="show what programs print, and errors: no events, tables, progress"
    )
    parser.add_argument(
        "--timestamps", action="store_true", help="put the time of the day in the world in front of each line"
    )
    parser.add_argument(
        "--tables", action="store_true", help="show the tables at the end also where standard output is no terminal"
    )
    parser.add_argument("--mtu", type=int, help="largest packet in bytes, for a single program (default: 1500)")
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="[HOST.]NAME=VALUE",
        help="set something in the stack of all hosts or of one, as tcp_mtu_probing=1 (see catenet settings)",
    )
    parser.add_argument("--uvloop", action="store_true", help="with --net kernel: run asyncio on uvloop")
    parser.add_argument(
        "--grpc", action="store_true", help="let programs that import grpc have Catenet's own (catenet.rpc.grpc)"
    )
    add_options(parser)
    command = parser.add_argument("command", nargs=argparse.PARSER, metavar="TARGET [ARGS...]")

    class Module(argparse.Action):
        """`-m MODULE ARGS...` is a whole command, so TARGET is no longer asked for."""

        def __call__(self, parser: object, namespace: argparse.Namespace, values: Any, option: object = None) -> None:
            if not values:
                raise argparse.ArgumentError(self, "expected a module")
            namespace.command = ["-m", *values]
            command.required = False

    parser.add_argument(
        "-m", action=Module, nargs=argparse.REMAINDER, metavar="MODULE [ARGS...]", dest=argparse.SUPPRESS
    )


def prepare(args: argparse.Namespace) -> None:
    """Fix the hash seed and the memory layout of a simulation; note that the process is its own, to be closed."""
    args.own_process = True
    if args.net == "sim":
        settle()


def run(args: argparse.Namespace) -> int:
    """Run the target and return the exit status."""
    command: list[str] = args.command
    is_world = command[0].endswith(".toml")
    if is_world and len(command) > 1:
        # Options behind the world are ours, not a program's.
        args.command = None
        args = args.parser.parse_args([*command[1:], command[0]], args)
        if len(args.command) > 1:
            raise UsageError(f"a world takes no arguments, but got {args.command[0]!r}")
    if not is_world and command[0] != "-m":
        _check_script(command[0])
    check_options(args)
    if args.seeds is not None or args.check:
        from catenet.cli.running.several import run_several

        return run_several(args)
    if args.grpc:
        _stand_in_for_grpc()
    if args.net == "kernel":
        if args.settings:
            raise UsageError("--set is for Catenet's own stack; the kernel's settings are sysctl's")
        from catenet.cli.kernel import run_on_kernel

        if not is_world and not Path(command[0]).exists():
            command[0] = find_console_script(command[0]) or command[0]
        return run_on_kernel(args, is_world)
    if args.uvloop:
        raise UsageError("--uvloop goes with --net kernel; Catenet's own sockets need asyncio's own loop")
    if args.net != "sim" and (args.isolation or args.workers):
        raise UsageError("--isolation and --workers go with --net sim")
    for option in ("tap", "bridge", "gateway", "dns"):
        if args.net != "tun" and getattr(args, option):
            raise UsageError(f"--{option} goes with --net tun")
    if args.net == "tun":
        return _run_on_tun(args, is_world)
    return _run_simulated(args, is_world)


def _stand_in_for_grpc() -> None:
    """Let `import grpc` give our own, which runs on all three networks; C's runs on the kernel only."""
    try:
        from catenet.rpc.grpc.standin import install
    except ModuleNotFoundError as error:
        raise UsageError(f"--grpc needs the package {error.name}: pip install 'catenet[rpc]'") from None
    install()


def _run_simulated(args: argparse.Namespace, is_world: bool) -> int:
    from catenet.world.world import World  # makes a socket when it is loaded: before the process is closed

    plan = _plan(args, is_world)
    console = _console(args, [host.name for host in plan.hosts])
    if args.verbose:
        console.complain(settled().describe())
    plan = isolated(args, plan)
    with state_folder(args.command, plan.seed) as folder:
        notices = None
        if args.own_process:
            give_temporary(plan, folder)
            notices = close_process(console, args.verbose, children=has_hosts_apart(plan))
        world = World(
            plan.seed,
            output=console.line,
            directory=plan.folder,
            quiet=plan.quiet,
            isolation=plan.isolation,
            workers=args.workers,
        )
        console.now, console.epoch = (lambda: world.now), world.epoch
        if notices is not None:
            notices.listen(world)
        return _run_plan(args, world, console, plan, folder)


def _run_plan(args: argparse.Namespace, world: World, console: Console, plan: WorldPlan, folder: Path) -> int:
    """Build what a plan says and run it."""
    from catenet.world.engine.runner import build_world, give_folders
    from catenet.world.scenario.tables import WorldFileError

    try:
        build_world(plan, world, console.announce)
    except WorldFileError as error:
        raise UsageError(str(error)) from None
    except ValueError as error:
        raise UsageError(f"{args.command[0]}: {error}") from None
    with watching(args, world, console, plan, folder) as watch:
        give_folders(world, folder, plan)
        return _run(args, world, console, plan.duration, watch)


def _plan(args: argparse.Namespace, is_world: bool) -> WorldPlan:
    """Return the plan to run: the world file's with the changes of the command line, or one for a single program."""
    from catenet.world.scenario.worldfile import HostPlan, WorldFileError, WorldPlan, override, read_world, set_on_hosts

    if not is_world:
        from catenet.link.properties import LinkProperties

        link = LinkProperties() if args.mtu is None else _valid(lambda: LinkProperties(mtu=args.mtu))
        # A program by itself is what the run is for: it is waited for also while it listens.
        host = HostPlan(SOLE_HOST, (_command_line(args.command),), tuple(args.address), service=False, link=link)
        plan = WorldPlan(Path(), hosts=(host,), files="machine")
    else:
        if args.address or args.mtu is not None:
            raise UsageError("--address and --mtu go with a single program; a world file has its own")
        try:
            plan = read_world(Path(args.command[0]))
        except WorldFileError as error:
            raise UsageError(str(error)) from None
        except OSError as error:
            raise UsageError(f"{args.command[0]}: {(error.strerror or str(error)).lower()}") from None
    changes = _settings(args, [host.name for host in plan.hosts])
    changed = set_on_hosts(plan, changes)
    return override(changed, seed=args.seed, duration=args.duration, isolation=args.isolation, stall=args.stall)


def _console(args: argparse.Namespace, hosts: Sequence[str]) -> Console:
    return Console(
        hosts,
        Path(args.command[0]).name,
        aside=str(args.json) == "-",
        quiet=args.quiet,
        timestamps=args.timestamps,
        tables=args.tables,
    )


def _settings(args: argparse.Namespace, hosts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the settings of `--set` by host."""
    from catenet.world.scenario.settings import parse_assignments

    try:
        return parse_assignments(args.settings, hosts)
    except ValueError as error:
        raise UsageError(f"--set: {error}") from None


def _run_on_tun(args: argparse.Namespace, is_world: bool) -> int:
    from catenet.link.tun import DeviceUnavailable
    from catenet.world.engine.tun_driver import Attachment, open_host

    if is_world:
        raise UsageError("a world runs on --net sim; --net tun runs one program")
    _check_attachment(args)
    attachment = Attachment(
        addresses=args.address,
        device=args.device,
        mtu=args.mtu or 1500,
        ethernet=args.tap or args.bridge is not None,
        bridge=args.bridge,
        gateways=args.gateway,
        name_servers=args.dns,
    )
    settings = {name: value for part in _settings(args, [SOLE_HOST]).values() for name, value in part.items()}
    console = _console(args, [SOLE_HOST])
    chance = secrets.randbits(64) if args.seed is None else args.seed
    try:
        with open_host(SOLE_HOST, attachment, seed=chance, output=console.line, settings=settings) as (world, host):
            console.now, console.epoch = (lambda: world.now), world.epoch
            if not args.address:
                found = ", ".join(format_address(address) for address in world.addresses(SOLE_HOST))
                console.announce(f"address {found}" if found else "nobody has given this host an address yet")
                if host.name_service is not None and not args.dns:
                    servers = ", ".join(format_address(server.address) for server in host.name_service.servers)
                    console.announce(f"names from {servers}")
            host.run(args.command, daemon=False)
            return _run(args, world, console, args.duration)
    except DeviceUnavailable as error:
        raise UsageError(str(error.strerror or error)) from None


def _check_attachment(args: argparse.Namespace) -> None:
    """Check that the options for TUN and TAP go together."""
    from catenet.wire.dns.resolv_conf import MOST_SERVERS
    from catenet.world.engine.tun_driver import kernel_end

    ethernet = args.tap or args.bridge is not None
    if not args.address and not ethernet:
        raise UsageError("--net tun needs the host's address, as --address 10.9.0.2/24")
    if args.gateway and not ethernet:
        raise UsageError("--gateway goes with --tap or --bridge; behind a TUN device the kernel is the way")
    for text in args.address if args.bridge is None else ():
        _valid(partial(kernel_end, *parse_interface(text)))
    for text in args.gateway:
        _valid(partial(parse_address, text))
    for text in args.dns:
        _valid(partial(parse_address, text))
    if len(args.dns) > MOST_SERVERS:
        raise UsageError(f"a host asks up to {MOST_SERVERS} name servers (resolv.conf(5)), not {len(args.dns)}")


def _run(
    args: argparse.Namespace, world: World, console: Console, until: float | None, watch: Watch | None = None
) -> int:
    """Run a world that is ready, show and write what it was, and return the exit status."""
    from catenet.world.engine.runner import Runner

    if args.json is not None:
        check_writable("--json", args.json)
    with _capturing(args.pcap, args.pcap_host, world), _answering(world) as answer, _plotting(args.plot, world):

        def progress(now: float) -> None:
            if watch is not None:
                watch.get_on(time.perf_counter())
            console.progress(now)
            answer()

        # Whoever stops a service sends SIGTERM: it ends in order too, also where a shell without job control has
        # made us ignore SIGINT.
        signal.signal(signal.SIGTERM, _as_interrupt)
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        runner = Runner(world, wall=time.perf_counter, progress=progress)
        if watch is not None:
            watch.get_on(time.perf_counter())
        report = runner.run(until)
    console.finish()
    _show(report, console)
    if args.json is not None:
        write_json(report.to_json(), args.json)
    if watch is not None and watch.stalled:
        return 1
    if runner.interrupted:
        return INTERRUPTED
    return 0 if report.ended_well and not world.isolation.lost_programs else 1


def _as_interrupt(number: int, frame: object) -> None:
    # The interpreter's own function, bound before any world: it may be a program's turn, whose signals are not ours.
    raise_signal(signal.SIGINT)


@contextlib.contextmanager
def _capturing(path: Path | None, host: str | None, world: World) -> Iterator[None]:
    """Write the packets of the world, or of one host, to a file."""
    if path is None:
        if host is not None:
            raise UsageError("--pcap-host goes with --pcap")
        yield
        return
    if host is not None and host not in world.hosts:
        raise UsageError(f"--pcap-host: unknown host {host!r}{nearest(host, world.hosts)}")
    from catenet.world.observe.capture import capture_world

    try:
        file = path.open("wb", buffering=1 << 20)
    except OSError as error:
        raise UsageError(f"--pcap {path}: {(error.strerror or str(error)).lower()}") from None
    with file:
        capture_world(world, file, host)
        yield


@contextlib.contextmanager
def _plotting(folder: Path | None, world: World) -> Iterator[None]:
    """Draw how every connection went."""
    if folder is None:
        yield
        return
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib: pip install 'catenet[plot]'")
    from catenet.world.observe.plot import plot_connections
    from catenet.world.observe.series import TimeSeries

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--plot {folder}: {(error.strerror or str(error)).lower()}") from None
    series = TimeSeries(world)
    yield
    try:
        plot_connections(world, series, folder)
    except OSError as error:
        raise UsageError(f"--plot {folder}: {(error.strerror or str(error)).lower()}") from None


@contextlib.contextmanager
def _answering(world: World) -> Iterator[Callable[[], None]]:
    """Answer `catenet ss` from other processes, whenever the function is called; where no socket can be had, not."""
    from catenet.world.observe.control import Control
    from catenet.world.observe.sockets import list_sockets

    try:
        control = Control({"sockets": lambda: [row.to_json() for row in list_sockets(world)]})
    except OSError:
        yield lambda: None
        return
    try:
        yield control.serve
    finally:
        control.close()


def _show(report: Report, console: Console) -> None:
    from catenet.world.observe.report import tables

    if report.deadlock is not None:
        console.complain(f"deadlock: {report.deadlock}")
    console.tables(partial(tables, report))
    ended = report.programs_ended
    last = "" if ended is None or report.deadlock is not None else f" (the last program ended at {ended:.3f} s)"
    console.say(
        f"{report.virtual_seconds:.3f} s of the world's time{last} in {report.wall_seconds:.2f} s; "
        f"{report.packets_sent:,} packets, {report.packets_dropped:,} dropped, "
        f"{report.retransmitted_segments:,} segments retransmitted; seed {report.seed}"
    )


def _check_script(name: str) -> None:
    path = Path(name)
    if not path.exists() and find_console_script(name) is None:
        beside = path.parent if path.parent.is_dir() else Path()
        found = [str(other) for other in sorted(beside.iterdir()) if other.suffix in (".py", ".toml")]
        raise UsageError(f"no program or world {name!r}{nearest(name, found)}")
    if path.is_dir() and not (path / "__main__.py").is_file():
        raise SystemExit(f"{sys.executable}: can't find '__main__' module in {str(path.absolute())!r}")


def _command_line(words: Sequence[str]) -> str:
    import shlex

    return shlex.join(words)


def _valid(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ValueError as error:
        raise UsageError(str(error)) from None
