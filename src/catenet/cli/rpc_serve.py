"""catenet rpc serve: implementations of services behind listeners."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import ssl
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catenet.cli import UsageError, logs
from catenet.cli.rpc_limits import add_limits, server_options
from catenet.cli.rpc_load import implementations, importable
from catenet.cli.rpc_supervisor import BAD_START, Supervisor
from catenet.printable import say

if TYPE_CHECKING:
    from catenet.rpc import Server

__all__ = ["register", "run"]

EPILOG = """\
WHAT is MODULE:NAME, a class that implements a generated service (or an instance, or a function that returns one), and
any .proto files it needs: their messages can then be imported without compiling them beforehand. A class without a
generated base serves the service of its name, or the only one, in the .proto.

  catenet rpc serve hiscore.proto scores:Scores
  catenet rpc serve scores:Scores --listen tcp://0.0.0.0:50051 --listen unix:/run/hiscore.sock --workers 4
  catenet rpc serve scores:Scores --listen tls://0.0.0.0:443 --cert server.pem --key server.key --client-ca ca.pem
"""
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
    with contextlib.ExitStack() as stack:
        if args.workers == 1 and not args.reload:
            return asyncio_run(args.loop, _serve(args, urls, {}))
        urls, shared = _share(urls, args.workers, stack)
        watch = [Path.cwd()] if args.reload else []
        return Supervisor(lambda number: _worker(args, urls, shared), args.workers, watch).run()


def _worker(args: argparse.Namespace, urls: Sequence[str], shared: dict[str, socket.socket]) -> int:
    try:
        return asyncio_run(args.loop, _serve(args, urls, shared))
    except UsageError as error:
        say(f"catenet: {error}", file=sys.stderr)
        return BAD_START
    except Exception:
        # Nobody else would tell: the process ends here.
        traceback.print_exc()
        return 1


def asyncio_run(loop: str, work: Any) -> int:
    """Run on uvloop if it is there, which is several times as fast; ``loop`` may insist."""
    factory = None
    if loop != "asyncio":
        try:
            import uvloop

            factory = uvloop.new_event_loop
        except ImportError:
            if loop == "uvloop":
                work.close()
                raise UsageError("--loop uvloop: pip install uvloop") from None
    with asyncio.Runner(loop_factory=factory) as runner:
        return int(runner.run(work))


async def _serve(args: argparse.Namespace, urls: Sequence[str], shared: dict[str, socket.socket]) -> int:
    from catenet.rpc import Server
    from catenet.rpc.server.tuning import keep_large_blocks
    from catenet.rpc.services.health import Health

    keep_large_blocks()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signo in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signo, stop.set)
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
        for url in urls:
            listener = await _listen(server, url, args, shared)
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


async def _listen(server: Server, url: str, args: argparse.Namespace, shared: dict[str, socket.socket]) -> Any:
    try:
        return await server.listen(
            url, tls=_tls(url, args), reuse_port=args.workers > 1 or args.reload, sock=shared.get(url)
        )
    except (OSError, ValueError) as error:
        raise UsageError(f"--listen {url}: {error}") from None


def _check_url(url: str, args: argparse.Namespace) -> None:
    from catenet.rpc.model.target import parse_target

    try:
        target = parse_target(url, listening=True)
    except ValueError as error:
        raise UsageError(f"--listen: {error}") from None
    if target.scheme not in ("tcp", "tls", "unix"):
        raise UsageError(f"--listen {url}: a server listens on tcp://, tls:// or unix:")
    if target.tls and not args.cert:
        raise UsageError(f"--listen {url}: needs --cert (and --key)")


def _tls(url: str, args: argparse.Namespace) -> ssl.SSLContext | None:
    if not url.startswith("tls:"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(args.cert, args.key)
        if args.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(args.client_ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--cert, --key, --client-ca: {error}") from None
    return context


def _share(
    urls: Sequence[str], workers: int, stack: contextlib.ExitStack
) -> tuple[list[str], dict[str, socket.socket]]:
    """Fix ports that the system chooses, and make Unix sockets, which cannot be bound twice, before the fork."""
    from catenet.rpc.model.target import parse_target

    fixed: list[str] = []
    shared: dict[str, socket.socket] = {}
    for url in urls:
        target = parse_target(url, listening=True)
        try:
            if target.unix and workers > 1:
                shared[url] = stack.enter_context(_unix_socket(target.unix, stack))
            elif not target.unix and not target.port:
                family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
                holder = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                holder.bind((target.host, 0))
                url = url.rpartition(":")[0] + f":{holder.getsockname()[1]}"
        except OSError as error:
            raise UsageError(f"--listen {url}: {error}") from None
        fixed.append(url)
    return fixed, shared


def _unix_socket(path: str, stack: contextlib.ExitStack) -> socket.socket:
    from catenet.net.listen import listen_unix

    sock = listen_unix(path, backlog=1024)
    owner = os.getpid()

    def unlink() -> None:
        if os.getpid() == owner and not path.startswith("@"):
            Path(path).unlink(missing_ok=True)

    stack.callback(unlink)
    return sock
