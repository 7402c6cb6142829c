"""catenet rpc describe: services, methods and types as .proto text, or as descriptors."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

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
    parser.add_argument("symbol", nargs="?", metavar="NAME", help="service, method, message or enum (default: all)")


def run(args: argparse.Namespace) -> int:
    """Describe."""

    async def work(channel: Channel, catalog: Catalog) -> int:
        from catenet.rpc.client.catalog import find_symbol
        from catenet.rpc.model.describe import describe

        symbols = await catalog.services() if args.symbol is None else [args.symbol]
        for number, symbol in enumerate(symbols):
            found = await find_symbol(catalog, symbol)
            if args.json or args.yaml:
                show(_described(found), args)
            else:
                say(("\n" if number else "") + describe(found), keep="\n")
        return 0

    return with_channel(args, work)


def _described(descriptor: Any) -> dict[str, Any]:
    """Return the full name, the kind, and protobuf's own description as JSON has it."""
    from google.protobuf import descriptor_pb2
    from google.protobuf.json_format import MessageToDict

    kind = type(descriptor).__name__.removesuffix("Descriptor") or "Message"
    proto = getattr(descriptor_pb2, f"{'' if kind == 'Message' else kind}DescriptorProto")()
    if kind == "Method":
        descriptor.containing_service.CopyToProto(service := descriptor_pb2.ServiceDescriptorProto())
        proto = next(one for one in service.method if one.name == descriptor.name)
    else:
        descriptor.CopyToProto(proto)
    return {"full_name": descriptor.full_name, "kind": kind.lower(), **MessageToDict(proto)}
