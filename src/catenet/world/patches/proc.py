"""The files below /proc, as `open`, `os.listdir`, `os.readlink`, `os.stat` and their like show them (`proc_text.py`).

What only the process with the host's kernel knows its children ask for. What is in no table is the machine's file,
under the number that the process has there.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.patches.credentials import real_user
from catenet.world.patches.patching import FORWARDED, Forwarded, Patcher, asked, copy_identity
from catenet.world.patches.proc_text import NO_SUCH, link_of, listing, text_of

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply", "machines_path", "proc_text"]

ROOT: Final = "/proc"
SERVICE: Final = "proc"
ANSWERS: Final[dict[str, Callable[[Process, str], Any]]] = {"text": text_of, "list": listing, "link": link_of}
OTHERS: Final = ("cwd", "exe", "root")
"""Links of a process that only itself may follow."""

_listdir, _readlink = os.listdir, os.readlink


def _answer(process: Process, what: str, path: str) -> Any:
    return ANSWERS[what](process, path)


def _ask(process: Process, what: str, path: str) -> Any:
    return asked[0](SERVICE, (what, path), {}) if asked else _answer(process, what, path)


def _below(path: Any) -> str | None:
    """A path below /proc, "" for that itself; None for any other."""
    if path.__class__ is not str:
        try:
            path = os.fsdecode(path)
        except TypeError:
            return None
    if not path.startswith(ROOT):
        return None
    rest = path[len(ROOT) :]
    return "/".join(filter(None, rest.split("/"))) if not rest or rest[0] == "/" else None


def _own(process: Process, below: str) -> str | None:
    """What is below the process's own directory; None for what is elsewhere."""
    name, _, rest = below.partition("/")
    return rest if name in ("self", "thread-self", str(process.pid)) else None


def machines_path(process: Process, path: Any) -> Any:
    """Where the machine has a file that a process names, which has another number there."""
    below = _below(path)
    own = None if below is None else _own(process, below)
    return path if own is None else f"{ROOT}/self/{own}"


def proc_text(process: Process, path: Any) -> str | None:
    """The text of a file of the host below /proc; None for any other file. Raises FileNotFoundError."""
    below = _below(path)
    if not below:
        return None
    if _own(process, below) == "environ":
        pairs = process.globals.environ.items()
        return b"".join(name + b"=" + value + b"\0" for name, value in pairs).decode("utf-8", "surrogateescape")
    text: str | None = _ask(process, "text", below)
    if text is NO_SUCH or text == NO_SUCH:
        raise _no_file(path)
    return text


def _no_file(path: Any) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _names(process: Process, path: Any, below: str) -> list[str] | None:
    """Names in a directory of the host; None for one of the machine."""
    found: list[str] | None = _ask(process, "list", below)
    if found is None:
        name = below.partition("/")[0]
        if name.isdecimal() and _own(process, below) is None:
            raise _no_file(path)
        return None
    if not below:
        return sorted([*[name for name in _listdir(ROOT) if not name.isdecimal()], *found])
    if _own(process, below) in ("fd", "fdinfo"):
        found += [name for name in _listdir(f"{ROOT}/self/fd") if name not in found and _is_file(name)]
    return sorted(found)


def _is_file(name: str) -> bool:
    """Whether a descriptor of the machine is that of a file; others are the engine's."""
    try:
        place = _readlink(f"{ROOT}/self/fd/{name}")
    except OSError:
        return False
    return place[:1] == "/" and not place.startswith(("/dev/", "/proc", "/memfd:"))


def _listing(original: Callable[..., Any]) -> Callable[..., Any]:
    def names(path: Any = ".") -> Any:
        task = current.task
        below = None if task is None or isinstance(path, int) else _below(path)
        if task is None or below is None:
            return original(path)
        found = _names(task.process, path, below)
        return original(machines_path(task.process, path)) if found is None else found

    return copy_identity(names, original)


class _Entry:
    """An entry of a directory, as `os.scandir` has them."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(folder, name)

    def __fspath__(self) -> str:
        return self.path

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self.path) if follow_symlinks else os.lstat(self.path)

    def inode(self) -> int:
        return self.stat().st_ino

    def is_symlink(self) -> bool:
        return False

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return os.path.isdir(self.path)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return os.path.isfile(self.path)


class _Entries:
    """What `os.scandir` returns."""

    def __init__(self, folder: str, names: list[str]) -> None:
        self._entries: Iterator[_Entry] = iter([_Entry(folder, name) for name in names])

    def __iter__(self) -> Iterator[_Entry]:
        return self._entries

    def __next__(self) -> _Entry:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Show no more entries."""
        self._entries = iter(())


def _scanning(original: Callable[..., Any]) -> Callable[..., Any]:
    def scandir(path: Any = ".") -> Any:
        task = current.task
        below = None if task is None or isinstance(path, int) else _below(path)
        if task is None or below is None:
            return original(path)
        found = _names(task.process, path, below)
        if found is None:
            return original(machines_path(task.process, path))
        return _Entries(os.fsdecode(path), found)

    return copy_identity(scandir, original)


def _linking(original: Callable[..., Any]) -> Callable[..., Any]:
    def readlink(path: Any, **kwargs: Any) -> Any:
        task = current.task
        below = None if task is None else _below(path)
        if task is None or not below:
            return original(path, **kwargs)
        if below == "self":
            place = str(task.process.pid)
        else:
            found = _ask(task.process, "link", below)
            own = _own(task.process, below)
            if found is None and own is None and below.partition("/")[2] in OTHERS:
                _status(task.process, path, below)
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
            place = original(machines_path(task.process, os.fsdecode(path))) if found is None else found
        return os.fsencode(place) if isinstance(path, bytes) else place

    return copy_identity(readlink, original)


def _status(process: Process, path: Any, below: str) -> os.stat_result | None:
    """What stat(2) tells of a process's directory and the files in it; None for what is the machine's."""
    name, _, rest = below.partition("/")
    if not name.isdecimal() and name != "self":
        return None
    if rest.startswith("fd/") and _ask(process, "link", below) is not None and _own(process, below) is not None:
        return os.fstat(int(rest[3:]))
    if not rest or rest in ("fd", "task"):
        if name != "self" and _ask(process, "text", f"{name}/stat") == NO_SUCH:
            raise _no_file(path)
        mode, size = stat.S_IFDIR | 0o555, 0
    else:
        text = proc_text(process, path)
        if text is None:
            return None
        mode, size = stat.S_IFREG | 0o444, 0
    return os.stat_result((mode, 0, 0, 1, real_user(process), 0, size, *[int(process.host.wall.time())] * 3))


def _stating(original: Callable[..., Any]) -> Callable[..., Any]:
    def status(path: Any, *args: Any, **kwargs: Any) -> Any:
        task = current.task
        if task is None or isinstance(path, int):
            return original(path, *args, **kwargs)
        below = _below(path)
        if not below:
            return original(path, *args, **kwargs)
        found = _status(task.process, path, below)
        return original(machines_path(task.process, path), *args, **kwargs) if found is None else found

    return copy_identity(status, original)


def apply(patcher: Patcher) -> None:
    """Patch `os`; `open` and `os.open` ask this module themselves."""
    FORWARDED[SERVICE] = Forwarded(_answer, None)
    patcher.on_restore(lambda: FORWARDED.pop(SERVICE, None))
    patcher.replace(os, "listdir", _listing(os.listdir))
    patcher.replace(os, "scandir", _scanning(os.scandir))
    patcher.replace(os, "readlink", _linking(os.readlink))
    for name in ("stat", "lstat"):
        patcher.replace(os, name, _stating(getattr(os, name)))
