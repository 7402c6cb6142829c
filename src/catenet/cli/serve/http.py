"""catenet serve http: a folder's files, with listings, ranges, uploads if allowed, TLS by one word."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError, access_logs, logs
from catenet.cli.http_app import check_log, http_kind, open_access_log, tls_of
from catenet.cli.http_proxy import add_proxy_arguments, check_proxy, make_gateway
from catenet.cli.serving import add_arguments, cannot_listen, run_server

if TYPE_CHECKING:
    from catenet.http.files import FileOptions
    from catenet.http.server.exchange import Handler
    from catenet.http.server.server import HttpServer
    from catenet.net.workers import Placement

__all__ = ["register", "run"]

EPILOG: Final = """\
  catenet serve http
  catenet serve http public --listen http://[::]:8080 --access-log
  catenet serve http ~/inbox --tls --upload --auth-upload ada:secret --listen https://[::]:8443
  catenet serve http dist --spa --cache-control max-age=3600
  catenet serve http dist --spa --proxy /api=http://127.0.0.1:9000 --proxy /ws=http://127.0.0.1:9001,http://127.0.0.1:9002
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("folder", metavar="DIR", nargs="?", default=".", help="what is served (default: this folder)")
    parser.add_argument(
        "--index", action="append", metavar="NAME", help="file that stands for its folder (repeat; index.html)"
    )
    parser.add_argument("--no-listing", action="store_true", help="do not show what is in folders")
    parser.add_argument("--no-archives", action="store_true", help="folders are not to be had as ?zip and ?tar")
    parser.add_argument("--no-precompressed", action="store_true", help="do not send NAME.zst, .br or .gz for NAME")
    parser.add_argument("--hidden", action="store_true", help="serve names that begin with a dot")
    parser.add_argument(
        "--spa",
        nargs="?",
        const="index.html",
        default="",
        metavar="FILE",
        help="answer with it for missing pages",
    )
    uploads = parser.add_argument_group("uploads")
    uploads.add_argument("--upload", action="store_true", help="take files by PUT and by the form in listings")
    uploads.add_argument("--overwrite", action="store_true", help="replace files that are there")
    uploads.add_argument("--max-upload", metavar="SIZE", default="16GiB", help="of one file (16GiB)")
    access = parser.add_argument_group("access")
    access.add_argument(
        "--auth", action="append", default=[], metavar="USER:PASS", help="ask for it, for everything (repeat)"
    )
    access.add_argument(
        "--auth-upload", action="append", default=[], metavar="USER:PASS", help="ask for it, for uploads (repeat)"
    )
    access.add_argument(
        "--cors", nargs="?", const="*", default="", metavar="ORIGIN", help="let pages of it read (default: of all)"
    )
    access.add_argument("--cache-control", metavar="VALUE", default="", help="what is said with every file")
    add_proxy_arguments(parser)
    add_arguments(parser, http_kind("http"))
    parser.add_argument(
        "--sni", action="append", default=[], metavar="FILE", help="another certificate with its key, for its names"
    )
    access_logs.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    options = _options(args)
    _check_folder(args.folder)
    check_log(args)
    check_proxy(args)
    return run_server(args, http_kind("http"), partial(_serving, args, options))


def _options(args: argparse.Namespace) -> FileOptions:
    from catenet.http.files import FileOptions
    from catenet.world.scenario.units import parse_size

    try:
        max_upload = parse_size(args.max_upload)
    except ValueError as error:
        raise UsageError(f"--max-upload: {error}") from None
    if not args.upload:
        for option in ("overwrite", "auth_upload"):
            if getattr(args, option):
                raise UsageError(f"--{option.replace('_', '-')} goes with --upload")
    for option in ("cors", "cache_control"):
        value = getattr(args, option)
        if not (value.isascii() and (value.isprintable() or not value)):
            raise UsageError(f"--{option.replace('_', '-')} {value!r}: no value of a header field")
    for name in (*(args.index or ()), args.spa):
        if "/" in name:
            raise UsageError(f"{name}: the name of a file, not a path")
    return FileOptions(
        index=tuple(args.index or ("index.html",)),
        listing=not args.no_listing,
        archives=not args.no_archives,
        hidden=args.hidden,
        fallback=args.spa,
        precompressed=not args.no_precompressed,
        upload=args.upload,
        overwrite=args.overwrite,
        max_upload=max_upload,
        users=tuple(_user("--auth", text) for text in args.auth),
        upload_users=tuple(_user("--auth-upload", text) for text in args.auth_upload),
        cors=args.cors,
        cache_control=args.cache_control,
    )


def _user(option: str, text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not user or not colon:
        raise UsageError(f"{option}: write USER:PASS")
    return user, password


def _check_folder(folder: str) -> None:
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
    except OSError as error:
        hint = f"; for the port write --listen http://localhost:{folder}" if folder.isdecimal() else ""
        raise UsageError(f"{folder}: {(error.strerror or str(error)).lower()}{hint}") from None


@contextlib.asynccontextmanager
async def _serving(args: argparse.Namespace, options: FileOptions, placement: Placement) -> AsyncIterator[HttpServer]:
    from catenet.http.files import Files
    from catenet.http.server.server import make_service, serve
    from catenet.net.tuning import keep_large_blocks

    keep_large_blocks()
    logs.configure(args, several=args.workers > 1)
    async with contextlib.AsyncExitStack() as stack:
        files = stack.enter_context(contextlib.closing(Files(args.folder, options)))
        handler: Handler = files
        if args.proxy:
            handler = gateway = make_gateway(args, files)
            stack.push_async_callback(gateway.close)
        service = make_service(handler, "exchange", access_log=open_access_log(args))
        try:
            server = await serve(
                service, placement.urls, tls=tls_of(args), reuse_port=placement.reuse_port, shared=placement.shared
            )
        except (OSError, ValueError) as error:
            raise cannot_listen(placement.urls, error) from None
        async with server:
            yield server
