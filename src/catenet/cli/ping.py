"""catenet ping: whether an address answers, and how long that takes."""

from __future__ import annotations

import argparse
import errno
import json
import math
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Final

from catenet.cli import UsageError
from catenet.cli.arguments import duration
from catenet.cli.reach.arguments import add_target
from catenet.cli.reach.echo import HEADER, Echo, Reply
from catenet.cli.reach.target import Target, path_mtu, resolve
from catenet.printable import complain, say

__all__ = ["Tally", "register", "run"]

EPILOG: Final = """
examples:
  catenet ping -c 3 example.net
  catenet ping -6 -i 200ms fe80::1%eth0
  catenet ping -M -s 1472 10.0.0.1                      does a packet of 1,500 bytes pass?
  catenet run --net tun --address 10.9.0.2/24 -m catenet ping 10.9.0.1

It sends by a ping socket, for which no privilege is needed where net.ipv4.ping_group_range allows it, or else by a raw
one. Status: 1 when nothing has answered, 130 after Ctrl-C, which ends it with its summary.
"""
LARGEST: Final = 65_535 - 20 - HEADER


@dataclass(slots=True)
class Tally:
    """What has come of the requests so far."""

    sent: dict[int, float] = field(default_factory=dict)
    times: dict[int, float] = field(default_factory=dict)
    """Seconds to the first answer, by request."""
    duplicates: int = 0
    errors: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: set[int] = field(default_factory=set)
    """Requests of which an error has told."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; letters are those of `ping`."""
    add_target(parser, EPILOG)
    parser.add_argument("-c", "--count", type=int, metavar="N", help="requests (default: until Ctrl-C)")
    parser.add_argument("-i", "--interval", type=duration, default=1.0, metavar="TIME", help="between requests (1s)")
    parser.add_argument("-s", "--size", type=int, default=56, metavar="BYTES", help="data of a request (56)")
    parser.add_argument("-W", "--timeout", type=duration, default=2.0, metavar="TIME", help="for each answer (2s)")
    parser.add_argument("-t", "--ttl", type=int, metavar="N", help="hops that a request may take: 1 to 255")
    parser.add_argument("-M", "--dont-fragment", action="store_true", help="in one piece or not at all")
    parser.add_argument("--json", action="store_true", help="print JSON, at the end")


def run(args: argparse.Namespace) -> int:
    """Ask, print what comes, and return 0 when something has answered, else 1."""
    _check(args)
    tally = Tally()
    status = 1
    try:
        target = resolve(args.host, args.family or socket.AF_UNSPEC)
        with Echo(target, dont_fragment=args.dont_fragment, hop_limit=args.ttl) as echo:
            begun = time.monotonic()
            if not args.json:
                say(f"ping {target}: {args.size} bytes of data")
            try:
                _ask(echo, args, tally)
                status = 0 if tally.times else 1
            except KeyboardInterrupt:
                status = 130
    except OSError as error:
        complain(f"catenet: {args.host}: {error.strerror or error}")
        return 1
    _summarise(target, args, tally, time.monotonic() - begun)
    return status


def _check(args: argparse.Namespace) -> None:
    if args.count is not None and args.count < 1:
        raise UsageError("--count: 1 or more")
    if not 0 <= args.size <= LARGEST:
        raise UsageError(f"--size: 0 to {LARGEST}")
    if args.ttl is not None and not 1 <= args.ttl <= 255:
        raise UsageError("--ttl: 1 to 255")
    if args.interval <= 0 or args.timeout <= 0:
        raise UsageError("--interval and --timeout: more than 0 s")


def _ask(echo: Echo, args: argparse.Namespace, tally: Tally) -> None:
    """Send at each interval; hear until all have been answered, or the last one for long enough."""
    data = bytes(index & 0xFF for index in range(args.size))
    following = time.monotonic()
    number = 0
    while args.count is None or number < args.count:
        number += 1
        _send(echo, number, data, args, tally)
        following += args.interval
        last = number == args.count
        _hear(echo, time.monotonic() + args.timeout if last else following, args, tally, leave=last)


