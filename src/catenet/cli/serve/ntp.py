"""catenet serve ntp: the time of this machine's clock, which is never set."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError, logs
from catenet.cli.arguments import tls_usage
from catenet.cli.serving import Kind, add_arguments, cannot_listen, run_server
from catenet.printable import complain, printable

if TYPE_CHECKING:
    from catenet.net.workers import Placement
    from catenet.ntp.keys import Key
    from catenet.ntp.nts.server import SecureServer
    from catenet.ntp.reference import Reference
    from catenet.ntp.server import Server, ServerOptions

__all__ = ["register", "run"]

DEFAULT_LISTEN: Final = "ntp://localhost:123"
SECURE: Final = "nts://"
EPILOG: Final = """\
  catenet serve ntp --listen ntp://[::]:123 --listen ntp://0.0.0.0:123
  catenet serve ntp --stratum 1 --refid GPS --keys ntp.keys
  catenet serve ntp --upstream a.example b.example c.example   tells what they say, and leaves the clock alone
  catenet serve ntp --allow 192.0.2.0/24 2001:db8::/32
  catenet serve ntp --nts --cert time.pem --listen ntp://[::]:123 --listen ntp://0.0.0.0:123

How good the clock is says the kernel, where whoever keeps the clock has noted it (adjtimex(2)); --stratum says instead
that it is right. A port below 1024 needs CAP_NET_BIND_SERVICE.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    clock = parser.add_argument_group("what is said of the clock")
    clock.add_argument(
        "--stratum", type=int, metavar="N", help="1 to 15: the clock is right, whatever the kernel knows"
    )
    clock.add_argument("--refid", metavar="ID", help="where its time comes from: up to 4 characters, or IPv4 (LOCL)")
    upstream = parser.add_argument_group("servers that this one follows, instead of what the kernel knows")
    upstream.add_argument(
        "--upstream", action="extend", nargs="+", default=[], metavar="SERVER", help="HOST[:PORT], ntp://… or nts://…"
    )
    upstream.add_argument("--set", action="store_true", help="keep this machine's clock by them (CAP_SYS_TIME)")
    upstream.add_argument("--ca", metavar="FILE", help="authorities to trust with nts://: a file (PEM)")
    upstream.add_argument("--minpoll", type=int, default=6, metavar="N", help="asked each 2**N s at first (6: 64 s)")
    upstream.add_argument("--maxpoll", type=int, default=10, metavar="N", help="and at least each 2**N s (10)")
    clients = parser.add_argument_group("clients")
    clients.add_argument("--keys", metavar="FILE", help="symmetric keys, as ntpd and chrony have them")
    clients.add_argument("--md5", action="store_true", help="accept MD5 keys, which RFC 8573 advises against")
    clients.add_argument("--rate", type=float, default=16.0, metavar="N", help="answers a second to one client (16)")
    clients.add_argument("--burst", type=int, default=64, metavar="N", help="answers at once to one client (64)")
    clients.add_argument("--allow", action="extend", nargs="+", default=[], metavar="NET", help="answer these only")
    clients.add_argument("--deny", action="extend", nargs="+", default=[], metavar="NET", help="answer these by DENY")
    clients.add_argument("--basic", action="store_true", help="no interleaved mode (RFC 9769)")
    clients.add_argument("--control", action="store_true", help="answer ntpq -c rv on this machine (RFC 9327)")
    secure = parser.add_argument_group("Network Time Security (RFC 8915)")
    secure.add_argument(
        "--nts", action="store_true", help="give keys too, on port 4460 where the time is told, or at --listen nts://…"
    )
    add_arguments(parser, _kind())


def _kind() -> Kind:
    from catenet.ntp.asking import SECURE_SCHEMES

    return Kind("ntp", SECURE_SCHEMES, DEFAULT_LISTEN, reloads=True)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    if args.client_ca or args.crl:
        raise UsageError(f"{'--client-ca' if args.client_ca else '--crl'}: clients of NTS have no certificates")
    _check_upstream(args)
    reference, options = None if args.upstream else _reference(args), _options(args)
    args.listen = _listen(args)
    secret = None
    if any(url.startswith(SECURE) for url in args.listen):
        import secrets

        try:
            from catenet.ntp.nts.server import SECRET_LENGTH
        except ImportError as error:
            raise UsageError(f"--nts needs the package {error.name}: pip install 'catenet[nts]'") from None

        secret = secrets.token_bytes(SECRET_LENGTH)  # before the fork: processes take each other's cookies
    elif args.cert or args.tls:
        raise UsageError("--cert and --tls go with --nts")
    return run_server(args, _kind(), partial(_serving, args, reference, options, secret))


def _listen(args: argparse.Namespace) -> list[str]:
    """Where to listen; with `--nts` keys are given on the same addresses as the time, unless it is said where."""
    from catenet.net.target import parse_target
    from catenet.ntp.asking import SECURE_SCHEMES

    listen = args.listen or [DEFAULT_LISTEN]
    secure = [url for url in listen if url.startswith(SECURE)]
    if len(secure) == len(listen):
        raise UsageError("--listen: where the time is told is missing, ntp://HOST:PORT")
    if secure or not args.nts:
        return list(listen)
    try:
        hosts = [parse_target(url, listening=True, schemes=SECURE_SCHEMES, default="ntp").host for url in listen]
    except ValueError as error:
        raise UsageError(f"--listen: {error}") from None
    return [*listen, *(f"{SECURE}{f'[{host}]' if ':' in host else host}:4460" for host in dict.fromkeys(hosts))]


