"""What keeps a clock by servers, for `catenet ntp --watch` and `catenet serve ntp --upstream`."""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.net.tls import TlsError
from catenet.ntp.association import Association, PollRange
from catenet.ntp.clocks import Clock, ReportingClock, SystemClock
from catenet.ntp.daemon import Keeper, Server
from catenet.ntp.upstream import follow
from catenet.printable import complain, printable, printable_json, say

if TYPE_CHECKING:
    from catenet.ntp.steering import Update

__all__ = ["choose_clock", "followed", "watch"]

MICRO: Final = 1e-6


def followed(args: argparse.Namespace, servers: list[str], secure: bool) -> dict[Server, Association]:
    """Return the servers that the command line names. Raises `UsageError`."""
    try:
        polls = PollRange(args.minpoll, args.maxpoll)
    except ValueError as error:
        raise UsageError(f"--minpoll, --maxpoll: {error}") from None
    try:
        return follow(servers, polls=polls, secure=secure, ca=args.ca)
    except TlsError as error:
        raise UsageError(f"--ca: {error}") from None
    except ValueError as error:
        raise UsageError(str(error)) from None
    except ImportError as error:
        raise UsageError(f"NTS needs the package {error.name}: pip install 'catenet[nts]'") from None


def choose_clock(args: argparse.Namespace) -> Clock:
    """Return the clock that is kept: the system's with `--set`, otherwise one that only shows what that would show.

    Raises `UsageError` where the system's may not be adjusted.
    """
    if not args.set:
        return ReportingClock(lambda line: None)
    clock = SystemClock()
    try:
        clock.adjust_frequency(clock.frequency())  # changes nothing, and is refused like everything else
    except OSError as error:
        why = "that takes CAP_SYS_TIME" if isinstance(error, PermissionError) else error.strerror or str(error)
        raise UsageError(f"--set: the clock may not be adjusted: {why}") from None
    return clock


def watch(args: argparse.Namespace) -> int:
    """Keep a clock until a signal, and print a line for each correction; 1 if no server wants to be asked."""
    servers, clock = followed(args, args.servers, args.nts), choose_clock(args)
    keeper = Keeper(
        servers,
        clock,
        on_update=lambda update: _tell(args, update, clock),
        on_problem=lambda name, why: complain(f"catenet: {name}: {why}"),
    )
    return asyncio.run(_watch(keeper))


async def _watch(keeper: Keeper) -> int:
    from catenet.net.workers import stop_event

    stop = asyncio.create_task(stop_event().wait())
    kept = asyncio.create_task(keeper.run())
    done, waiting = await asyncio.wait([stop, kept], return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    if kept in done:
        kept.result()
        complain("catenet: no server wants to be asked any more")
        return 1
    return 0


def _tell(args: argparse.Namespace, update: Update, clock: Clock) -> None:
    action, choice = update.action, update.choice
    names = [one.name for one in choice.agreeing]
    others = [one.name for one in choice.others]
    if args.json:
        facts = {
            "time": clock.now(),
            "offset": choice.offset,
            "error_bound": choice.error_bound,
            "action": "step" if action.step else "slew",
            "frequency": action.frequency / MICRO,
            "set": args.set,
            "agreeing": names,
            "others": others,
        }
        say(printable_json(json.dumps(facts, ensure_ascii=False)))
        return
    time = datetime.fromtimestamp(clock.now(), UTC).isoformat(sep=" ", timespec="milliseconds")
    done = f"{'' if args.set else 'would '}{'step' if action.step else 'slew'}"
    said = f"{time} offset {choice.offset:+.6f} s ± {choice.error_bound:.6f} s, {done}"
    line = f"{said}, {action.frequency / MICRO:+.3f} ppm"
    say(f"{line}; {printable(' '.join(names))}" + (f"; not {printable(' '.join(others))}" if others else ""))
