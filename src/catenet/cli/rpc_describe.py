"""catenet rpc describe: services, methods and types as .proto text."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from catenet.cli.rpc_channel import add_arguments, with_channel
from catenet.printable import say

if TYPE_CHECKING:
    from catenet.rpc import Channel
    from catenet.rpc.client.catalog import Catalog

__all__ = ["register", "run"]


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_arguments(parser)
    parser.add_argument("symbol", nargs="?", metavar="NAME", help="service, method, message or enum (default: all)")


def run(args: argparse.Namespace) -> int:
    """Describe."""

    async def work(channel: Channel, catalog: Catalog) -> int:
        from catenet.rpc.client.catalog import find_symbol
        from catenet.rpc.model.describe import describe

        symbols = await catalog.services() if args.symbol is None else [args.symbol]
        for number, symbol in enumerate(symbols):
            say(("\n" if number else "") + describe(await find_symbol(catalog, symbol)), keep="\n")
        return 0

    return with_channel(args, work)
