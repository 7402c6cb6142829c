"""Values that several verbs take, read for argparse."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from catenet.cli import UsageError
from catenet.wire.address import parse_interface
from catenet.world.scenario.units import parse_duration, parse_stall

if TYPE_CHECKING:
    from catenet.net.tls import TlsError

__all__ = ["address", "check_writable", "duration", "seed", "session_key", "stall", "tls_usage"]


def seed(text: str) -> int | str:
    """A number, or any text."""
    return int(text) if text.lstrip("-").isdecimal() else text


def duration(text: str) -> float:
    """Seconds of `20ms` or of a bare number."""
    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def stall(text: str) -> float:
    """Seconds of a duration, or infinity for `never`."""
    try:
        return parse_stall(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def address(text: str) -> str:
    """An address with or without a prefix length, as it was written."""
    try:
        parse_interface(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def session_key(path: Path | None) -> bytes | None:
    """Return what is in the file of `--session-key`; None without one. Raises `UsageError`."""
    if path is None:
        return None
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise UsageError(f"--session-key {path}: {str(error.strerror).lower()}") from None


def check_writable(option: str, path: Path) -> None:
    """See before a run that its results can be written to a file; UsageError when not. What is in it stays for now."""
    if str(path) == "-" or (path.exists() and not (path.is_file() or path.is_dir())):
        return  # the reader of a FIFO would take an open and a close for its end
    try:
        path.open("ab").close()
    except OSError as error:
        raise UsageError(f"{option} {path}: {(error.strerror or str(error)).lower()}") from None


def tls_usage(args: argparse.Namespace, error: TlsError, options: Sequence[str]) -> UsageError:
    """The error of a file that TLS cannot use, which names the option that has named it; else all that were given."""
    given = {f"--{option}": getattr(args, option.replace("-", "_")) for option in options}
    blamed = [name for name, value in given.items() if error.file is not None and error.file in _files(value)]
    return UsageError(f"{', '.join(blamed[:1] or [name for name, value in given.items() if value])}: {error}")


def _files(value: object) -> Sequence[str]:
    return [str(each) for each in (value if isinstance(value, list | tuple) else [value]) if each is not None]
