"""What `catenet serve asgi` and `catenet serve wsgi` have in common: the application, the log, certificates."""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from catenet.cli import UsageError, access_logs, logs
from catenet.cli.arguments import tls_usage
from catenet.cli.limits import add_http_limits, http_limits
from catenet.cli.load import load, run_program
from catenet.cli.serving import Kind, add_arguments, cannot_listen, run_server, tls_context

if TYPE_CHECKING:
    import ssl

    from catenet.http.server.access_log import AccessLog
    from catenet.http.server.forwarded import TrustedProxies
    from catenet.http.server.server import HttpServer
    from catenet.net.tls import Certificates
    from catenet.net.workers import Placement

__all__ = [
    "add_app_arguments",
    "check_log",
    "http_kind",
    "open_access_log",
    "serve_app",
    "tls_of",
]

USUAL: Final = ("app", "application")


def http_kind(name: str) -> Kind:
    """A kind of server of HTTP."""
    from catenet.http.target import SERVER_SCHEMES

    default = "http://localhost:8000"
    return Kind(
        name, SERVER_SCHEMES, default, reloads=True, watched=(".py",), tls_default=default.replace("http", "https")
    )


def add_app_arguments(parser: argparse.ArgumentParser, kind: Kind) -> None:
    """Add the arguments of a server of applications."""
    parser.add_argument("app", metavar="MODULE:NAME", help="the application (MODULE alone: its app or application)")
    parser.add_argument("--factory", action="store_true", help="call what is named; the application is what it returns")
    parser.add_argument("--app-dir", metavar="DIR", default="", help="look for modules here (default: this folder)")
    parser.add_argument("--root-path", metavar="PATH", default="", help="where a proxy has mounted the application")
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="set in the environment first (repeat)"
    )
    parser.add_argument("--env-file", metavar="FILE", help="set what this file says, NAME=VALUE a line")
    add_arguments(parser, kind, reload="start again when .py files here change")
    parser.add_argument(
        "--sni", action="append", default=[], metavar="FILE", help="another certificate with its key, for its names"
    )
    parser.add_argument(
        "--trust-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="of a proxy, or a network, or unix: it says who the client is and whether by TLS (repeat)",
    )
    parser.add_argument(
        "--proxy-field", choices=("x-forwarded", "forwarded"), default="x-forwarded", help="where it says so"
    )
    access_logs.add_arguments(parser)
    add_http_limits(parser)


def serve_app(args: argparse.Namespace, kind: Kind, **options: Any) -> int:
    """Serve the application until a signal; `options` are of its service."""
    root = args.root_path.rstrip("/")
    if root and not root.startswith("/"):
        raise UsageError(f"--root-path {args.root_path}: begins with a slash")
    args.root_path = root
    _set_environment(args)
    check_log(args)
    return run_server(args, kind, partial(_serving, args, kind.name, options))


@contextlib.asynccontextmanager
async def _serving(
    args: argparse.Namespace, interface: str, options: dict[str, Any], placement: Placement
) -> AsyncIterator[HttpServer]:
    from catenet.http.server.lifespan import LifespanError
    from catenet.http.server.server import make_service, serve
    from catenet.net.tuning import keep_large_blocks

    keep_large_blocks()
    app = _application(args)
    logs.configure(args, several=args.workers > 1)
    log = open_access_log(args)
    service = make_service(app, interface, access_log=log, root_path=args.root_path, proxies=_proxies(args), **options)
    try:
        server = await serve(
            service,
            placement.urls,
            tls=tls_of(args),
            limits=http_limits(args),
            reuse_port=placement.reuse_port,
            shared=placement.shared,
        )
    except LifespanError as error:
        raise UsageError(f"{args.app}: {error}") from None
    except (OSError, ValueError) as error:
        raise cannot_listen(placement.urls, error) from None
    gc.collect()
    gc.freeze()  # what the program has made so far stays; to look through it again and again finds nothing
    async with server:
        yield server


def _proxies(args: argparse.Namespace) -> TrustedProxies | None:
    if not args.trust_proxy:
        return None
    from catenet.http.server.forwarded import TrustedProxies

    try:
        return TrustedProxies(args.trust_proxy, args.proxy_field)
    except ValueError as error:
        raise UsageError(f"--trust-proxy {error}") from None


def _application(args: argparse.Namespace) -> Any:
    sys.path.insert(0, os.path.abspath(args.app_dir or os.curdir))
    name, explain = args.app, bool(args.verbose)
    if ":" not in name:
        app = _usual(name, explain)
    else:
        app = load(name, explain)
    if args.factory:
        app = run_program(name, app, explain)
    if not callable(app):
        raise UsageError(f"{name}: {type(app).__name__} is no application: it cannot be called")
    return app


def _usual(name: str, explain: bool) -> Any:
    import importlib

    module = run_program(name, partial(importlib.import_module, name), explain)
    for attribute in USUAL:
        if hasattr(module, attribute):
            return getattr(module, attribute)
    raise UsageError(f"{name}: it has no {' and no '.join(USUAL)}; write {name}:NAME")


def tls_of(args: argparse.Namespace) -> ssl.SSLContext | Certificates | None:
    """What `--cert`, `--key`, `--sni`, `--client-ca` and `--tls` make; None without a certificate."""
    if not args.cert:
        if args.sni:
            raise UsageError("--sni: --cert names the certificate for all other names")
        return None
    if args.tls:
        if args.sni:
            raise UsageError("--sni goes with --cert, not with --tls")
        return tls_context(args)
    from catenet.net.tls import Certificates, TlsError

    if args.crl and not args.client_ca:
        raise UsageError("--crl: needs --client-ca, the authorities that revoke")
    try:
        return Certificates([(args.cert, args.key), *((cert, None) for cert in args.sni)], args.client_ca, crl=args.crl)
    except TlsError as error:
        raise tls_usage(args, error, ("cert", "key", "sni", "client-ca", "crl")) from None


def check_log(args: argparse.Namespace) -> None:
    """Raise `UsageError` for an access log that cannot be written."""
    from catenet.http.server.access_log import DEFAULT, AccessLog

    access_logs.check(args, AccessLog, DEFAULT)


def open_access_log(args: argparse.Namespace) -> AccessLog | None:
    """Return the access log that was asked for, if one was."""
    from catenet.http.server.access_log import DEFAULT, AccessLog

    return access_logs.open_log(args, AccessLog, DEFAULT)


def _set_environment(args: argparse.Namespace) -> None:
    lines = [(f"--env {line}", line) for line in args.env]
    if args.env_file:
        try:
            with open(args.env_file, encoding="utf-8") as file:
                read = [(number, line.strip()) for number, line in enumerate(file, 1)]
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--env-file {args.env_file}: {getattr(error, 'strerror', None) or error}") from None
        lines = [(f"{args.env_file}:{number}", line) for number, line in read if line and line[0] != "#"] + lines
    for place, line in lines:
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{place}: write NAME=VALUE")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        os.environ[name.strip()] = value
