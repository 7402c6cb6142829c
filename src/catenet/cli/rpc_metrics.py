"""`catenet rpc serve --metrics`: where they are told, and how several workers tell them as one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import secrets
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from catenet.cli import UsageError
from catenet.net.workers import Placement
from catenet.printable import complain

if TYPE_CHECKING:
    from catenet.rpc import Metrics, Server
    from catenet.rpc.model.metrics import Family, Labels

__all__ = ["add_metrics_arguments", "check_metrics", "telling"]

DEFAULT: Final = "127.0.0.1:9464"
_ADDRESS: Final = re.compile(r"(?:(?:tcp|http)://)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]*)(?::|^)(\d{1,5})/?")
_PATIENCE: Final = 1.0
_LARGEST: Final = 64 << 20


def add_metrics_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    group = parser.add_argument_group("metrics", "What has been served, and how long it took.")
    group.add_argument(
        "--metrics",
        nargs="?",
        const=DEFAULT,
        metavar="ADDRESS",
        help=f"tell them to Prometheus at http://ADDRESS/metrics ({DEFAULT}; without a host: this machine; unix:PATH)",
    )
    group.add_argument(
        "--opentelemetry", action="store_true", help="spans and metrics by OpenTelemetry, as the process has it set up"
    )


def check_metrics(args: argparse.Namespace) -> None:
    """Read `--metrics`, once and before there are workers. Raises `UsageError`."""
    args.metrics_url = None if args.metrics is None else _url(args.metrics)
    args.metrics_name = f"\0catenet-metrics-{secrets.token_hex(16)}"


def _url(text: str) -> str:
    if text.startswith("unix:") and len(text) > len("unix:"):
        return text
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[2]) > 65535:
        raise UsageError(f"--metrics {text}: no address; write --metrics=HOST:PORT, :PORT or unix:PATH")
    return f"http://{match[1] or '127.0.0.1'}:{int(match[2])}"


@contextlib.asynccontextmanager
async def telling(
    args: argparse.Namespace, placement: Placement, server: Server, metrics: Metrics | None
) -> AsyncIterator[None]:
    """Tell the metrics while a server runs; of several workers the first one tells those of all."""
    if metrics is None:
        yield
        return
    from catenet.http.server.server import serve
    from catenet.rpc.model.local_names import is_local
    from catenet.rpc.services.metrics import MetricsPage

    own = _Own(server, metrics, placement.number if args.workers > 1 else None)
    async with contextlib.AsyncExitStack() as stack:
        if placement.number > 0:
            await stack.enter_async_context(await _answering(own, f"{args.metrics_name}-{placement.number}"))
        else:
            url = args.metrics_url
            host = "" if url.startswith("unix:") else url.removeprefix("http://").rpartition(":")[0].strip("[]")
            others = [f"{args.metrics_name}-{number}" for number in range(1, args.workers)]

            async def collect() -> list[Family]:
                return own.families() + [family for each in await _ask_all(others) for family in each]

            page = MetricsPage(metrics, collect, local=is_local(host))
            try:
                told = await stack.enter_async_context(await serve(page, url))
            except (OSError, ValueError) as error:
                raise UsageError(f"--metrics {url}: {error}") from None
            if not args.quiet:
                complain(f"metrics on {told.urls[0]}{'' if host == '' else '/metrics'}")
        yield


class _Own:
    """The metrics of this worker; `number`: which of several it is."""

    def __init__(self, server: Server, metrics: Metrics, number: int | None) -> None:
        self._server = server
        self._metrics = metrics
        self._labels: Labels = () if number is None else (("worker", str(number)),)

    def families(self) -> list[Family]:
        """Return all there is."""
        from catenet.rpc.services.metrics import connection_families, process_families

        labels = self._labels
        return self._metrics.families(labels) + connection_families(self._server, labels) + process_families(labels)


async def _answering(own: _Own, name: str) -> asyncio.Server:
    """Tell the first worker what it asks for, at a socket of a name that nobody else knows."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(json.dumps(own.families()).encode())
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(answer, name)


async def _ask_all(names: list[str]) -> list[list[Family]]:
    return await asyncio.gather(*map(_ask, names))


async def _ask(name: str) -> list[Family]:
    """Return what another worker tells; nothing from one that is being started again."""
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_unix_connection(sock=_connected(name), limit=_LARGEST)
            try:
                told: list[Any] = json.loads(await reader.read(-1))
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return []
    return [(family, kind, text, [_sample(*each) for each in samples]) for family, kind, text, samples in told]


def _connected(name: str) -> socket.socket:
    """Return a socket that is connected, at once or not at all; uvloop itself takes no abstract names."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        sock.connect(name)
    except OSError:
        sock.close()
        raise
    return sock


def _sample(suffix: str, labels: list[list[str]], value: float) -> tuple[str, Labels, float]:
    return suffix, tuple((key, text) for key, text in labels), value