def _check_upstream(args: argparse.Namespace) -> None:
    """What it does to the clock is done once, and what is said of the clock is what its servers say."""
    if args.upstream:
        if args.workers > 1:
            raise UsageError("--upstream: one process keeps a clock; leave out --workers")
        if args.stratum is not None or args.refid is not None:
            raise UsageError("--stratum and --refid do not go with --upstream")
        if args.set and args.user is not None:
            raise UsageError("--set: who becomes another user may not adjust the clock any more; leave out --user")
    elif args.set or args.ca:
        raise UsageError("--set and --ca go with --upstream")


def _reference(args: argparse.Namespace) -> Reference:
    import time

    from catenet.ntp.reference import LOCAL, MOST_STRATUM, Kernel, Stated, reference_id

    try:
        identity = LOCAL if args.refid is None else reference_id(args.refid)
    except ValueError as error:
        raise UsageError(f"--refid: {error}") from None
    if args.stratum is None:
        kernel = Kernel(reference_id=identity)
        if not kernel.state(time.time()).stratum and not args.quiet:
            complain(
                "catenet: nobody keeps this clock, so clients will not take its time; --stratum N says it is right"
            )
        return kernel
    if not 1 <= args.stratum <= MOST_STRATUM:
        raise UsageError(f"--stratum {args.stratum}: 1 to {MOST_STRATUM}")
    return Stated(args.stratum, identity)


def _options(args: argparse.Namespace) -> ServerOptions:
    from catenet.ntp.rates import Access, Rate
    from catenet.ntp.server import ServerOptions

    if args.rate < 0 or args.rate != args.rate:
        raise UsageError(f"--rate {args.rate:g}: at least 0; 0 is no limit")
    if args.burst < 1:
        raise UsageError(f"--burst {args.burst}: at least 1")
    for option in ("allow", "deny"):
        try:
            Access(getattr(args, option))
        except ValueError as error:
            raise UsageError(f"--{option}: {error}") from None
    access = Access(args.allow, args.deny)
    rate = Rate(args.rate, args.burst)
    return ServerOptions(_keys(args), rate, access, not args.basic, control=args.control)


def _keys(args: argparse.Namespace) -> dict[int, Key]:
    """The keys of the file. One that may not be used is as good as none, but said."""
    from catenet.ntp.keys import MD5, BadKey, read_keys

    if args.keys is None:
        if args.md5:
            raise UsageError("--md5 goes with --keys")
        return {}
    try:
        keys = read_keys(args.keys)
    except BadKey as error:
        raise UsageError(f"--keys: {error}") from None
    except OSError as error:
        raise UsageError(f"--keys {args.keys}: {(error.strerror or str(error)).lower()}") from None
    weak = [] if args.md5 else [number for number, key in keys.items() if key.kind == MD5]
    if weak and not args.quiet:
        complain(f"catenet: {args.keys}: MD5 keys are refused without --md5: {', '.join(map(str, sorted(weak)))}")
    return {number: key for number, key in keys.items() if number not in weak}


@contextlib.asynccontextmanager
async def _following(
    args: argparse.Namespace, options: ServerOptions
) -> AsyncIterator[tuple[Reference, ServerOptions]]:
    """Keep a clock by the servers above; it is the one that is told."""
    from dataclasses import replace

    from catenet.cli.ntp_watch import choose_clock, followed
    from catenet.ntp.daemon import Keeper
    from catenet.ntp.upstream import Upstream

    servers, clock = followed(args, args.upstream, False), choose_clock(args)
    log = logging.getLogger("catenet.ntp")
    keeper = Keeper(servers, clock, on_problem=lambda name, why: log.warning("%s: %s", printable(name), printable(why)))
    reference = Upstream(keeper, {str(server): one for server, one in servers.items()})
    if not args.set:
        options = replace(options, clock=lambda: round(clock.now() * 1e9))
    task = asyncio.create_task(keeper.run())
    task.add_done_callback(_complain)
    try:
        yield reference, options
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _complain(done: asyncio.Task[None]) -> None:
    """The clock is kept no more: what is told of it gets worse, and says so."""
    if done.cancelled():
        return
    error = done.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    why = "no server wants to be asked" if error is None else str(error) or type(error).__name__
    logging.getLogger("catenet.ntp").error("the clock is not kept any more: %s", printable(why))


@contextlib.asynccontextmanager
async def _serving(
    args: argparse.Namespace,
    reference: Reference | None,
    options: ServerOptions,
    secret: bytes | None,
    placement: Placement,
) -> AsyncIterator[Server | SecureServer]:
    from catenet.net.tls import TlsError

    logs.configure(args, several=args.workers > 1)
    if not (args.quiet or args.verbose or args.log_level):
        logging.getLogger("catenet.ntp").setLevel(logging.INFO)
    async with contextlib.AsyncExitStack() as stack:
        if reference is None:
            following = await stack.enter_async_context(_following(args, options))
        else:
            following = reference, options
        try:
            server = await _start(args, *following, secret, placement)
        except TlsError as error:
            raise tls_usage(args, error, ("cert", "key")) from None
        except (OSError, ValueError) as error:
            raise cannot_listen(placement.urls, error) from None
        yield await stack.enter_async_context(server)


async def _start(
    args: argparse.Namespace,
    reference: Reference,
    options: ServerOptions,
    secret: bytes | None,
    placement: Placement,
) -> Server | SecureServer:
    if secret is None:
        from catenet.ntp.server import serve

        return await serve(placement.urls, reference, options, reuse_port=placement.reuse_port)
    from catenet.ntp.nts.server import serve_securely

    plain = [url for url in placement.urls if not url.startswith(SECURE)]
    secure = [url for url in placement.urls if url.startswith(SECURE)]
    return await serve_securely(
        plain,
        secure,
        reference,
        options,
        cert=args.cert,
        key=args.key,
        secret=secret,
        reuse_port=placement.reuse_port,
    )
