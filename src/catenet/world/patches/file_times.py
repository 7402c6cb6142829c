"""Times of files: those that programs write have the world's time, and none is from a time to come.

What a program writes gets the time that its host's clock shows, on the disk: so all hosts see it, and whoever looks
after the run. Files that were there before, and what C libraries write (databases), have the machine's time, which is
later than the world's: of them programs see the time at which the world began, in every run. Modules (`.py`) keep the
machine's time, by which the interpreter knows whether it has compiled them.
"""

from __future__ import annotations

import io
import os
import re
import stat
import types
from collections.abc import Callable
from importlib import _bootstrap_external
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.engine.wallclock import SECOND
from catenet.world.patches.file_numbers import number_of
from catenet.world.patches.patching import Patcher, copy_identity

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply", "note_opened", "open_to_write", "stamping"]

_MODE: Final = re.compile(r"(?=.*[wax+])[rwaxbt+]+")

_utime: Final = os.utime
_fstat: Final = os.fstat


def _stamp(descriptor: Any) -> None:
    """Give a file, by its descriptor or name, the time that the running program's host has."""
    task = current.task
    if task is not None and not task.process.world.is_real:
        now = task.process.host.wall.nanoseconds()
        try:
            _utime(descriptor, ns=(now, now))
        except OSError:  # another user's, or gone
            pass


def _is_timed(descriptor: int, name: Any) -> bool:
    """Whether an open file is to have the world's time."""
    if isinstance(name, (str, bytes)) and os.fsencode(name).endswith((b".py", b".pyc")):
        return False
    try:
        return stat.S_ISREG(_fstat(descriptor).st_mode)
    except OSError:
        return False


class _File(io.FileIO):
    """A file that is written: each write gives it the time."""

    timed = False

    def write(self, data: Any, /) -> int:
        count = super().write(data)
        if self.timed:
            _stamp(self.fileno())
        return count

    def truncate(self, size: int | None = None, /) -> int:
        done = super().truncate(size)
        if self.timed:
            _stamp(self.fileno())
        return done


def open_to_write(
    file: Any,
    mode: str,
    buffering: int,
    encoding: Any,
    errors: Any,
    newline: Any,
    closefd: bool,
    opener: Any,
) -> Any:
    """What `open` returns for a file that is written; None where `open` itself is to say what is wrong, or right."""
    task = current.task
    if task is None or task.process.world.is_real or not isinstance(mode, str) or not _MODE.fullmatch(mode):
        return None
    kinds = [letter for letter in mode if letter in "rwax"]
    binary = "b" in mode
    if len(kinds) != 1 or len(set(mode)) != len(mode) or (binary and "t" in mode):
        return None
    if type(buffering) is not int or (buffering == 0 and not binary) or buffering < -1:
        return None
    if binary and (buffering == 1 or not encoding is errors is newline is None):
        return None
    try:
        file = file if isinstance(file, int) else os.fspath(file)
    except TypeError:
        return None
    raw = _File(file, kinds[0] + ("+" if "+" in mode else ""), closefd, opener)
    result: Any = raw
    try:
        raw.timed = _is_timed(raw.fileno(), file)
        if raw.timed and kinds[0] != "r" and not _fstat(raw.fileno()).st_size:
            _stamp(raw.fileno())
        line_buffering = buffering == 1 or (buffering < 0 and raw.isatty())
        if buffering == 0:
            return raw
        size = max(_fstat(raw.fileno()).st_blksize, io.DEFAULT_BUFFER_SIZE) if buffering <= 1 else buffering
        result = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if binary:
            return result
        result = text = io.TextIOWrapper(result, encoding, errors, newline, line_buffering)
        text.mode = mode  # type: ignore[misc]
        return text
    except BaseException:
        result.close()
        raise


def note_opened(descriptor: int, path: Any, flags: int) -> None:
    """Give a file that `os.open` has made, or emptied, its time."""
    if flags & (os.O_CREAT | os.O_TRUNC) and _is_timed(descriptor, path) and not _fstat(descriptor).st_size:
        _stamp(descriptor)


def stamping(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `os` that writes to a descriptor, and gives the file its time."""

    def write(descriptor: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(descriptor, *args, **kwargs)
        if current.task is not None and isinstance(descriptor, int) and _is_timed(descriptor, None):
            _stamp(descriptor)
        return result

    return copy_identity(write, original)


# What programs see.


def _shown(process: Process, status: os.stat_result) -> os.stat_result:
    """The status of a file as a program sees it: nothing of it is later than now, and its number is the host's."""
    if process.world.is_real:
        return status
    now = process.host.wall.nanoseconds()
    number = number_of(process.host, status)
    modified, changed, accessed = status.st_mtime_ns, status.st_ctime_ns, status.st_atime_ns
    if max(modified, changed, accessed) > now:
        modified = modified if modified <= now else min(round(process.world.epoch * SECOND), now)
        accessed = accessed if accessed <= now else modified
        changed = changed if changed <= now else modified
    elif number == status.st_ino:
        return status
    times = {"st_atime": accessed, "st_mtime": modified, "st_ctime": changed}
    more = {name: getattr(status, name) for name in ("st_blksize", "st_blocks", "st_rdev")}
    return os.stat_result(
        (status.st_mode, number, *status[2:7], *(value // SECOND for value in times.values())),
        {
            **more,
            **{name: value / SECOND for name, value in times.items()},
            **{f"{name}_ns": value for name, value in times.items()},
        },
    )


def _showing(original: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
    def function(*args: Any, **kwargs: Any) -> os.stat_result:
        status = original(*args, **kwargs)
        task = current.task
        return status if task is None else _shown(task.process, status)

    return copy_identity(function, original)


def _set_times(process: Process, *args: Any, **kwargs: Any) -> None:
    """`os.utime`: without times the host's clock counts."""
    times = args[1] if len(args) > 1 else kwargs.get("times")
    if times is None and "ns" not in kwargs and len(args) <= 2 and not process.world.is_real:
        now = process.host.wall.nanoseconds()
        args, kwargs = args[:1], {**kwargs, "ns": (now, now)}
        kwargs.pop("times", None)
    _utime(*args, **kwargs)


def _then_stamped(original: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `os` that makes or changes what its first argument names."""

    def function(path: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(path, *args, **kwargs)
        if current.task is not None and kwargs.get("dir_fd") is None:
            _stamp(path)
        return result

    return copy_identity(function, original)


def apply(patcher: Patcher) -> None:
    """Patch `os`; `open` and `os.open`, `os.write` and its like ask this module themselves."""
    # The interpreter's own import compares times of modules with those that it has noted.
    importing: Any = _bootstrap_external
    own = types.SimpleNamespace(**{**vars(importing._os), "stat": os.stat})
    patcher.attribute(importing, "_os", own)
    for name in ("stat", "lstat", "fstat"):
        patcher.replace(os, name, _showing(getattr(os, name)))
    patcher.method(os.DirEntry, "stat", _showing(os.DirEntry.stat))
    utime = os.utime

    def set_times(*args: Any, **kwargs: Any) -> None:
        task = current.task
        return utime(*args, **kwargs) if task is None else _set_times(task.process, *args, **kwargs)

    patcher.replace(os, "utime", copy_identity(set_times, utime))
    for name in ("mkdir", "truncate"):
        patcher.replace(os, name, _then_stamped(getattr(os, name)))
