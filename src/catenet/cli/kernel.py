"""One program on the operating system's own sockets: `catenet run --net kernel`."""

from __future__ import annotations

import argparse
import os
import runpy
import signal
import sys
import time
from pathlib import Path

from catenet.cli import UsageError
from catenet.world.engine.program import find_module

__all__ = ["run_on_kernel"]


def run_on_kernel(args: argparse.Namespace, is_world: bool) -> int:
    """Run the program as `python` would, in this process, and return its exit status.

    A world is refused: its host names resolve nowhere on the kernel's network, and its links are no links.
    """
    if is_world:
        raise UsageError("a world runs on --net sim; on the kernel's network start its programs one by one")
    for option in ("pcap", "pcap_host", "plot", "json", "address", "mtu", "timestamps", "tables"):
        if getattr(args, option):
            raise UsageError(
                f"--{option.replace('_', '-')} goes with --net sim or tun; the kernel's network is the kernel's"
            )
    if args.uvloop:
        _use_uvloop()
    if args.duration is not None:
        signal.signal(signal.SIGALRM, lambda *_: _interrupt())
        signal.setitimer(signal.ITIMER_REAL, args.duration)
    deadline = None if args.duration is None else time.monotonic() + args.duration
    try:
        _run_program(args.command)
    except KeyboardInterrupt:
        return 0 if deadline is not None and time.monotonic() >= deadline else 130
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return 0 if stop.code is None else int(stop.code)
    return 0


def _interrupt() -> None:
    """Interrupt as Ctrl-C does, so that the program ends in order; also where a shell lets jobs ignore Ctrl-C (`&`)."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.raise_signal(signal.SIGINT)


def _run_program(command: list[str]) -> None:
    if command[0] == "-m":
        sys.argv = list(command[1:])
        sys.path.insert(0, os.getcwd())
        find_module(command[1])  # ends here, as `python -m` does, when nothing can be run by this name
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(command)
        sys.path.insert(0, str(Path(command[0]).resolve().parent))
        runpy.run_path(command[0], run_name="__main__")


def _use_uvloop() -> None:
    import asyncio

    try:
        import uvloop
    except ImportError:
        raise UsageError("--uvloop needs uvloop: pip install 'catenet[uvloop]'") from None
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
