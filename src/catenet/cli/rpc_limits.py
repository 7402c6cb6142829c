"""catenet rpc serve: the options that say what callers may cost."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catenet.rpc import ServerOptions

__all__ = ["add_limits", "server_options"]


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options, in a group of their own."""
    group = parser.add_argument_group("limits", "What callers may cost, in each worker.")
    size: dict[str, Any] = {"type": _whole, "metavar": "BYTES"}
    group.add_argument("--max-receive", **size, default=4 << 20, help="largest request message (default 4 MiB)")
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
        help="of a request that has begun, after as long (default 240; 0: any)",
    )  # fmt: skip
    group.add_argument(
        "--max-queued", **size, default=64 << 20,
        help="what one connection may have waiting for its peer to read (default 64 MiB)",
    )  # fmt: skip
    group.add_argument(
        "--max-queued-total", **size, default=64 << 20,
        help="the same for all: then streams wait, and the worst connections are closed (default 64 MiB)",
    )  # fmt: skip


def server_options(args: argparse.Namespace) -> ServerOptions:
    """Return what the options amount to."""
    from catenet.http.limits import Limits
    from catenet.rpc import ServerOptions

    return ServerOptions(
        max_connections=args.max_connections,
        handshake_timeout=args.handshake_timeout,
        min_rate=args.min_rate,
        max_queued_total=args.max_queued_total,
        limits=Limits(max_queued=args.max_queued),
        max_receive=args.max_receive,
    )


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
