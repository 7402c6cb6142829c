"""poll(2) and epoll(7)."""

from __future__ import annotations

import errno

from catenet.posix.epoll import Epoll
from catenet.posix.file import File
from catenet.testing.packetdrill.calls.arguments import Arguments
from catenet.testing.packetdrill.calls.process import Process, os_error
from catenet.testing.packetdrill.calls.sockets import expected_fd
from catenet.testing.packetdrill.symbols import SYMBOLS, evaluate, names_of
from catenet.testing.packetdrill.syntax import Call, Items, Structure

__all__ = ["control_epoll", "make_epoll", "poll_files", "wait_epoll"]

_ALWAYS = SYMBOLS["POLLERR"] | SYMBOLS["POLLHUP"]
_NVAL = SYMBOLS["POLLNVAL"]
_ADD, _DELETE, _MODIFY = SYMBOLS["EPOLL_CTL_ADD"], SYMBOLS["EPOLL_CTL_DEL"], SYMBOLS["EPOLL_CTL_MOD"]


def _wide(bits: int) -> int:
    """Readiness with the names that POLLIN and POLLOUT also have for normal data."""
    return bits | (0x40 if bits & 1 else 0) | (0x100 if bits & 4 else 0)


def _field(structure: Structure, name: str, default: int | None = None) -> int:
    value = structure.get(name)
    if value is None:
        if default is None:
            raise ValueError(f"expected {name}=…")
        return default
    return evaluate(value)


def _wait(process: Process, name: str, files: list[File], timeout: int, look: object) -> None:
    """Park until something may be ready or `timeout` milliseconds (negative: no limit) have passed."""
    kernel = process.kernel
    deadline = None if timeout < 0 else kernel.runtime.now() + timeout / 1000
    assert callable(look)
    while not look():
        remaining = None if deadline is None else deadline - kernel.runtime.now()
        if remaining is not None and remaining <= 0:
            return
        kernel.runtime.park(name, files, remaining)


def poll_files(process: Process, call: Call) -> int:
    """poll(2), every revents compared."""
    arguments = Arguments(call, 3)
    entries = [one for one in arguments.items(0) if isinstance(one, Structure)]
    if len(entries) != len(arguments.items(0)):
        raise ValueError("argument 1: expected [{fd=…, events=…, revents=…}]")
    wanted = [(_field(one, "fd"), _field(one, "events")) for one in entries]
    files: list[File | None] = []
    for fd, _ in wanted:
        try:
            files.append(process.file(fd))
        except OSError:
            files.append(None)

    def look() -> list[int]:
        found = [
            _NVAL if file is None else _wide(file.readiness()) & (events | _ALWAYS)
            for file, (_, events) in zip(files, wanted, strict=True)
        ]
        return found if any(found) else []

    _wait(process, "poll", [file for file in files if file is not None], arguments.number(2), look)
    found = look() or [0] * len(wanted)
    for one, bits, (fd, _) in zip(entries, found, wanted, strict=True):
        expected = _field(one, "revents", 0)
        process.complain(f"revents of {fd}", names_of(expected, "POLL"), names_of(bits, "POLL"))
    return sum(1 for bits in found if bits)


def make_epoll(process: Process, call: Call) -> int:
    """epoll_create(2)."""
    Arguments(call, 1)
    return process.install(expected_fd(call), Epoll())


def _epoll(process: Process, fd: int) -> Epoll:
    file = process.file(fd)
    if not isinstance(file, Epoll):
        raise os_error(errno.EINVAL)
    return file


def _data(structure: Structure) -> int | None:
    for name in ("fd", "ptr", "u32", "u64"):
        value = structure.get(name)
        if value is not None:
            return evaluate(value)
    return None


def control_epoll(process: Process, call: Call) -> int:
    """epoll_ctl(2)."""
    arguments = Arguments(call, 4)
    number, command, fd = arguments.number(0), arguments.number(1), arguments.number(2)
    epoll, file = _epoll(process, number), process.file(fd)
    if command == _DELETE:
        epoll.remove(fd, file)
        return 0
    event = arguments.structure(3)
    events = _field(event, "events")
    data = _data(event)
    if command == _ADD:
        epoll.add(fd, file, events)
    elif command == _MODIFY:
        epoll.modify(fd, file, events)
    else:
        raise os_error(errno.EINVAL)
    process.epoll_data[number, fd] = fd if data is None else data
    return 0


def wait_epoll(process: Process, call: Call) -> int:
    """epoll_wait(2), events and data compared."""
    arguments = Arguments(call, 4, 5)
    number = arguments.number(0)
    epoll = _epoll(process, number)
    raw = arguments.raw(1)
    expected = [one for one in (raw.values if isinstance(raw, Items) else (raw,)) if isinstance(one, Structure)]
    limit = arguments.number(2)
    if limit <= 0:
        raise os_error(errno.EINVAL)
    found: list[tuple[int, int]] = []

    def look() -> bool:
        found[:] = epoll.collect(limit)
        return bool(found)

    _wait(process, "epoll_wait", [epoll], arguments.number(3), look)
    for index, one in enumerate(expected):
        fd, bits = found[index] if index < len(found) else (0, 0)
        process.complain("events", names_of(_field(one, "events"), "EPOLL"), names_of(bits, "EPOLL"))
        data = _data(one)
        if data is not None and index < len(found):
            process.complain("data", data, process.epoll_data.get((number, fd)))
    return len(found)
