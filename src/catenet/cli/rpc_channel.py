"""What the client actions of catenet rpc share: how to reach the server, where to learn its services."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catenet.cli import Parser, UsageError
from catenet.cli.arguments import duration, tls_usage
from catenet.cli.rpc_sessions import add_session_arguments, session_options
from catenet.net import TlsError, client_context
from catenet.net.target import Target
from catenet.net.tls_source import TlsSource
from catenet.printable import complain, printable_json

if TYPE_CHECKING:
    from catenet.rpc import Channel, RpcError
    from catenet.rpc.client.catalog import Catalog
    from catenet.rpc.client.service_config import ServiceConfig
    from catenet.rpc.spiffe import WorkloadIdentity

__all__ = ["add_arguments", "add_channel_options", "metadata", "read_file", "show_error", "with_channel"]

_PATIENCE = 20.0
"""Seconds for an identity of the Workload API."""

Work = Callable[["Channel", "Catalog"], Coroutine[Any, Any, int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the URL, the options of a channel, and where services are described."""
    parser.add_argument(
        "url",
        metavar="URL",
        help="tcp://, tls://, http(s)://, unix:, dns:///, ipv4:, ipv6:, session+grpc(s):// or host:port",
    )
    add_channel_options(parser)
    source = parser.add_argument_group("services")
    source.add_argument("--proto", action="append", default=[], metavar="FILE", help=".proto instead of reflection")
    source.add_argument("-I", dest="includes", action="append", default=[], metavar="DIR", help="search for imports")


def add_channel_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a channel; they may stand between the other words."""
    if isinstance(parser, Parser):
        parser.options_anywhere = True
    wire = parser.add_argument_group("protocol")
    wire.add_argument("--protocol", choices=("grpc", "grpc-web", "connect"), default="grpc", help="default: grpc")
    wire.add_argument("--http1", action="store_true", help="speak HTTP/1.1 (not with grpc)")
    wire.add_argument("--codec", choices=("proto", "json", "xml"), default="proto", help="encoding on the wire")
    wire.add_argument("--compress", default="identity", metavar="NAME", help="compress requests: gzip, zstd, deflate")
    wire.add_argument("--get", action="store_true", help="connect: send methods without side effects as GET")
    wire.add_argument("--authority", metavar="NAME", help="what to call the server instead of the host in the URL")
    wire.add_argument("-H", "--header", action="append", default=[], metavar="NAME:VALUE", help="metadata (repeat)")
    wire.add_argument("--token", metavar="TOKEN", help="send 'authorization: Bearer TOKEN'; @FILE reads it")
    wire.add_argument("--timeout", type=duration, default=None, metavar="TIME", help="deadline of the call: 5, 200ms")
    wire.add_argument(
        "--service-config",
        metavar="FILE",
        help="deadlines, retries, hedging, balancing, as gRPC's service_config.md has them (JSON; - is standard input)",
    )
    tls = parser.add_argument_group("TLS")
    tls.add_argument("--cacert", metavar="FILE", help="certificates to trust (PEM)")
    tls.add_argument("--cert", metavar="FILE", help="the client's certificate (PEM)")
    tls.add_argument("--key", metavar="FILE", help="its key, if not in the same file")
    tls.add_argument("--crl", metavar="FILE", help="refuse servers that these lists revoke (PEM); authorities need one")
    tls.add_argument("--insecure", action="store_true", help="do not verify the server's certificate")
    tls.add_argument(
        "--spiffe",
        metavar="ID",
        help="the server's SPIFFE id; our certificate and trust are the Workload API's (SPIFFE_ENDPOINT_SOCKET)",
    )
    add_session_arguments(parser)


def with_channel(args: argparse.Namespace, work: Work) -> int:
    """Run `work` with a channel and a catalog; a call that fails is one line and exit status 1."""
    from catenet.rpc import RpcError
    from catenet.rpc.client.catalog import UnknownName

    try:
        channel = _channel(args)
        files = _files(args)
    except ValueError as error:
        raise UsageError(str(error)) from None
    try:
        return asyncio.run(_run(args, channel, files, work))
    except UnknownName as error:
        raise UsageError(str(error)) from None
    except RpcError as error:
        show_error(error)
        return 1


async def _run(args: argparse.Namespace, channel: Channel, files: Any, work: Work) -> int:
    from catenet.rpc.client.catalog import FileCatalog, ReflectionCatalog

    async with contextlib.AsyncExitStack() as stack:
        identity: WorkloadIdentity | None = getattr(args, "identity", None)
        if identity is not None:
            stack.push_async_callback(identity.close)
            try:
                await identity.start(_PATIENCE)
            except TimeoutError as error:
                raise UsageError(f"--spiffe: {error}") from None
        await stack.enter_async_context(channel)
        options: dict[str, Any] = {"metadata": metadata(args)}
        _warn_of_plain_text(args, channel.target, options["metadata"])
        if args.timeout is not None:
            options["timeout"] = args.timeout
        catalog: Catalog = FileCatalog(files) if files else ReflectionCatalog(channel, **options)
        return await work(channel, catalog)


def _warn_of_plain_text(args: argparse.Namespace, target: Target, pairs: list[tuple[str, str | bytes]]) -> None:
    """Say so when what proves who calls goes over a network unencrypted."""
    secret = next((name for name, _ in pairs if name in ("authorization", "cookie", "x-api-key")), None)
    if secret is not None and not target.tls and not target.unix:
        complain(
            f"catenet: warning: {secret} goes to {args.url} in plain text; over tls:// nobody on the way can read it"
        )


def metadata(args: argparse.Namespace) -> list[tuple[str, str | bytes]]:
    """Return the metadata that the options give; values of `-bin` names are base64."""
    from catenet.rpc import RpcError
    from catenet.rpc.model.metadata import check_metadata, decode_pair

    pairs: list[tuple[str, str | bytes]] = []
    try:
        for header in args.header:
            name, colon, value = header.partition(":")
            if not colon:
                raise UsageError(f"--header {header!r}: write NAME:VALUE")
            pairs += decode_pair(name.strip().lower(), value.strip().encode())
        if args.token is not None:
            token = _text(args.token[1:]).strip() if args.token.startswith("@") else args.token
            pairs.append(("authorization", f"Bearer {token}"))
        return list(check_metadata(pairs))
    except ValueError as error:
        raise UsageError(str(error)) from None
    except RpcError as error:
        raise UsageError(f"--header: {error.message}") from None


def show_error(error: RpcError) -> None:
    """Write how a call failed: the status on one line, one more for each detail."""
    from catenet.rpc.protocols.connect_json import readable_detail

    complain(f"catenet: {error}")
    for detail in error.details:
        text = json.dumps(readable_detail(detail), ensure_ascii=False)
        if sys.stderr.isatty():
            text = printable_json(text)
        complain(f"catenet:   {detail.type_name} {text}")


def read_file(name: str) -> bytes:
    """Return the content of a file; `-` is standard input."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None


