"""catenet serve dns: names, recursive for this machine, authoritative for zones, forwarding when told so."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError, logs
from catenet.cli.serving import Kind, add_arguments, cannot_listen, run_server, tls_context

if TYPE_CHECKING:
    from catenet.dns.server.config import ServerConfig
    from catenet.dns.server.counters import Board
    from catenet.dns.server.courier import Courier
    from catenet.dns.server.service import Service
    from catenet.net.workers import Placement

__all__ = ["register", "run"]

DEFAULT_LISTEN: Final = "udp+tcp://localhost:53"
EPILOG: Final = """\
Without options it resolves names for programs on this machine, and checks signatures. Options replace what the file of
--config says.

  catenet serve dns --listen udp+tcp://127.0.0.1:5353
  catenet serve dns --zone example.org.zone --no-recursive --listen udp+tcp://[::]:53 --workers 2
  catenet serve dns --forward 192.0.2.1 --listen tls://[::]:853 --listen https://[::]:443 --cert server.pem
"""


def register(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EPILOG
    parser.add_argument("--config", metavar="FILE", help="settings in TOML (docs/dns.md)")
    parser.add_argument("--zone", action="extend", nargs="+", default=[], metavar="FILE", help="serve a master file")
    parser.add_argument(
        "--recursive", action=argparse.BooleanOptionalAction, default=None, help="answer for other names (default: yes)"
    )
    parser.add_argument(
        "--forward", action="extend", nargs="+", default=[], metavar="ADDRESS", help="ask these recursive servers"
    )
    parser.add_argument("--root-hints", metavar="FILE", help="servers of the root (master format)")
    parser.add_argument("--trust-anchor", metavar="FILE", help="DS or DNSKEY records to trust (master format)")
    parser.add_argument("--query-log", metavar="FILE", help="write a line of JSON for each query")
    parser.add_argument("--metrics", metavar="URL", help="serve figures for Prometheus, http://127.0.0.1:9153")
    parser.add_argument(
        "--print-ds", action="store_true", help="print DS records of the zones that are signed here, and end"
    )
    add_arguments(parser, _kind(), reload="read zones and settings again when their files change")


def _kind() -> Kind:
    from catenet.dns.server.server import SCHEMES

    return Kind("dns", SCHEMES, DEFAULT_LISTEN, reloads=True)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal."""
    import secrets

    from catenet.dns.server.build import with_secrets
    from catenet.dns.server.config import ConfigError
    from catenet.dns.server.cookies import SECRET_LENGTH
    from catenet.dns.server.counters import Board
    from catenet.dns.server.courier import Courier

    secret = secrets.token_bytes(SECRET_LENGTH)

    def read() -> ServerConfig:
        return with_secrets(_config(args), secret)

    try:
        config = read()
    except ConfigError as error:
        raise UsageError(str(error)) from None
    if args.print_ds:
        return _print_ds(config)
    if args.workers > 1:
        _check_shared(config)
    board, courier = Board(args.workers), Courier(args.workers)
    return run_server(args, _kind(), partial(_serving, args, read, board, courier), config.listen)


def _check_shared(config: ServerConfig) -> None:
    """Several processes share what changes by files."""
    for zone in (*config.zones, *(zone for view in config.views for zone in view.of(config).zones)):
        if not zone.file and (zone.primaries or zone.sign is not None):
            raise UsageError(f"--workers: the zone {zone.name} needs a file, by which the processes share it")


def _print_ds(config: ServerConfig) -> int:
    """Keys that are not there yet are made."""
    from catenet.dns.server.authority import Authority
    from catenet.dns.server.build import read_zones
    from catenet.dns.server.config import ConfigError

    try:
        lines = Authority(config, read_zones(config)).ds_lines()
    except ConfigError as error:
        raise UsageError(str(error)) from None
    if not lines:
        raise UsageError("--print-ds: no [[zone]] of --config has sign")
    print(*lines, sep="\n")
    return 0


def _config(args: argparse.Namespace) -> ServerConfig:
    """What the file says, with what the command line says instead. Raises ConfigError."""
    from dataclasses import replace

    from catenet.dns.server.build import address_of
    from catenet.dns.server.config import ServerConfig, ZoneConfig
    from catenet.dns.server.config_file import read_config

    config = read_config(Path(args.config)) if args.config else ServerConfig()
    changes: dict[str, object] = {"file": args.config or ""}
    if args.zone:
        changes["zones"] = (*config.zones, *(ZoneConfig(file=file) for file in args.zone))
    if args.recursive is not None:
        changes["recursive"] = args.recursive
    if args.forward:
        changes["forward"] = tuple(args.forward)
        for text in args.forward:
            address_of(text, "--forward")
    for name in ("root_hints", "trust_anchor", "query_log", "metrics"):
        if getattr(args, name):
            changes[name] = getattr(args, name)
    changed: ServerConfig = replace(config, **changes)  # type: ignore[arg-type]
    return changed


@contextlib.asynccontextmanager
async def _serving(
    args: argparse.Namespace, read: Callable[[], ServerConfig], board: Board, courier: Courier, placement: Placement
) -> AsyncIterator[Service]:
    from catenet.dns.server.config import ConfigError
    from catenet.dns.server.service import Service

    logs.configure(args, several=args.workers > 1)
    service = Service(read, board, placement.number, courier)
    try:
        await service.start(
            placement.urls,
            tls=tls_context(args),
            certificate=(args.cert, args.key) if args.cert else None,
            reuse_port=placement.reuse_port,
            shared=placement.shared,
            watch_files=args.reload,
        )
    except ConfigError as error:
        raise UsageError(str(error)) from None
    except (OSError, ValueError) as error:
        raise cannot_listen(placement.urls, error) from None
    try:
        yield service
    finally:
        await service.close()
