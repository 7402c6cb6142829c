"""Options: what a client asks for, what a server grants, and whether a client can take that (RFC 2347). Pure.

blksize (RFC 2348), timeout and tsize (RFC 2349), windowsize (RFC 7440); rollover, which no RFC has, as tftpd-hpa and
others have it: the number after 65,535, 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from catenet.tftp.errors import ErrorCode, TftpError

__all__ = ["Granted", "Wishes", "check", "grant"]

DEFAULT_BLOCK: Final = 512
LEAST_BLOCK: Final = 8
MOST_BLOCK: Final = 65_464
MOST_WINDOW: Final = 65_535
MOST_TIMEOUT: Final = 255
MOST_SIZE: Final = (1 << 63) - 1
BEARABLE: Final = 192 << 10
"""Bytes of a window with the kernel's costs of each datagram, which fit in a receive buffer of Linux's default size."""
_COST: Final = 1024


@dataclass(frozen=True, slots=True)
class Granted:
    """What holds for a transfer. `timeout`: seconds, None: both ends find it out; `size`: the file's, None: unknown."""

    block: int = DEFAULT_BLOCK
    window: int = 1
    timeout: int | None = None
    size: int | None = None
    rollover: int = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a client asks for, and the most that a server grants. Sizes in bytes, times in seconds.

    A client asks for no option whose value is that of a transfer without options.
    """

    block: int = 1428
    window: int = 16
    timeout: int | None = None
    rollover: int | None = None
    size: bool = True

    def __post_init__(self) -> None:
        """Raise `ValueError` for what no option can say."""
        _within("blksize", self.block, LEAST_BLOCK, MOST_BLOCK)
        _within("windowsize", self.window, 1, MOST_WINDOW)
        if self.timeout is not None:
            _within("timeout", self.timeout, 1, MOST_TIMEOUT)
        if self.rollover is not None:
            _within("rollover", self.rollover, 0, 1)

    def options(self, size: int | None) -> dict[str, str]:
        """Return what is to be written in a request; `size`: of the file that is sent, 0 asks for it."""
        found: dict[str, str] = {}
        if self.size and size is not None:
            found["tsize"] = str(size)
        if self.block != DEFAULT_BLOCK:
            found["blksize"] = str(self.block)
        if self.timeout is not None:
            found["timeout"] = str(self.timeout)
        if self.rollover is not None:
            found["rollover"] = str(self.rollover)
        if self.window != 1:
            found["windowsize"] = str(self.window)
        return found


def grant(asked: Mapping[str, str], most: Wishes, size: int | None, writes: bool) -> tuple[Granted, dict[str, str]]:
    """Return what a server grants, and what its OACK says; without a word there is no OACK.

    `size`: of the file that is read, None if it is not known. An option that cannot be read is left out, as if it were
    unknown (RFC 2347); a number that is too large is made smaller where that is allowed.
    """
    said: dict[str, str] = {}
    granted = Granted(rollover=most.rollover or 0)
    block = _number(asked.get("blksize"), LEAST_BLOCK, MOST_SIZE)
    if block is not None:
        granted = replace(granted, block=min(block, most.block, MOST_BLOCK))
        said["blksize"] = str(granted.block)
    window = _number(asked.get("windowsize"), 1, MOST_SIZE)
    if window is not None:
        # A client that cannot hold a window loses its end each time.
        bearable = max(1, BEARABLE // (granted.block + _COST))
        granted = replace(granted, window=min(window, most.window, bearable))
        said["windowsize"] = str(granted.window)
    timeout = _number(asked.get("timeout"), 1, MOST_TIMEOUT)
    if timeout is not None:
        granted = replace(granted, timeout=timeout)
        said["timeout"] = str(timeout)
    rollover = _number(asked.get("rollover"), 0, 1)
    if rollover is not None:
        granted = replace(granted, rollover=rollover)
        said["rollover"] = str(rollover)
    told = _number(asked.get("tsize"), 0, MOST_SIZE)
    if told is not None:
        if writes:
            granted = replace(granted, size=told)
            said["tsize"] = str(told)
        elif size is not None:
            granted = replace(granted, size=size)
            said["tsize"] = str(size)
    return granted, said


def check(said: Mapping[str, str], asked: Mapping[str, str], writes: bool) -> Granted:
    """Return what a server has granted a client. Raises `TftpError` (8) for what was not asked for, or is more."""
    granted = Granted()
    for name, value in said.items():
        if name not in asked:
            raise _refused(f"option {name}, which was not asked for")
        if name == "tsize":
            size = _number(value, 0, MOST_SIZE)
            granted = replace(granted, size=size if not writes else None)
            continue
        least = LEAST_BLOCK if name == "blksize" else 0 if name == "rollover" else 1
        number = _number(value, least, int(asked[name]))
        if number is None or (name in ("timeout", "rollover") and number != int(asked[name])):
            raise _refused(f"{name} {value}, asked for {asked[name]}")
        if name == "blksize":
            granted = replace(granted, block=number)
        elif name == "windowsize":
            granted = replace(granted, window=number)
        elif name == "timeout":
            granted = replace(granted, timeout=number)
        elif name == "rollover":
            granted = replace(granted, rollover=number)
    return granted


def _refused(text: str) -> TftpError:
    return TftpError(ErrorCode.OPTIONS, f"the server says {text}")


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} {value}: from {least} to {most}")


def _number(text: str | None, least: int, most: int) -> int | None:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 19:
        return None
    value = int(text)
    return value if least <= value <= most else None
