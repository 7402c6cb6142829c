"""The options that `catenet connect` and `catenet listen` have in common, and what they make."""

from __future__ import annotations

import argparse
import math
import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from catenet.cli import UsageError, logs
from catenet.cli.arguments import duration
from catenet.net.faults import After, Faults
from catenet.net.flows import DATAGRAM_SIZE
from catenet.net.relay import Filter, RelayOptions
from catenet.net.sockopts import SocketOptions
from catenet.net.target import parse_target
from catenet.world.scenario.units import parse_duration, parse_rate, parse_size

__all__ = ["add_arguments", "check", "relay_options", "socket_options"]

T = TypeVar("T")

MOST_DATAGRAM: Final = 65_507
FOREVER: Final = ("forever", "inf")
_LATENCY = re.compile(r"(.+?)\s*(?:±|\+-|\+/-)\s*(.+)")


def _read(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_after(text: str) -> After:
    """A point of a stream: `1MB`, or `10s` since it began."""
    try:
        return After(bytes=parse_size(text))
    except ValueError:
        pass
    try:
        return After(seconds=parse_duration(text))
    except ValueError:
        raise ValueError(f"{text!r} is neither bytes nor a time; write for example '1MB' or '10s'") from None


def parse_stall(text: str) -> tuple[After, float]:
    """Where a stream stalls and how long: `1MB:5s`, `10s:forever`."""
    after, colon, length = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} does not say for how long; write for example '1MB:5s' or '10s:forever'")
    return parse_after(after), math.inf if length in FOREVER else parse_duration(length)


def parse_latency(text: str) -> tuple[float, float]:
    """Latency and jitter: `100ms`, `100ms±20ms`, `100ms+-20ms`."""
    found = _LATENCY.fullmatch(text)
    if found is None:
        return parse_duration(text), 0.0
    return parse_duration(found[1]), parse_duration(found[2])


