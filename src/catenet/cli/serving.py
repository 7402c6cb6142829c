"""What all verbs that serve have in common: where they listen, processes, signals, the line that says so.

A verb describes its server by a `Kind` and makes it in an asynchronous context; `run_server` does the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from catenet.cli import UsageError, logs
from catenet.cli.arguments import tls_usage
from catenet.cli.local_tls import certify, explain, keep_renewed
from catenet.net.opening import held
from catenet.net.privileges import Account, PrivilegeError, become, check_may_become, find_account
from catenet.net.target import Scheme, Target, parse_target
from catenet.net.tls import TlsError, server_context
from catenet.net.tls_source import TlsFiles, TlsSource
from catenet.net.workers import BindError, NoLoop, Placement, run_loop, run_workers, stop_event
from catenet.printable import complain, say

__all__ = [
    "Kind",
    "Reloadable",
    "Running",
    "add_arguments",
    "add_tls_arguments",
    "cannot_listen",
    "run_server",
    "seconds",
    "tls_context",
    "tls_source",
]

DEFAULT_GRACE: Final = 10.0
GARBAGE: Final = (20_000, 10, 10)
"""After how many objects garbage is looked for. A server makes few cycles; the interpreter's 700 cost it a tenth."""


class Running(Protocol):
    """A server that accepts connections or datagrams."""

    @property
    def urls(self) -> Sequence[str]:
        """Where it listens, with the true ports."""

    async def drain(self, grace: float | None = None) -> None:
        """Take nothing new, finish what goes on within `grace` seconds, and close."""


@runtime_checkable
class Reloadable(Protocol):
    """A server that reads its files again at SIGHUP."""

    def reload(self) -> None:
        """Read the files again; what is wrong with them is logged, and what was read before stays."""


@dataclass(frozen=True)
class Kind:
    """A kind of server.

    Attributes:
        name: its word in `serving KIND on URL`.
        schemes: of the URLs on which it listens.
        default: URL without `--listen`.
        reloads: its servers are `Reloadable`.
        watched: suffixes of files that start the workers again when they change, with `--reload`.
        tls_default: URL without `--listen` but with `--tls`; None: `--tls` needs a URL.
    """

    name: str
    schemes: Mapping[str, Scheme]
    default: str
    reloads: bool = False
    watched: tuple[str, ...] = ()
    tls_default: str | None = None


