"""Socket options, ioctl, and the values of TCP_INFO that code blocks look at."""

from __future__ import annotations

import dataclasses
import errno
import struct

from catenet.posix.sockets import SocketFile
from catenet.testing.packetdrill.calls.arguments import Arguments, in_bracket, linger
from catenet.testing.packetdrill.calls.process import Process, os_error
from catenet.testing.packetdrill.symbols import SYMBOLS, evaluate
from catenet.testing.packetdrill.syntax import Call, Ellipsis_, Items, Quoted, Structure

__all__ = ["control_device", "get_option", "set_option", "tcp_info_values"]


def set_option(process: Process, call: Call) -> int:
    """setsockopt(2) with `[number]`, a string, or a structure."""
    arguments = Arguments(call, 4, 5)
    file = process.socket(arguments.number(0))
    level, option = arguments.number(1), arguments.number(2)
    raw = arguments.raw(3)
    length = arguments.number(4, 4)
    value: int | bytes
    match raw:
        case Quoted(text):
            value = text[:length] if not isinstance(arguments.raw(4), Ellipsis_) else text
            if length > len(text):
                value = text + bytes(length - len(text))
        case Structure():
            value = linger(raw) if raw.get("onoff") is not None else _packed(raw)
        case Items():
            numbers = [evaluate(one) for one in raw.values]
            if length < 4 and len(numbers) == 1 and length > 0:
                value = numbers[0] & ((1 << 8 * length) - 1)
            else:
                value = numbers[0] if len(numbers) == 1 else struct.pack(f"{len(numbers)}i", *numbers)
        case _:
            if not arguments.is_null(3):
                value = evaluate(raw)
            elif length:
                raise os_error(errno.EFAULT)
            else:
                value = b""
    file.set_option(level, option, value)
    return 0


def _packed(value: Structure) -> bytes:
    """A structure of numbers, each a long (as struct timeval)."""
    return b"".join(struct.pack("l", evaluate(one.value)) for one in value)


def get_option(process: Process, call: Call) -> int:
    """getsockopt(2), compared with what the script expects."""
    arguments = Arguments(call, 5)
    file = process.socket(arguments.number(0))
    level, option = arguments.number(1), arguments.number(2)
    raw = arguments.raw(3)
    size = in_bracket(arguments.raw(4)) or 0
    if isinstance(raw, Structure) and raw.get("onoff") is not None:
        got = file.get_option(level, option, 8)
        process.complain("struct linger", linger(raw), got)
    elif isinstance(raw, Quoted):
        got = file.get_option(level, option, max(size, len(raw.value)))
        text = got.rstrip(b"\0") if isinstance(got, bytes) else got
        process.complain("value", raw.value.rstrip(b"\0"), text)
    elif isinstance(raw, Ellipsis_):
        file.get_option(level, option, size)
    elif (expected := in_bracket(raw)) is not None:
        got = file.get_option(level, option, 0)
        number = got if isinstance(got, int) else int.from_bytes(got[:4], "little", signed=True)
        if expected < 0 or expected > 0x7FFFFFFF:
            expected, number = expected & 0xFFFFFFFF, number & 0xFFFFFFFF
        process.complain("value", expected, number)
    else:
        raise ValueError("argument 4: expected [number], a string or a structure")
    return 0


def control_device(process: Process, call: Call) -> int:
    """ioctl(2): SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, FIONBIO."""
    arguments = Arguments(call, 2, 3)
    file = process.file(arguments.number(0))
    command = arguments.number(1)
    if command == SYMBOLS["FIONBIO"]:
        file.nonblocking = bool(in_bracket(arguments.raw(2)))
        return 0
    if not isinstance(file, SocketFile):
        raise os_error(errno.ENOTTY)
    if command == SYMBOLS["SIOCINQ"]:
        got = file.unread()
    elif command == SYMBOLS["SIOCOUTQ"]:
        got = file.unsent()
    elif command == SYMBOLS["SIOCOUTQNSD"]:
        got = _info(file).get("tcpi_notsent_bytes", 0)
    else:
        raise os_error(errno.EINVAL)
    raw = arguments.raw(2)
    expected = in_bracket(raw)
    if expected is not None:
        process.complain("value", expected, got)
    elif not isinstance(raw, Ellipsis_):
        raise ValueError("argument 3: expected [number]")
    return 0


def tcp_info_values(process: Process, fd: int) -> dict[str, int]:
    """`tcpi_` values of a socket, by name, and what is known of its memory; empty for one that is not TCP's."""
    try:
        file = process.socket(fd)
        return {**_info(file), **_memory(file)}
    except OSError:
        return {}


def _memory(file: SocketFile) -> dict[str, int]:
    """The part of SO_MEMINFO that means something here: buffer limits, and what is queued."""
    level = SYMBOLS["SOL_SOCKET"]
    sizes = [file.get_option(level, SYMBOLS[name], 0) for name in ("SO_RCVBUF", "SO_SNDBUF")]
    return {
        "SK_MEMINFO_RCVBUF": int.from_bytes(sizes[0], "little") if isinstance(sizes[0], bytes) else sizes[0],
        "SK_MEMINFO_SNDBUF": int.from_bytes(sizes[1], "little") if isinstance(sizes[1], bytes) else sizes[1],
        "SK_MEMINFO_RMEM_ALLOC": file.unread(),
        "SK_MEMINFO_WMEM_QUEUED": file.unsent(),
        "SK_MEMINFO_BACKLOG": 0,
        "SK_MEMINFO_DROPS": 0,
    }


def _info(file: SocketFile) -> dict[str, int]:
    info = getattr(getattr(file, "endpoint", None), "info", None)
    if info is None:
        return {}
    values = dataclasses.asdict(info())
    return {name if name.startswith("tcpi_") else f"tcpi_{name}": int(value) for name, value in values.items()}
