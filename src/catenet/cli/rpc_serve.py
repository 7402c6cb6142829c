"""catenet rpc serve: implementations of services behind listeners."""

from __future__ import annotations

import argparse
import ssl
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from catenet.cli import UsageError, logs
from catenet.cli.rpc_limits import add_limits, server_options
from catenet.cli.rpc_load import implementations, importable
from catenet.net import TlsError, parse_target, server_context
from catenet.net.target import SCHEMES
from catenet.net.workers import BindError, NoLoop, Placement, run_loop, run_workers, stop_event
from catenet.printable import say

if TYPE_CHECKING:
    from catenet.rpc import Listener, Server

__all__ = ["register", "run"]

EPILOG = """\
WHAT is MODULE:NAME, a class that implements a generated service (or an instance, or a function that returns one), and
any .proto files it needs: their messages can then be imported without compiling them beforehand. A class without a
generated base serves the service of its name, or the only one, in the .proto.

  catenet rpc serve hiscore.proto scores:Scores
  catenet rpc serve scores:Scores --listen tcp://0.0.0.0:50051 --listen unix:/run/hiscore.sock --workers 4
  catenet rpc serve scores:Scores --listen tls://0.0.0.0:443 --cert server.pem --key server.key --client-ca ca.pem
"""
LISTEN_SCHEMES = {name: SCHEMES[name] for name in ("tcp", "tls", "unix")}
DEFAULT_LISTEN = "tcp://127.0.0.1:50051"


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("what", nargs="+", metavar="WHAT", help="FILE.proto or MODULE:NAME")
    parser.add_argument("-I", dest="includes", action="append", default=[], metavar="DIR", help="search for imports")
    parser.add_argument(
        "--listen", action="append", metavar="URL", help=f"tcp://, tls:// or unix: (repeat; default {DEFAULT_LISTEN})"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that share the ports")
    parser.add_argument("--reload", action="store_true", help="start again when .py or .proto files here change")
    parser.add_argument("--grace", type=float, default=10.0, metavar="SECONDS", help="for running calls at the end")
    parser.add_argument("--cert", metavar="FILE", help="the server's certificate chain (PEM)")
    parser.add_argument("--key", metavar="FILE", help="its key, if not in the same file")
    parser.add_argument("--client-ca", metavar="FILE", help="ask clients for certificates that these have signed")
    parser.add_argument("--no-reflection", action="store_true", help="do not tell which services there are")
    parser.add_argument("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="event loop")
    add_limits(parser)
    logs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    if args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least 1")
    urls = args.listen or [DEFAULT_LISTEN]
    for url in urls:
        _check_url(url, args)
    try:
        return run_workers(
            partial(_work, args),
            urls,
            workers=args.workers,
            watch=[Path.cwd()] if args.reload else [],
            suffixes=(".py", ".proto"),
            schemes=LISTEN_SCHEMES,
            refused=UsageError,
        )
    except BindError as error:
        raise UsageError(f"--listen {error}") from None


def _work(args: argparse.Namespace, placement: Placement) -> int:
    try:
        return run_loop(_serve(args, placement), args.loop)
    except NoLoop as error:
        raise UsageError(f"--loop {error}") from None


async def _serve(args: argparse.Namespace, placement: Placement) -> int:
    from catenet.rpc import Server
    from catenet.rpc.server.tuning import keep_large_blocks
    from catenet.rpc.services.health import Health

    keep_large_blocks()
    stop = stop_event()
    with importable(args.what, args.includes) as descriptors:
        health = Health()
        services = [*implementations(args.what, descriptors, explain=bool(args.verbose)), health]
        # The program's modules are there now, and have configured logging if they want it otherwise.
        logs.configure(args, several=args.workers > 1)
        try:
            server = Server(services, options=server_options(args))
        except ValueError as error:
            raise UsageError(str(error)) from None
        names = [service.name for service in server.services[:-1]]
        if not args.no_reflection:
            _add_reflection(server)
        for url in placement.urls:
            listener = await _listen(server, url, args, placement)
            if not args.quiet:
                say(f"serving {', '.join(names)} on {listener.url}")
        await stop.wait()
        health.shutdown()
        await server.drain(args.grace)
    return 0


def _add_reflection(server: Server) -> None:
    from catenet.rpc.services.reflection import reflection_services

    for service in reflection_services(list(server.services)):
        server.add(service)


async def _listen(server: Server, url: str, args: argparse.Namespace, placement: Placement) -> Listener:
    try:
        return await server.listen(
            url, tls=_tls(url, args), reuse_port=placement.reuse_port, sock=placement.shared.get(url)
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"--listen {url}: {error}") from None


def _check_url(url: str, args: argparse.Namespace) -> None:
    from catenet.rpc.model.target import parse_target

    try:
        target = parse_target(url, listening=True)
    except ValueError as error:
        raise UsageError(f"--listen: {error}") from None
    if target.scheme not in LISTEN_SCHEMES:
        raise UsageError(f"--listen {url}: a server listens on tcp://, tls:// or unix:")
    if target.tls and not args.cert:
        raise UsageError(f"--listen {url}: needs --cert (and --key)")


def _tls(url: str, args: argparse.Namespace) -> ssl.SSLContext | None:
    if not parse_target(url, listening=True, schemes=LISTEN_SCHEMES).tls:
        return None
    try:
        return server_context(args.cert, args.key, args.client_ca)
    except TlsError as error:
        raise UsageError(f"--cert, --key, --client-ca: {error}") from None
