"""catenet ntp: what time it is by servers, which of them are wrong, and how far to trust the others."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.arguments import duration
from catenet.printable import complain, printable_json, say

if TYPE_CHECKING:
    from catenet.ntp.client import Answer, Result

__all__ = ["register", "run"]

EPILOG: Final = """
examples:
  catenet ntp time.example.net
  catenet ntp a.example b.example c.example d.example   a liar among four is named
  catenet ntp --samples 4 --json ntp://[2001:db8::123]
  catenet ntp -a pool.example.net                       all that the name has
  catenet ntp --nts time.example.net                    only what that server itself has said
  catenet ntp --watch a.example b.example c.example     what would be done to keep the clock; with --set it is done

Nothing is set without --set, which takes CAP_SYS_TIME. Status: 1 when no server answers, when most do not agree, or
when the clock may not be set.
"""
SHOWN: Final = ("address", "stratum", "offset", "delay", "jitter", "root_distance", "verdict")
COLUMNS: Final = ("server", "stratum", "offset", "delay", "jitter", "root distance", "verdict")


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("servers", nargs="+", metavar="SERVER", help="HOST, HOST:PORT, ntp://… or nts://…")
    family = parser.add_mutually_exclusive_group()
    family.add_argument("-4", dest="family", action="store_const", const=socket.AF_INET, help="over IPv4 only")
    family.add_argument("-6", dest="family", action="store_const", const=socket.AF_INET6, help="over IPv6 only")
    parser.add_argument(
        "--samples", type=int, choices=range(1, 5), default=1, metavar="N", help="of each server, 2 s apart: 1 to 4 (1)"
    )
    parser.add_argument("--timeout", type=duration, default=2.0, metavar="TIME", help="for each answer (2s)")
    parser.add_argument("-a", "--all", action="store_true", help="ask all addresses of a name, as of a pool")
    parser.add_argument("--nts", action="store_true", help="Network Time Security (RFC 8915); as nts://HOST:PORT")
    parser.add_argument("--ca", metavar="FILE", help="authorities to trust with NTS, instead of the system's (PEM)")
    parser.add_argument("--set", action="store_true", help="set this machine's clock to what most servers agree on")
    parser.add_argument("--watch", action="store_true", help="go on until Ctrl-C, a line for each correction")
    parser.add_argument(
        "--minpoll", type=int, default=6, metavar="N", help="with --watch: each 2**N s at first (6: 64 s)"
    )
    parser.add_argument("--maxpoll", type=int, default=10, metavar="N", help="with --watch: at least each 2**N s (10)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Ask the servers; return 0 when most of them agree, else 1."""
    if args.watch:
        from catenet.cli.ntp_watch import watch

        if args.all or args.family or args.samples != 1:
            raise UsageError("--all, -4, -6 and --samples do not go with --watch")
        return watch(args)
    from catenet.ntp.client import query

    if args.timeout <= 0:
        raise UsageError("--timeout: more than 0 s")
    from catenet.net.tls import TlsError

    work = query(
        args.servers,
        samples=args.samples,
        patience=args.timeout,
        family=args.family or socket.AF_UNSPEC,
        secure=args.nts,
        ca=args.ca,
        every_address=args.all,
    )
    try:
        result = asyncio.run(work)
    except TlsError as error:
        raise UsageError(f"--ca: {error}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    except ImportError as error:
        raise UsageError(f"NTS needs the package {error.name}: pip install 'catenet[nts]'") from None
    if args.json:
        print(printable_json(json.dumps(_facts(result), ensure_ascii=False)))
    else:
        _print(result)
    for one in result.answers:
        if one.problem:
            complain(f"catenet: {one.server}: {one.problem}")
    offset = result.selection.offset
    if offset is None:
        heard = any(one.verdict != "unreachable" for one in result.answers)
        complain(f"catenet: {'most servers do not agree' if heard else 'no server has answered'}")
        return 1
    return _set_clock(offset) if args.set else 0


def _set_clock(offset: float) -> int:
    from catenet.ntp.clocks import SystemClock

    try:
        SystemClock().step(offset)
    except OSError as error:
        why = "that takes CAP_SYS_TIME" if isinstance(error, PermissionError) else error.strerror or str(error)
        complain(f"catenet: --set: the clock was not set: {why}")
        return 1
    return 0


def _facts(result: Result) -> dict[str, object]:
    """What programs read; seconds, null for what is not known."""
    chosen = result.selection
    return {
        "servers": [_server(one) for one in result.answers],
        "offset": chosen.offset,
        "error_bound": None if chosen.offset is None else chosen.error_bound,
    }


def _server(one: Answer) -> dict[str, object]:
    association = one.association
    current, said = association.current, association.server
    return {
        "address": one.server,
        "resolved": one.resolved or None,
        "stratum": None if said is None else said.stratum,
        "offset": None if current is None else current.offset,
        "delay": None if current is None else current.delay,
        "jitter": None if current is None else current.jitter,
        "root_distance": None if current is None else association.root_distance(time.time()),
        "verdict": one.verdict,
        "nts": one.secure,
    }


def _print(result: Result) -> None:
    from catenet.tables import make_table, show

    rows = []
    for one in result.answers:
        facts = _server(one)
        facts["address"] = _named(one)
        row = [_cell(name, facts[name]) for name in SHOWN]
        if one.association.kiss:
            row[-1] += f" ({one.association.kiss})"
        rows.append(row)
    show(make_table(COLUMNS, rows), sys.stdout)
    chosen = result.selection
    if chosen.offset is not None:
        say(f"offset {chosen.offset:+.6f} s ± {chosen.error_bound:.6f} s")
    for one in result.answers:
        if one.verdict == "falseticker":
            say(f"falseticker: {_named(one)}")


def _named(one: Answer) -> str:
    """A server as it was named, and its address if that says more."""
    return f"{one.server} ({one.resolved})" if one.resolved and one.resolved not in one.server else one.server


def _cell(name: str, value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:+.6f} s" if name == "offset" else f"{value:.6f} s"
    return str(value)
