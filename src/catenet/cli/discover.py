"""catenet discover: what is on the local network, by SSDP and by multicast DNS."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Never

from catenet.cli import UsageError
from catenet.cli.arguments import duration
from catenet.printable import complain, printable, say

if TYPE_CHECKING:
    from catenet.dns.multicast.services import Service
    from catenet.ssdp.cache import Entry

__all__ = ["register", "run"]

HEAD: Final = ("BY", "WHAT", "NAME", "WHERE", "INTERFACE")
SHORTEST: Final = 1.0
LONGEST: Final = 60.0
LARGEST_WAIT: Final = 5
"""Seconds within which devices may be asked to answer (MX)."""


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.epilog = "Without --ssdp, --mdns and --target both ways are tried. Status 1: nothing was found."
    parser.add_argument("--ssdp", action="store_true", help="devices that speak UPnP only (SSDP)")
    parser.add_argument("--mdns", "--dns-sd", action="store_true", help="services only (DNS-SD by multicast DNS)")
    parser.add_argument(
        "--target", metavar="ST", help="search for this by SSDP: ssdp:all, upnp:rootdevice, uuid:..., urn:..."
    )
    parser.add_argument("--wait", type=duration, default=3.0, metavar="TIME", help="how long to listen (default: 3s)")
    parser.add_argument("-i", "--interface", action="append", metavar="NAME", help="on this interface; repeats")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Listen, and print what was heard; return 0, or 1 if that is nothing."""
    if not SHORTEST <= args.wait <= LONGEST:
        raise UsageError(f"--wait must be {SHORTEST:g} to {LONGEST:g} seconds, not {args.wait:g}")
    try:
        devices, services = asyncio.run(_listen(args))
    except ValueError as error:
        raise UsageError(str(error)) from None
    except ImportError as error:
        raise UsageError(f"multicast needs {error.name}; install: pip install 'catenet[dns]'") from None
    except OSError as error:
        complain(f"catenet: {error.strerror or error}")
        return 1
    rows = [*map(_device, devices), *map(_service, services)]
    if args.json:
        print(json.dumps({"found": rows}, indent=2))
    else:
        _print(rows)
    return 0 if rows else 1


async def _listen(args: argparse.Namespace) -> tuple[Sequence[Entry], Sequence[Service]]:
    """Both at once; whichever is not asked for has found nothing."""
    ssdp = bool(args.ssdp or args.target)
    both = ssdp == args.mdns
    return await asyncio.gather(
        _devices(args) if ssdp or both else _nothing(), _services(args) if args.mdns or both else _nothing()
    )


async def _nothing() -> Sequence[Never]:
    return []


async def _devices(args: argparse.Namespace) -> Sequence[Entry]:
    from catenet.ssdp.links import discover

    wait = min(LARGEST_WAIT, max(1, int(args.wait) - 1))
    return await discover(args.target or "ssdp:all", wait=wait, patience=args.wait, interfaces=args.interface)


async def _services(args: argparse.Namespace) -> Sequence[Service]:
    from catenet.dns.multicast.client import services

    return await services(patience=args.wait, interfaces=args.interface)


def _device(entry: Entry) -> dict[str, Any]:
    one = entry.advertisement
    return {
        "protocol": "ssdp",
        "type": one.target,
        "name": one.usn,
        "location": one.location,
        "address": entry.source,
        "server": one.server,
        "max_age": one.max_age,
        "interface": entry.interface,
    }


def _service(service: Service) -> dict[str, Any]:
    return {
        "protocol": "mdns",
        "type": service.type,
        "name": service.name,
        "host": service.host,
        "port": service.port,
        "addresses": list(service.addresses),
        "properties": {key: _text(value) for key, value in service.properties.items()},
        "interface": service.interface,
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _print(rows: Sequence[dict[str, Any]]) -> None:
    """A table in order of what it is; texts of others are printed without control characters."""
    lines = [HEAD]
    for row in sorted(rows, key=lambda row: (row["protocol"], row["type"], row["name"], row["interface"])):
        where = row["location"] or row["address"] if row["protocol"] == "ssdp" else f"{row['host']}:{row['port']}"
        lines.append((row["protocol"], row["type"], row["name"], where, row["interface"]))
    if len(lines) == 1:
        complain("catenet: nobody has answered")
        return
    shown = [[printable(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in shown) for column in range(len(HEAD))]
    for line in shown:
        say("  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
