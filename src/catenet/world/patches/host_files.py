"""`open`: what a host with name servers shows as /etc/resolv.conf and /etc/hosts, and the files of a signed root; all
other files are the machine's.

Programs with resolvers of their own read the first; what they would find there otherwise are the servers of the machine
that runs the world. The files can be read only: neither the machine's may change, nor does the host ask its own.
"""

from __future__ import annotations

import _io
import builtins
import errno
import io
import os
import re
from typing import TYPE_CHECKING, Any, Final

from catenet.wire.address import format_address
from catenet.wire.dns.resolv_conf import format_resolv_conf
from catenet.world.engine.current import current
from catenet.world.engine.streams import CLOSED
from catenet.world.patches.file_times import note_opened, open_to_write
from catenet.world.patches.patching import Patcher, copy_identity
from catenet.world.patches.proc import machines_path, proc_text
from catenet.world.patches.rawfile import RawFile, RawStream

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

PROC: Final = "/proc/"
RESOLV_CONF: Final = "/etc/resolv.conf"
HOSTS: Final = "/etc/hosts"
LOCAL: Final = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
DESCRIPTORS: Final = re.compile(r"/dev/(stdin|stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)")
STREAMS: Final = {"stdin": 0, "stdout": 1, "stderr": 2}
LONGEST: Final = 64
"""Characters of the path of a host's own file."""

_original_open: Final = io.open
_original_os_open: Final = os.open


class _Open:
    """Takes the place of `open`; no function, which a class that has it as an attribute would make a method of."""

    def __call__(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: Any = None,
        errors: Any = None,
        newline: Any = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        task = current.task
        if task is not None and not isinstance(file, int) and opener is None:
            same = _descriptor_named(task.process, file)
            if same >= 0:
                return self(_another(same, file), mode, buffering, encoding, errors, newline)
        if task is not None and isinstance(file, int):
            kernel = task.process.host.kernel
            if kernel.is_open_here(file):
                raw = RawFile(kernel, file, mode, closefd=closefd)
                return raw.wrap(mode, buffering, encoding, errors, newline)
            leads = task.process.streams.redirected.get(file, file)
            if 0 <= leads <= 2:
                return RawStream(file, mode, closefd=closefd and file > 2).wrap(
                    mode, buffering, encoding, errors, newline
                )
            if leads != file:  # the file object gets another descriptor of what it leads to
                return self(os.dup(leads), mode, buffering, encoding, errors, newline, True, opener)
        elif task is not None and opener is None:
            text = _text_of(task.process, file)
            if text is not None:
                _check_mode(set("wax+").isdisjoint(mode), file)

                def opener(path: Any, flags: int) -> int:
                    return _descriptor_of(text)

        if task is not None and not isinstance(file, int):
            file = machines_path(task.process, file)
        if task is None:
            return _original_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        found: Any = open_to_write(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if found is None:
            found = _original_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not set("wax+").isdisjoint(mode):
            task.process.written[found] = None
        return found


def _open_descriptor(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """`os.open`."""
    task = current.task
    if task is not None:
        same = _descriptor_named(task.process, path)
        if same >= 0:
            return _another(same, path)
        text = _text_of(task.process, path)
        if text is not None:
            _check_mode(not flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC), path)
            return _descriptor_of(text)
        path = machines_path(task.process, path)
    descriptor = _original_os_open(path, flags, mode, dir_fd=dir_fd)
    if task is not None:
        note_opened(descriptor, path, flags)
        return _lowest(task.process, descriptor)
    return descriptor


def _descriptor_named(process: Process, path: Any) -> int:
    """The descriptor that a name stands for (`/dev/stdin`, `/dev/fd/3`), if it is the host's; -1 otherwise."""
    if not isinstance(path, str | bytes) or len(path) > LONGEST:
        return -1
    found = DESCRIPTORS.fullmatch(os.fsdecode(path))
    if found is None:
        return -1
    number = STREAMS[found[1]] if found[1] else int(found[2])
    leads = process.streams.redirected.get(number, number)
    return number if 0 <= leads <= 2 or process.host.kernel.is_open_here(leads) else -1


def _another(number: int, path: Any) -> int:
    """Another descriptor of what one stands for; ENOENT when that is closed."""
    try:
        return os.dup(number)
    except OSError:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None


def _lowest(process: Process, descriptor: int) -> int:
    """The number of a new descriptor: that of a standard stream which the program has closed, as daemons count on."""
    redirected = process.streams.redirected
    number = next((number for number in range(3) if redirected.get(number) == CLOSED), -1)
    if number < 0:
        return descriptor
    redirected[number] = descriptor
    return number


def _text_of(process: Process, path: Any) -> str | None:
    """Text of a host's own file; None for a file of the machine."""
    try:
        name = os.fsdecode(path)
    except TypeError:
        return None
    if name.startswith(PROC):
        return proc_text(process, name)
    host = process.host
    if host.name_service is None:
        return None
    if len(name) > LONGEST:
        return None
    if name == RESOLV_CONF:
        return format_resolv_conf(host.name_service)
    if name in host.files:
        return host.files[name]()
    if name == HOSTS:
        lines = [
            f"{format_address(address)}\t{known}\n"
            for known, addresses in host.names.entries()
            for address in addresses
        ]
        return LOCAL + "".join(lines)
    return None


def _check_mode(reads: bool, path: Any) -> None:
    if not reads:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


def _descriptor_of(text: str) -> int:
    """A descriptor from which a text can be read."""
    descriptor = os.memfd_create("host file")
    os.write(descriptor, text.encode("utf-8", "surrogateescape"))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def apply(patcher: Patcher) -> None:
    """Patch `open`, by all its names, and `os.open`."""
    opening = copy_identity(_Open(), _original_open)
    for module in (io, _io, builtins):
        patcher.replace(module, "open", opening)
    patcher.replace(os, "open", copy_identity(_open_descriptor, _original_os_open))
