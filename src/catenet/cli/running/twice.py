"""`catenet run --check`: two runs in different surroundings, and the first thing in which they differ.

What the runs have in common is the command line and the seed. The second has other variables in its environment, in
another order, is another process at another time of day, and has one processor. Neither writes bytecode: who compiles
a module has other addresses than who finds it compiled.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Final, NamedTuple

from catenet.cli.arguments import check_writable
from catenet.cli.running.child import Child
from catenet.cli.running.options import command_line
from catenet.cli.running.results import write_json
from catenet.printable import printable, say
from catenet.wire.pcapng import CapturedPacket, read_pcapng

__all__ = ["LineDifference", "PacketDifference", "run_twice"]

DIFFERENT: Final = 3
"""Exit status when two runs are not the same."""

LONGEST: Final = 200
"""Characters of a line that are shown."""


class PacketDifference(NamedTuple):
    """The first packet that is not the same: its number from 1, when it was on a link, and of which host."""

    number: int
    time: float
    host: str

    def describe(self) -> str:
        """One line."""
        return f"first difference: packet {self.number:,} at {self.time:.6f} s, {self.host}"


class LineDifference(NamedTuple):
    """The first line of the output that is not the same, as both runs have it; empty where one has none."""

    number: int
    lines: tuple[str, str]

    def describe(self) -> str:
        """Lines."""
        first, second = (f"  {printable(line)[:LONGEST]}" for line in self.lines)
        return f"first difference in the output: line {self.number:,}\n{first}\n{second}"


def run_twice(args: argparse.Namespace) -> int:
    """Run twice, show the first run, and what differs; return 3 if something does, else the status of the run."""
    if args.json is not None:
        check_writable("--json", args.json)
    out = sys.stderr if str(args.json) == "-" else sys.stdout
    with tempfile.TemporaryDirectory(prefix="catenet-") as folder:
        first = _run(args, Path(folder) / "first", os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, alone=False)
        first.check_usage()
        first.show(aside=out is sys.stderr)
        second = _run(args, Path(folder) / "second", _other_environment(), alone=True)
        figures, others = first.figures(), second.figures()
        packet = None
        if figures.get("trace_sha256") != others.get("trace_sha256"):
            packet = _first_packet(*(Path(folder) / name / "packets" for name in ("first", "second")))
        line = _first_line(first, second)
    same = packet is None and line is None and first.status == second.status
    if args.json is not None:
        difference = {} if packet is None else {"packet": packet.number, "time": packet.time, "host": packet.host}
        if line is not None:
            difference |= {"line": line.number, "lines": line.lines}
        write_json({**figures, "check": {"same": same, "first_difference": difference or None}}, args.json)
    for found in (packet, line):
        if found is not None:
            for text in found.describe().splitlines():
                say(text, file=out)
    if packet is None and line is None and not same:
        say(f"the runs ended with different statuses: {first.status} and {second.status}", file=out)
    if same:
        say(f"two runs, the same packets and lines: trace {figures.get('trace_sha256', 'unknown')}", file=out)
    return first.status if same else DIFFERENT


def _run(args: argparse.Namespace, folder: Path, environment: Mapping[str, str], *, alone: bool) -> Child:
    words = command_line(args, *_seed(args), "--json", str(folder / "figures.json"), "--pcap", str(folder / "packets"))
    child = Child(words, folder, environment, alone=alone)
    try:
        child.wait()
    finally:
        child.stop()
    return child


def _seed(args: argparse.Namespace) -> list[str]:
    return [] if args.seed is None else [f"--seed={args.seed}"]


def _other_environment() -> dict[str, str]:
    """The environment, in another order, with more in it."""
    return {
        "CATENET_CHECK": "x" * 1000,
        **dict(reversed(list(os.environ.items()))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CATENET_CHECK_AGAIN": "",
    }


def _first_packet(first: Path, second: Path) -> PacketDifference | None:
    """The first packet in which two captures differ."""
    packets = (read_pcapng(path.read_bytes()) if path.exists() else () for path in (first, second))
    for number, (one, other) in enumerate(zip_longest(*packets), 1):
        if one is None or other is None or _parts(one) != _parts(other):
            found = min((packet for packet in (one, other) if packet is not None), key=lambda packet: packet.time)
            return PacketDifference(number, found.time, found.interface_name.rpartition("/")[0])
    return None


def _parts(packet: CapturedPacket) -> tuple[float, str, bytes]:
    return packet.time, packet.interface_name, packet.data


def _first_line(first: Child, second: Child) -> LineDifference | None:
    """The first line of output in which two runs differ."""
    for number, (one, other) in enumerate(zip_longest(first.lines(), second.lines()), 1):
        if one != other:
            return LineDifference(number, (one or "", other or ""))
    return None
