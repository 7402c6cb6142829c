"""`--proxy` of `catenet serve http`: some paths are answered by other servers, the rest by files."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from catenet.cli import UsageError
from catenet.cli.arguments import duration

if TYPE_CHECKING:
    from catenet.http.files import Files
    from catenet.http.gateway.gateway import Gateway
    from catenet.http.server.exchange import Exchange

__all__ = ["add_proxy_arguments", "check_proxy", "make_gateway"]


def add_proxy_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("reverse proxy")
    group.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="PREFIX=URL[,URL]",
        help="these paths are answered by other servers: /api=http://127.0.0.1:9000 (repeat; https, h2c, unix)",
    )
    group.add_argument("--proxy-timeout", type=duration, default=60.0, metavar="TIME", help="for their answers (60s)")
    group.add_argument("--proxy-ca", metavar="FILE", help="authorities to trust instead of the system's (PEM)")
    group.add_argument("--proxy-insecure", action="store_true", help="take any certificate of theirs")
    group.add_argument(
        "--trust-forwarded", action="store_true", help="another proxy is in front: believe its X-Forwarded-For"
    )


def check_proxy(args: argparse.Namespace) -> None:
    """Say at once what is wrong with the options. Raises `UsageError`."""
    if not args.proxy:
        for option in ("proxy_ca", "proxy_insecure", "trust_forwarded"):
            if getattr(args, option):
                raise UsageError(f"--{option.replace('_', '-')} goes with --proxy")
        return
    from catenet.net.tls import TlsError, client_context

    if args.proxy_timeout <= 0:
        raise UsageError("--proxy-timeout: must be more than 0")
    try:
        if args.proxy_ca is not None:
            client_context(args.proxy_ca)
    except TlsError as error:
        raise UsageError(f"--proxy-ca: {error}") from None
    _make(args, None)


def make_gateway(args: argparse.Namespace, files: Files) -> Gateway:
    """Return what answers all requests, by `files` where no route does; who may read files may ask its servers."""

    async def allows(exchange: Exchange) -> bool:
        return await files.admits(exchange)

    gateway = _make(args, files)
    gateway.allows = allows
    return gateway


def _make(args: argparse.Namespace, files: Files | None) -> Gateway:
    from catenet.http.gateway.gateway import Gateway, GatewayOptions
    from catenet.http.gateway.routes import RouteError

    options = GatewayOptions(
        read=args.proxy_timeout, trusted=args.trust_forwarded, verify=not args.proxy_insecure, ca=args.proxy_ca
    )
    try:
        return Gateway(args.proxy, options, files)
    except RouteError as error:
        raise UsageError(f"--proxy {error}") from None
