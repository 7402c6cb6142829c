"""catenet serve tftp: a folder's files for boot loaders and routers, to be read, and written if allowed."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError, logs
from catenet.cli.serving import Kind, add_arguments, cannot_listen, run_server

if TYPE_CHECKING:
    from catenet.net.workers import Placement
    from catenet.tftp import Server, ServerOptions

__all__ = ["register", "run"]

DEFAULT_LISTEN: Final = "tftp://localhost:69"
EPILOG: Final = """\
  catenet serve tftp boot --listen tftp://[::]:69 --listen tftp://0.0.0.0:69
  catenet serve tftp configs --upload --overwrite --max-upload 1MiB --listen tftp://127.0.0.1:6969
  catenet serve tftp boot --single-port                     for clients behind a NAT

A line for each transfer on standard error; without them: -q. A port below 1024 needs CAP_NET_BIND_SERVICE.
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("folder", metavar="DIR", nargs="?", default=".", help="what is served (default: this folder)")
    parser.add_argument("--hidden", action="store_true", help="serve names that begin with a dot")
    parser.add_argument("--single-port", action="store_true", help="transfers use the port of the requests")
    most = parser.add_argument_group("what is granted")
    most.add_argument("--blksize", type=int, default=65464, metavar="BYTES", help="largest block (65464)")
    most.add_argument("--windowsize", type=int, default=64, metavar="BLOCKS", help="largest window (64)")
    most.add_argument(
        "--rollover", type=int, choices=(0, 1), default=0, help="block number after 65535 if nobody says (0)"
    )
    most.add_argument("--patience", default="30s", metavar="TIME", help="silence that ends a transfer (30s)")
    most.add_argument("--max-transfers", type=int, default=1000, metavar="N", help="at a time (1000)")
    most.add_argument("--max-per-client", type=int, default=32, metavar="N", help="at a time, of one address (32)")
    uploads = parser.add_argument_group("uploads")
    uploads.add_argument("--upload", action="store_true", help="let files be written")
    uploads.add_argument("--overwrite", action="store_true", help="replace files that are there")
    uploads.add_argument("--max-upload", metavar="SIZE", default="4GiB", help="of one file (4GiB)")
    uploads.add_argument("--max-upload-total", metavar="SIZE", help="of all files, while it serves (no limit)")
    add_arguments(parser, _kind())


def _kind() -> Kind:
    from catenet.tftp.client import SCHEMES

    return Kind("tftp", SCHEMES, DEFAULT_LISTEN)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    options = _options(args)
    try:
        os.close(os.open(args.folder, os.O_RDONLY | os.O_DIRECTORY))
    except OSError as error:
        hint = f"; for the port write --listen tftp://localhost:{args.folder}" if args.folder.isdecimal() else ""
        raise UsageError(f"{args.folder}: {(error.strerror or str(error)).lower()}{hint}") from None
    return run_server(args, _kind(), partial(_serving, args, options))


def _options(args: argparse.Namespace) -> ServerOptions:
    from catenet.cli.arguments import duration
    from catenet.tftp import ServerOptions, Wishes
    from catenet.world.scenario.units import parse_size

    if not args.upload:
        for option in ("overwrite", "max_upload_total"):
            if getattr(args, option):
                raise UsageError(f"--{option.replace('_', '-')} goes with --upload")
    for option in ("max_transfers", "max_per_client"):
        if getattr(args, option) < 1:
            raise UsageError(f"--{option.replace('_', '-')} {getattr(args, option)}: at least 1")
    try:
        most = Wishes(args.blksize, args.windowsize, rollover=args.rollover)
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    sizes: dict[str, int | None] = {}
    for option in ("max_upload", "max_upload_total"):
        text = getattr(args, option)
        try:
            sizes[option] = None if text is None else parse_size(text)
        except ValueError as error:
            raise UsageError(f"--{option.replace('_', '-')}: {error}") from None
    try:
        patience = duration(args.patience)
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise UsageError(f"--patience: {error}") from None
    return ServerOptions(
        upload=args.upload,
        overwrite=args.overwrite,
        hidden=args.hidden,
        single_port=args.single_port,
        most=most,
        max_transfers=args.max_transfers,
        max_per_client=args.max_per_client,
        max_upload=sizes["max_upload"] or 0,
        max_upload_total=sizes["max_upload_total"],
        patience=patience,
    )


@contextlib.asynccontextmanager
async def _serving(args: argparse.Namespace, options: ServerOptions, placement: Placement) -> AsyncIterator[Server]:
    from catenet.tftp import serve

    logs.configure(args, several=args.workers > 1)
    if not (args.quiet or args.verbose or args.log_level):
        logging.getLogger("catenet.tftp").setLevel(logging.INFO)
    try:
        server = await serve(args.folder, placement.urls, options, reuse_port=placement.reuse_port)
    except (OSError, ValueError) as error:
        raise cannot_listen(placement.urls, error) from None
    async with server:
        yield server
