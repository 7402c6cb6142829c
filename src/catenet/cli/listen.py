"""catenet listen: whoever connects, to standard input and output, a program or another server."""

from __future__ import annotations

import argparse
import asyncio

from catenet.cli import UsageError, logs
from catenet.cli.arguments import duration
from catenet.cli.local_tls import certify, explain
from catenet.cli.relay.listening import Listening, listen
from catenet.cli.relay.options import add_arguments, check, relay_options
from catenet.cli.relay.other import Other, add_client_tls
from catenet.cli.relay.session import Sessions
from catenet.cli.relay.urls import RELAYED, check_two_words, is_datagram, is_group, parse
from catenet.cli.serving import add_tls_arguments
from catenet.net.target import Target
from catenet.net.workers import NoLoop, run_loop, stop_event
from catenet.printable import complain

__all__ = ["register", "run"]

UDP_IDLE = 60.0
"""Seconds after which a silent peer of datagrams is forgotten, without `--idle`."""
EPILOG = """\
URLs as of catenet connect; port 0 is any. Once it listens, standard error has a line with the true ports.

  catenet listen tcp://:7000                             one client, to standard input and output
  catenet listen -k tcp://127.0.0.1:7 --exec cat         an echo server
  catenet listen -k tls://:8443 tcp://localhost:80 --tls TLS in front of a server that has none
  catenet listen -k tcp://:5433 tcp://db:5432 --latency 100ms±20ms --rate 1Mbit --reset-after 1MB
  catenet listen -k tcp://:8080 tcp://server:80 --record session.jsonl
  catenet listen -k session+tls://:2200 tcp://localhost:22 --tls
  catenet listen -k udp://:5353 udp://192.0.2.53:53 --hex

status: 0 done, also by SIGTERM or the first Ctrl-C; 1 the one connection broke; 2 wrong usage
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("urls", nargs="+", metavar="URL", help="where to listen; a second one: where to connect then")
    parser.add_argument("-k", "--keep", action="store_true", help="go on listening after the first connection")
    parser.add_argument("--max-connections", type=int, metavar="N", help="at once; others wait")
    parser.add_argument(
        "--grace", type=duration, default=2.0, metavar="TIME", help="for what goes on when a signal ends it (2s)"
    )
    add_tls_arguments(parser.add_argument_group("TLS as a server (tls://)"))
    add_client_tls(parser, "client-")
    add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Listen, relay, and return the exit status."""
    if len(args.urls) > 2:
        raise UsageError(f"{args.urls[2]}: a relay has two ends")
    check_two_words(args.urls, "listen")
    check(args, len(args.urls))
    if args.max_connections is not None and args.max_connections < 1:
        raise UsageError(f"--max-connections {args.max_connections}: at least 1")
    target = parse(args.urls[0], listening=True)
    _prepare_tls(args, target)
    once = not args.keep or is_group(target)
    other = Other(args, args.urls[1] if len(args.urls) == 2 else None, "<", once=once)
    idle = UDP_IDLE if is_datagram(target) and not once else None
    sessions = Sessions(args, "listen", args.urls, other, relay_options(args, url_is_left=True, idle=idle))
    try:
        # One standard input and output: one connection at a time has it.
        most = None if once else 1 if other.is_shared else args.max_connections
        return run_loop(_listen(args, target, sessions, once=once, most=most), args.loop)
    except NoLoop as error:
        raise UsageError(f"--loop {error}") from None
    finally:
        sessions.finish()


def _prepare_tls(args: argparse.Namespace, target: Target) -> None:
    args.authority = None
    if not target.tls:
        for name in ("tls", "cert", "key", "client_ca", "crl"):
            if getattr(args, name):
                raise UsageError(f"--{name.replace('_', '-')}: {target.scheme}: has no TLS; listen on tls://")
    elif args.tls:
        certify(args, [target], RELAYED)
    elif not args.cert:
        raise UsageError(f"{args.urls[0]}: needs --tls, or --cert (and --key)")


async def _listen(args: argparse.Namespace, target: Target, sessions: Sessions, *, once: bool, most: int | None) -> int:
    stop = stop_event(sessions.kill)
    logs.configure(args, several=False)
    listening = await listen(args, target, sessions, once=once, most=most)
    sessions.set_urls(listening.urls)
    if not args.quiet:
        complain(f"serving relay on {', '.join(listening.urls)}")
        if args.authority is not None:
            explain(args.authority)
    stopping = asyncio.ensure_future(stop.wait())
    over = asyncio.ensure_future(listening.over.wait())
    try:
        await asyncio.wait([stopping, over], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        over.cancel()
        await _end(listening, args.grace)
    return 0 if stop.is_set() else sessions.status


async def _end(listening: Listening, grace: float) -> None:
    listening.stop()
    if listening.tasks:
        await asyncio.wait(listening.tasks, timeout=grace)
    for task in listening.tasks:
        task.cancel()
    if listening.tasks:
        await asyncio.wait(listening.tasks)