def add_arguments(parser: argparse.ArgumentParser, kind: Kind, reload: str = "") -> None:
    """Add the options of all servers; `reload`: what that option does, without text there is none."""
    forms = ", ".join(f"{name}:{'' if scheme.is_path else '//'}" for name, scheme in kind.schemes.items())
    parser.add_argument(
        "--listen", action="append", metavar="URL", help=f"{forms}; port 0 is any (repeat; default {kind.default})"
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that share the ports")
    if reload:
        parser.add_argument("--reload", action="store_true", help=reload)
    parser.add_argument(
        "--grace", type=seconds, default=DEFAULT_GRACE, metavar="SECONDS", help="for what goes on at the end (10)"
    )
    if any(scheme.tls for scheme in kind.schemes.values()):
        add_tls_arguments(parser)
    parser.add_argument(
        "--user", metavar="USER[:GROUP]", help="become USER for good once it listens and before it serves; needs root"
    )
    parser.add_argument("--loop", choices=("auto", "uvloop", "asyncio"), default="auto", help="event loop")
    parser.add_argument("--json", action="store_true", help="print kind and URLs as JSON once it serves")
    logs.add_arguments(parser)


def seconds(text: str) -> float:
    """Return what an option says that takes seconds, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write 15 or 0.5")
    return number


def add_tls_arguments(parser: argparse._ActionsContainer) -> None:
    """Add the options that `tls_context` reads."""
    parser.add_argument(
        "--tls", action="store_true", help="a certificate of this machine's own authority, which is made if need be"
    )
    parser.add_argument("--cert", metavar="FILE", help="the server's certificate chain (PEM)")
    parser.add_argument("--key", metavar="FILE", help="its key, if not in the same file")
    parser.add_argument("--client-ca", metavar="FILE", help="ask clients for certificates that these have signed")
    parser.add_argument("--crl", metavar="FILE", help="refuse clients that these lists of --client-ca revoke (PEM)")


def run_server(
    args: argparse.Namespace,
    kind: Kind,
    make: Callable[[Placement], AbstractAsyncContextManager[Running]],
    urls: Sequence[str] | None = None,
) -> int:
    """Serve until a signal; return the exit status.

    `make` is entered in every worker; what it raises as `UsageError` ends the program. `urls` are what a configuration
    says, for when the command line says nothing.
    """
    if args.workers < 1:
        raise UsageError(f"--workers {args.workers}: at least 1")
    account = _account(args)
    listen = args.listen or urls or [_default_url(args, kind)]
    if getattr(args, "tls", False):
        certify(args, [_parse_listen(url, kind) for url in listen], kind.schemes)
    for url in listen:
        _check_url(url, kind, args)
    if args.workers > 1 and getattr(args, "cert", None):
        args.context = _context(args)  # before the fork: the keys of session tickets are then those of all workers
    watched = kind.watched and getattr(args, "reload", False)
    try:
        return run_workers(
            partial(_work, args, kind, make, account),
            listen,
            workers=args.workers,
            watch=[Path.cwd()] if watched else [],
            suffixes=kind.watched,
            schemes=kind.schemes,
            refused=UsageError,
            announce=partial(_announce, args, kind),
            reloads=kind.reloads,
        )
    except BindError as error:
        raise cannot_listen(listen, error) from None


def _work(
    args: argparse.Namespace,
    kind: Kind,
    make: Callable[[Placement], AbstractAsyncContextManager[Running]],
    account: Account | None,
    placement: Placement,
) -> int:
    gc.collect()
    gc.freeze()  # modules and code, which stay: collections need not go through them
    gc.set_threshold(*GARBAGE)
    try:
        return run_loop(_serve(args, kind, make(placement), account, placement), args.loop)
    except NoLoop as error:
        raise UsageError(f"--loop {error}") from None


async def _serve(
    args: argparse.Namespace,
    kind: Kind,
    making: AbstractAsyncContextManager[Running],
    account: Account | None,
    placement: Placement,
) -> int:
    stop = stop_event()
    async with contextlib.AsyncExitStack() as stack:
        with held() if account is not None else contextlib.nullcontext():
            server = await _started(stack.enter_async_context(making), stop)
            if server is None:
                return 0
            if account is not None:
                _become(account)
        if kind.reloads and isinstance(server, Reloadable):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, server.reload)
        placement.announce(server.urls)
        await stop.wait()
        await server.drain(args.grace)
    return 0


async def _started(starting: Coroutine[Any, Any, Running], stop: asyncio.Event) -> Running | None:
    """Return the server; None if a signal came first.

    What it waits for, an identity or an application, may never come.
    """

    async def give_up() -> None:
        await stop.wait()
        patience.reschedule(0.0)

    try:
        async with asyncio.timeout(None) as patience:
            watching = asyncio.create_task(give_up())
            try:
                return await starting
            finally:
                watching.cancel()
    except TimeoutError:
        if not patience.expired():
            raise
    return None


def _account(args: argparse.Namespace) -> Account | None:
    """Whom to become; it is known before anything is bound whether that is allowed."""
    if args.user is None:
        return None
    try:
        account = find_account(args.user)
        check_may_become(account)
    except (ValueError, PrivilegeError) as error:
        raise UsageError(f"--user {args.user}: {error}") from None
    return account


def _become(account: Account) -> None:
    try:
        become(account)
    except PrivilegeError as error:
        raise UsageError(f"--user: {error}") from None


def _default_url(args: argparse.Namespace, kind: Kind) -> str:
    return (kind.tls_default if getattr(args, "tls", False) else None) or kind.default


def _announce(args: argparse.Namespace, kind: Kind, urls: Sequence[str]) -> None:
    authority = getattr(args, "authority", None)
    if args.json:
        told = {"kind": kind.name, "urls": list(urls)}
        say(json.dumps(told if authority is None else {**told, "authority": str(authority.path)}))
    if not args.quiet:
        complain(f"serving {kind.name} on {', '.join(urls)}")
        if authority is not None:
            explain(authority)


def _parse_listen(url: str, kind: Kind) -> Target:
    try:
        return parse_target(url, listening=True, schemes=kind.schemes, default=next(iter(kind.schemes)))
    except ValueError as error:
        raise UsageError(f"--listen: {error}") from None


def _check_url(url: str, kind: Kind, args: argparse.Namespace) -> None:
    if _parse_listen(url, kind).tls and not args.cert and getattr(args, "spiffe", None) is None:
        raise UsageError(f"--listen {url}: needs --tls, or --cert (and --key)")


def tls_context(args: argparse.Namespace, alpn: Sequence[str] = ()) -> ssl.SSLContext | None:
    """What `--cert`, `--key`, `--client-ca` and `--tls` make; None without a certificate. In a running event loop."""
    if not args.cert:
        return None
    context: ssl.SSLContext | None = getattr(args, "context", None)
    if context is None:
        context = _context(args)
    else:
        with contextlib.suppress(OSError):
            context.load_cert_chain(args.cert, args.key)  # a worker that starts later has the newer files
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if args.tls:
        keep_renewed(args, context)
    return context


def tls_source(args: argparse.Namespace) -> TlsSource | None:
    """The same as a source that reads the files again when they change; `--tls` renews its certificate itself."""
    context = tls_context(args)
    if context is None or args.tls:
        return context
    first = [context]
    files = [name for name in (args.cert, args.key, args.client_ca, args.crl) if name is not None]

    def read() -> ssl.SSLContext:
        return first.pop() if first else server_context(args.cert, args.key, args.client_ca, crl=args.crl)

    return TlsFiles(read, files)


def _context(args: argparse.Namespace) -> ssl.SSLContext:
    if args.crl and not args.client_ca:
        raise UsageError("--crl: needs --client-ca, the authorities that revoke")
    try:
        return server_context(args.cert, args.key, args.client_ca, crl=args.crl)
    except TlsError as error:
        raise tls_usage(args, error, ("cert", "key", "client-ca", "crl")) from None


def cannot_listen(urls: Sequence[str], error: Exception) -> UsageError:
    """Return the error of a server that cannot listen at one of these URLs."""
    why = (error.strerror if isinstance(error, OSError) else None) or error
    return UsageError(f"--listen {', '.join(urls)}: {why}")
