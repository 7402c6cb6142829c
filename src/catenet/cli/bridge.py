"""catenet bridge: two TUN devices, and between them a link that delays, loses, reorders and damages, in real time.

Where the kernel has no netem, this is one: put the devices into two network namespaces, and whatever runs in them meets
the faults. Both directions have the same properties and chances of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import secrets
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError
from catenet.cli.arguments import address, check_writable, duration, seed
from catenet.link.properties import LinkProperties
from catenet.link.shaped import make_link
from catenet.link.simulated import SimulatedLink
from catenet.printable import complain, say
from catenet.wire.address import parse_interface
from catenet.world.scenario.units import PARSERS, link_properties

if TYPE_CHECKING:
    from catenet.link.device import Device
    from catenet.link.tun import TunDevice
    from catenet.world.engine.hub import Hub
    from catenet.world.engine.realtime import RealClock

__all__ = ["End", "register", "run"]

HELP = {
    "latency": "time under way, as 20ms",
    "jitter": "spread of the latency, as 5ms",
    "loss": "packets lost, as 1%%",
    "duplicate": "packets that arrive twice",
    "reorder": "packets held back",
    "corrupt": "packets with a bit inverted",
    "rate": "bits per second, as 10Mbit",
    "queue": "packets, bytes or discipline, as 100, 64KiB, fq_codel",
    "mtu": "largest packet in bytes",
}


@dataclass(frozen=True, slots=True)
class End:
    """One end: the device's name, the namespace it is in (None: this one), the addresses of the kernel there."""

    device: str
    namespace: str | None
    addresses: list[str]


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "Without namespaces of their own the kernel would take the fast path from one address to the other:\n\n"
        "  ip netns add a; ip netns add b\n"
        "  catenet bridge left@a right@b --left 10.9.0.1/24 --right 10.9.0.2/24 --loss 2% --latency 20ms &\n"
        "  ip netns exec a ping 10.9.0.2"
    )
    for side in ("left", "right"):
        parser.add_argument(side, metavar=f"{side.upper()}[@NAMESPACE]", help=f"the {side} TUN device")
        parser.add_argument(
            f"--{side}",
            dest=f"{side}_addresses",
            action="append",
            default=[],
            type=address,
            metavar="CIDR",
            help=f"address of the kernel at the {side} end; may be repeated",
        )
    for key in PARSERS:
        parser.add_argument(f"--{key}", metavar=key.upper(), help=HELP[key])
    parser.add_argument("--seed", type=seed, help="what chance is drawn from (default: another each time)")
    parser.add_argument("--for", dest="duration", type=duration, metavar="DURATION", help="stop after so long")
    parser.add_argument("--pcap", type=Path, metavar="FILE", help="write every packet to FILE (pcapng)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE (- for standard output)")


def run(args: argparse.Namespace) -> int:
    """Carry packets until the time is over or a signal comes, then show the figures; return 0."""
    from catenet.world.engine.hub import Hub
    from catenet.world.engine.realtime import RealClock

    properties = _properties(args)
    for option in ("pcap", "json"):
        if (path := getattr(args, option)) is not None:
            check_writable(f"--{option}", path)
    chance = args.seed if args.seed is not None else secrets.randbits(64)
    ends = [_end(args.left, args.left_addresses), _end(args.right, args.right_addresses)]
    links = [make_link(properties, random.Random(f"{chance}/{name}")) for name in ("rightward", "leftward")]
    clock = RealClock()
    hub = Hub(clock)
    with contextlib.ExitStack() as stack:
        stack.callback(clock.close)
        devices = [stack.enter_context(_open(end, properties.mtu)) for end in ends]
        shown = [device.name for device in devices]
        wrapped = stack.enter_context(_captured(devices, args.pcap))
        _join(hub, clock, devices, wrapped, links)
        say(f"bridge between {shown[0]} and {shown[1]} is up")
        _run_until_told(hub, args.duration)
    _report(shown, links, args.json)
    return 0


def _join(
    hub: Hub, clock: RealClock, devices: list[TunDevice], wrapped: list[Device], links: list[SimulatedLink]
) -> None:
    """Connect each device to the other by a link."""
    for near, far, link in ((0, 1, links[0]), (1, 0, links[1])):

        def carry(packet: bytes | memoryview, now: float, link: SimulatedLink = link, far: int = far) -> None:
            link.offer(bytes(packet), now, hub.call_at, wrapped[far].send)

        wrapped[near].attach(carry)
        clock.add_reader(devices[near].fileno(), devices[near].read)


def _run_until_told(hub: Hub, seconds: float | None) -> None:
    """Run for so long, or until SIGINT or SIGTERM."""
    told = False

    def tell(number: int, frame: object) -> None:
        nonlocal told
        told = True
        hub.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    end = float("inf") if seconds is None else hub.now + seconds
    # A signal shows at the end of a wait, so waits are short.
    while not told and hub.now < end:
        hub.run(min(hub.now + 0.5, end))


def _properties(args: argparse.Namespace) -> LinkProperties:
    settings = {key: getattr(args, key) for key in PARSERS if getattr(args, key) is not None}
    try:
        return link_properties({key: _number(value) for key, value in settings.items()})
    except ValueError as error:
        raise UsageError(f"--{error}") from None


def _number(text: str) -> object:
    """A bare number as a number, because texts need units."""
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _end(text: str, addresses: list[str]) -> End:
    device, _, namespace = text.partition("@")
    if not device or len(device) > 15:
        raise UsageError(f"a device name has 1 to 15 characters, not {device!r}")
    return End(device, namespace or None, addresses)


@contextlib.contextmanager
def _open(end: End, mtu: int) -> Iterator[TunDevice]:
    from catenet.link.namespace import network_namespace
    from catenet.link.tun import DeviceUnavailable, TunDevice

    try:
        with network_namespace(end.namespace):
            device = TunDevice(end.device, mtu)
            device.configure([parse_interface(text) for text in end.addresses])
    except DeviceUnavailable as error:
        raise UsageError(str(error.strerror)) from None
    except FileNotFoundError:
        raise UsageError(
            f"no network namespace {end.namespace!r}; make it with: ip netns add {end.namespace}"
        ) from None
    except PermissionError:
        raise UsageError(f"to enter the namespace {end.namespace!r} takes root (CAP_SYS_ADMIN)") from None
    try:
        yield device
    finally:
        device.close()


@contextlib.contextmanager
def _captured(devices: list[TunDevice], path: Path | None) -> Iterator[list[Device]]:
    if path is None:
        yield list(devices)
        return
    from catenet.link.capture import Capture
    from catenet.wire.pcapng import PcapngWriter

    with path.open("wb", buffering=1 << 20) as file:
        writer = PcapngWriter(file)
        yield [Capture(device, writer, device.name) for device in devices]


def _report(names: list[str], links: list[SimulatedLink], path: Path | None) -> None:
    figures = []
    for source, target, link in ((names[0], names[1], links[0]), (names[1], names[0], links[1])):
        counters = link.counters
        row: dict[str, Any] = {"from": source, "to": target}
        for name in ("packets", "bytes", "duplicated", "reordered", "corrupted", "marked"):
            row[name] = getattr(counters, name)
        figures.append(row | {"dropped": counters.dropped, "drops": counters.drops})
    if path is not None and str(path) != "-":
        path.write_text(json.dumps(figures, indent=2) + "\n")
    elif path is not None:
        print(json.dumps(figures, indent=2))
    for row in figures:
        shown = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("from", "to", "drops"))
        complain(f"{row['from']} to {row['to']}: {shown}")
