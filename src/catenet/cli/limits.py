"""The options of servers that say what strangers may cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catenet.http.server.server import HttpLimits
    from catenet.rpc import ServerOptions

__all__ = ["add_http_limits", "add_rpc_limits", "http_limits", "rpc_options"]


def add_rpc_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server of calls, in a group of their own."""
    group = parser.add_argument_group("limits", "What callers may cost, in each worker.")
    group.add_argument(
        "--max-receive",
        type=_whole,
        metavar="BYTES",
        default=4 << 20,
        help="largest request message (default 4 MiB)",
    )
    _add_common(group)


def add_http_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server of HTTP, in a group of their own."""
    group = parser.add_argument_group("limits", "What clients may cost, in each worker.")
    _add_common(group)
    group.add_argument(
        "--max-idle",
        type=_rate,
        metavar="SECONDS",
        default=75.0,
        help="for a connection on which nothing is going on (default 75; 0: any)",
    )
    group.add_argument(
        "--send-timeout",
        type=_seconds,
        metavar="SECONDS",
        default=60.0,
        help="for a client to take some of a response that waits, then at --min-rate (default 60)",
    )


def _add_common(group: argparse._ArgumentGroup) -> None:
    size: dict[str, Any] = {"type": _whole, "metavar": "BYTES"}
    group.add_argument(
        "--max-connections",
        type=_whole,
        metavar="N",
        help="open at once; others wait (default: what descriptors allow)",
    )
    group.add_argument(
        "--handshake-timeout", type=_seconds, metavar="SECONDS", default=10.0,
        help="from accept to a complete request head, and for later heads from their first byte (default 10)",
    )  # fmt: skip
    group.add_argument(
        "--min-rate", type=_rate, default=240.0, metavar="BYTES/S",
        help="of a request that has begun, after as long, and of a response that waits (default 240; 0: any)",
    )  # fmt: skip
    group.add_argument(
        "--max-queued", **size, default=64 << 20,
        help="what one connection may have waiting for its peer to read (default 64 MiB)",
    )  # fmt: skip
    group.add_argument(
        "--max-queued-total", **size, default=64 << 20,
        help="the same for all: then streams wait, and the worst connections are closed (default 64 MiB)",
    )  # fmt: skip


def rpc_options(args: argparse.Namespace) -> ServerOptions:
    """Return what the options of `add_rpc_limits` amount to."""
    from catenet.http.limits import Limits
    from catenet.rpc import ServerOptions

    limits = Limits(max_queued=args.max_queued)
    return ServerOptions(**_common(args), limits=limits, max_receive=args.max_receive)


def http_limits(args: argparse.Namespace) -> HttpLimits:
    """Return what the options of `add_http_limits` amount to."""
    from catenet.http.limits import Limits
    from catenet.http.server.server import HttpLimits

    limits = Limits(max_queued=args.max_queued, connect_protocol=True)
    own = {"max_idle": args.max_idle or None, "send_timeout": args.send_timeout}
    return HttpLimits(**_common(args), **own, http=limits)


def _common(args: argparse.Namespace) -> dict[str, Any]:
    names = ("max_connections", "handshake_timeout", "min_rate", "max_queued_total")
    return {name: getattr(args, name) for name in names}


def _whole(text: str) -> int:
    return int(_positive(text, int))


def _seconds(text: str) -> float:
    return _positive(text, float)


def _rate(text: str) -> float:
    return 0.0 if text in ("0", "0.0") else _positive(text, float)


def _positive(text: str, kind: type[int] | type[float]) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = 0
    if not 0 < value < 1 << 62:
        raise argparse.ArgumentTypeError(f"{text!r} is no {'whole ' if kind is int else ''}number above 0")
    return value