def _bounded(text: str, least: int, most: int) -> int:
    number = int(text, 0)
    if not least <= number <= most:
        raise ValueError(f"{text} is not from {least} to {most}")
    return number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add them all."""
    ends = parser.add_argument_group("the other end, instead of a second URL")
    ends.add_argument("--exec", metavar="CMD", help="a program, its input and output (words as a shell has them)")
    ends.add_argument("--shell", metavar="CMD", help="the same, run by /bin/sh")
    ends.add_argument("--replay", type=Path, metavar="FILE", help="what was recorded of this side, in the same order")
    ends.add_argument("--timed", action="store_true", help="replay with the times of the recording")
    ends.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of standard output")
    watch = parser.add_argument_group("watching")
    watch.add_argument("--hex", action="store_true", help="show what passes, with times, on standard error")
    watch.add_argument("--record", type=Path, metavar="FILE", help="keep what passes, as lines of JSON")
    watch.add_argument("--json", action="store_true", help="print one object at the end")
    _add_stream(parser)
    _add_faults(parser)
    _add_session(parser)
    _add_socket(parser)
    parser.add_argument("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="event loop")
    logs.add_arguments(parser)


def _add_stream(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the stream")
    group.add_argument("--crlf", action="store_true", help="newlines are CR LF at the URL, LF at the other end")
    group.add_argument("--idle", type=duration, metavar="TIME", help="end when nothing has come for so long")
    group.add_argument(
        "--linger",
        type=duration,
        metavar="TIME",
        help="end when one direction has ended and the other is silent",
    )
    group.add_argument("--timeout", type=duration, default=20.0, metavar="TIME", help="for connecting (20s)")
    size = partial(_read, partial(_bounded, least=1, most=MOST_DATAGRAM))
    group.add_argument(
        "--datagram",
        type=size,
        default=DATAGRAM_SIZE,
        metavar="BYTES",
        help=f"of a stream ({DATAGRAM_SIZE})",
    )


def _add_faults(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("faults of the link between both ends, in each direction; AFTER is 1MB or 10s")
    group.add_argument(
        "--latency", type=partial(_read, parse_latency), metavar="TIME[±TIME]", help="how long it takes: 100ms±20ms"
    )
    group.add_argument("--rate", type=partial(_read, parse_rate), metavar="RATE", help="how fast it is: 1Mbit, 100kB/s")
    group.add_argument(
        "--stall",
        type=partial(_read, parse_stall),
        metavar="AFTER:TIME",
        help="then nothing comes for so long",
    )
    group.add_argument("--cut", type=partial(_read, parse_after), metavar="AFTER", help="then the stream ends")
    group.add_argument(
        "--reset-after", type=partial(_read, parse_after), metavar="AFTER", help="then the connection is reset"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the jitter (0)")


def _add_session(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sessions (session+tcp://, session+tls://)")
    group.add_argument("--expiry", type=duration, metavar="TIME", help="how long one waits for a connection (24h)")
    size = partial(_read, parse_size)
    group.add_argument("--buffer", type=size, metavar="SIZE", help="bytes that may be unacknowledged (8 MiB)")
    group.add_argument(
        "--heartbeat",
        type=duration,
        metavar="TIME",
        help="silence after which the peer is asked (what the path bears)",
    )
    group.add_argument("--session-key", type=Path, metavar="FILE", help="a key that both ends have, 16 bytes or more")


def _add_socket(parser: argparse.ArgumentParser) -> None:
    size = partial(_read, parse_size)
    group = parser.add_argument_group("sockets")
    version = group.add_mutually_exclusive_group()
    version.add_argument("-4", dest="family", action="store_const", const=socket.AF_INET, default=0, help="IPv4 only")
    version.add_argument("-6", dest="family", action="store_const", const=socket.AF_INET6, help="IPv6 only")
    group.add_argument("--bind", metavar="ADDRESS[:PORT]", help="where what we connect comes from")
    group.add_argument(
        "--nodelay", action=argparse.BooleanOptionalAction, default=True, help="send small pieces at once (default)"
    )
    group.add_argument("--keepalive", type=duration, metavar="TIME", help="ask after so much silence")
    group.add_argument("--rcvbuf", type=size, metavar="SIZE", help="receive buffer")
    group.add_argument("--sndbuf", type=size, metavar="SIZE", help="send buffer")
    octet = partial(_read, partial(_bounded, least=0, most=255))
    group.add_argument("--tos", type=octet, metavar="N", help="DSCP and ECN of what is sent (0x10)")
    group.add_argument("--ttl", type=octet, metavar="N", help="hops that it may take; to a group 1 without this")
    group.add_argument("--reuseport", action="store_true", help="share the port with others")
    group.add_argument("--interface", metavar="NAME", help="of a multicast group")
    group.add_argument(
        "--loopback", action=argparse.BooleanOptionalAction, default=True, help="others here get what goes to the group"
    )


def check(args: argparse.Namespace, urls: int) -> None:
    """Refuse what does not go together. Raises `UsageError`."""
    others = [f"--{name}" for name in ("exec", "shell", "replay") if getattr(args, name) is not None]
    if urls == 2:
        others.insert(0, "a second URL")
    if len(others) > 1:
        raise UsageError(f"{others[0]} and {others[1]}: there is one other end")
    if args.timed and args.replay is None:
        raise UsageError("--timed goes with --replay")
    if args.output is not None and others:
        raise UsageError(f"--output and {others[0]}: there is no standard output to be replaced")


def socket_options(args: argparse.Namespace) -> SocketOptions:
    """What the options say of sockets. Raises `UsageError`."""
    host, port = "", 0
    if args.bind:
        text = args.bind if args.bind.rpartition(":")[2].isdigit() and args.bind[-1] != "]" else f"{args.bind}:0"
        if args.bind.count(":") > 1 and "[" not in args.bind:
            text = f"[{args.bind}]:0"
        try:
            bound = parse_target(text, listening=True)
        except ValueError as error:
            raise UsageError(f"--bind: {error}") from None
        host, port = bound.host, bound.port
    return SocketOptions(
        nodelay=args.nodelay,
        keepalive=args.keepalive,
        rcvbuf=args.rcvbuf,
        sndbuf=args.sndbuf,
        tos=args.tos,
        ttl=args.ttl,
        reuse_port=args.reuseport,
        host=host,
        port=port,
        family=args.family or 0,
    )


def relay_options(args: argparse.Namespace, *, url_is_left: bool, idle: float | None = None) -> RelayOptions:
    """What the options say of the relay; `url_is_left`: the first URL is the left end. `idle`: unless they say."""
    latency, jitter = args.latency or (0.0, 0.0)
    faults = Faults(latency, jitter, args.rate, args.stall, args.cut, args.reset_after)
    outwards: Callable[[], Filter] | None = None
    inwards: Callable[[], Filter] | None = None
    if args.crlf:
        from catenet.codec.text import Newlines  # with it come codecs that take time to load

        outwards, inwards = partial(Newlines, b"\r\n"), partial(Newlines, b"\n")
    return RelayOptions(
        idle=idle if args.idle is None else args.idle,
        linger=args.linger,
        faults=faults,
        seed=args.seed,
        to_right=inwards if url_is_left else outwards,
        to_left=outwards if url_is_left else inwards,
    )