def _send(echo: Echo, number: int, data: bytes, args: argparse.Namespace, tally: Tally) -> None:
    tally.sent[number] = time.monotonic()
    try:
        tally.sent[number] = echo.send(number, data)
    except OSError as error:
        text = (error.strerror or str(error)).lower()
        if error.errno == errno.EMSGSIZE:
            text += f": the path MTU is {path_mtu(echo.target)}"
        _note_error(number, "", text, args, tally)


def _hear(echo: Echo, until: float, args: argparse.Namespace, tally: Tally, leave: bool) -> None:
    """Take what comes until then; with `leave` not longer than for what is still missing."""
    while not (leave and len(tally.times) + len(tally.failed - tally.times.keys()) >= len(tally.sent)):
        reply = echo.receive(until)
        if reply is None:
            return
        number = _whole_number(reply.number, tally)
        if number is None:
            continue
        if reply.error is not None:
            text = reply.error.text + (f": the path MTU is {reply.error.mtu}" if reply.error.mtu else "")
            _note_error(number, reply.source, text, args, tally)
        else:
            _note_answer(number, reply, args, tally)


def _whole_number(low: int, tally: Tally) -> int | None:
    """The latest request that has these 16 bits."""
    latest = len(tally.sent)
    number = latest - (latest - low) % 65_536
    return number if number > 0 else None


def _note_error(number: int, source: str, text: str, args: argparse.Namespace, tally: Tally) -> None:
    tally.errors += 1
    tally.failed.add(number)
    tally.rows.append({"seq": number, "from": source or None, "error": text})
    if not args.json:
        say(f"{f'from {source}: ' if source else ''}seq={number} {text}")


def _note_answer(number: int, reply: Reply, args: argparse.Namespace, tally: Tally) -> None:
    took = reply.when - tally.sent[number]
    again = number in tally.times
    tally.duplicates += again
    tally.times.setdefault(number, took)
    row = {"seq": number, "from": reply.source, "bytes": reply.size, "ttl": reply.hop_limit, "ms": round(took * 1e3, 3)}
    tally.rows.append({**row, "duplicate": True} if again else row)
    if not args.json:
        line = f"{reply.size} bytes from {reply.source}: seq={number} ttl={reply.hop_limit} time={took * 1e3:.3f} ms"
        say(f"{line} (again)" if again else line)


def _figures(tally: Tally) -> dict[str, float] | None:
    """Round trips in milliseconds; `mdev` is their standard deviation, as ping has it."""
    times = [took * 1e3 for took in tally.times.values()]
    if not times:
        return None
    mean = sum(times) / len(times)
    spread = math.sqrt(max(0.0, sum(took * took for took in times) / len(times) - mean * mean))
    named = {"min": min(times), "avg": mean, "max": max(times), "mdev": spread}
    return {name: round(value, 3) for name, value in named.items()}


def _summarise(target: Target, args: argparse.Namespace, tally: Tally, seconds: float) -> None:
    figures = _figures(tally)
    sent, received = len(tally.sent), len(tally.times)
    if args.json:
        facts = {"target": target.name, "address": target.host, "size": args.size, "sent": sent, "received": received}
        print(
            json.dumps(
                {**facts, "duplicates": tally.duplicates, "errors": tally.errors, "rtt": figures, "rows": tally.rows}
            )
        )
        return
    lost = 100 * (sent - received) / sent if sent else 0.0
    more = f", {tally.duplicates} again" if tally.duplicates else ""
    say(f"{sent} sent, {received} received{more}, {tally.errors} errors, {lost:g}% lost, {seconds:.3f} s")
    if figures is not None:
        say("round trip min/avg/max/mdev = " + "/".join(f"{value:.3f}" for value in figures.values()) + " ms")