def _text(name: str) -> str:
    try:
        return read_file(name).decode()
    except UnicodeDecodeError:
        raise UsageError(f"{name}: no UTF-8") from None


def _channel(args: argparse.Namespace) -> Channel:
    from catenet.codec import COMPRESSIONS
    from catenet.rpc import Channel, ChannelOptions

    if args.http1 and args.protocol == "grpc":
        raise UsageError("--http1: gRPC needs HTTP/2; say --protocol connect or grpc-web")
    if args.compress not in COMPRESSIONS:
        raise UsageError(f"--compress {args.compress!r}: there are {', '.join(COMPRESSIONS)}")
    options = ChannelOptions(
        protocol=args.protocol,
        codec=args.codec,
        http1=args.http1,
        use_get=args.get,
        compression=args.compress,
        authority=args.authority,
        max_receive=1 << 30,
        session=session_options(args),
        service_config=_service_config(args),
    )
    channel = Channel(args.url, options=options, tls=_tls(args))
    if not channel.target.tls and (args.cacert or args.cert or args.crl or args.insecure or args.spiffe):
        raise UsageError(
            f"{args.url}: --cacert, --cert, --crl, --insecure and --spiffe are for tls://, https:// and session+grpcs://"
        )
    return channel


def _service_config(args: argparse.Namespace) -> ServiceConfig:
    from catenet.rpc.client.service_config import ServiceConfig, parse_service_config

    if args.service_config is None:
        return ServiceConfig()
    try:
        return parse_service_config(read_file(args.service_config).decode())
    except UnicodeDecodeError:
        raise UsageError(f"--service-config {args.service_config}: not JSON: no UTF-8") from None
    except ValueError as error:
        raise UsageError(f"--service-config {args.service_config}: {error}") from None


def _tls(args: argparse.Namespace) -> TlsSource | None:
    if args.spiffe is not None:
        from catenet.rpc.spiffe import WorkloadIdentity

        if args.cacert or args.cert or args.crl or args.insecure:
            raise UsageError("--spiffe goes without --cacert, --cert, --crl and --insecure: it is where they come from")
        args.identity = WorkloadIdentity()
        source: TlsSource = args.identity.client([args.spiffe])
        return source
    if args.crl and args.insecure:
        raise UsageError("--crl goes without --insecure, which verifies nothing")
    if not (args.cacert or args.cert or args.crl or args.insecure):
        return None
    try:
        return client_context(args.cacert, args.cert, args.key, verify=not args.insecure, crl=args.crl)
    except TlsError as error:
        raise tls_usage(args, error, ("cacert", "cert", "key", "crl")) from None


def _files(args: argparse.Namespace) -> Any:
    if not args.proto:
        return None
    from catenet.rpc.compile import CompileError
    from catenet.rpc.compile.command import describe_protos

    try:
        return describe_protos(args.proto, args.includes)
    except CompileError as error:
        raise UsageError(str(error).splitlines()[0]) from None
