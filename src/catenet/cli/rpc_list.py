"""catenet rpc list: services of a server, methods of a service."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from catenet.cli.rpc_channel import add_arguments, with_channel
from catenet.cli.rpc_shown import add_forms, show
from catenet.printable import say

if TYPE_CHECKING:
    from catenet.rpc import Channel
    from catenet.rpc.client.catalog import Catalog

__all__ = ["register", "run"]


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_arguments(parser)
    add_forms(parser.add_mutually_exclusive_group())
    parser.add_argument("service", nargs="?", metavar="SERVICE", help="list its methods")


def run(args: argparse.Namespace) -> int:
    """List."""

    async def work(channel: Channel, catalog: Catalog) -> int:
        from catenet.rpc.client.catalog import find_service

        if args.service is None:
            names = list(await catalog.services())
        else:
            names = [method.full_name for method in await find_service(catalog, args.service)]
        if args.json or args.yaml:
            show(names, args)
        else:
            for name in names:
                say(name)
        return 0

    return with_channel(args, work)
