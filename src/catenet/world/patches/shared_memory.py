"""`_posixshmem`: memory that processes of one host share by a name, below `multiprocessing.shared_memory`.

An object is a file without a name on the machine (memfd_create(2)), so it ends with the host's processes, whatever ends
them. Its name is known where the host's kernel is; a child gets a descriptor from there, and maps it as it maps others.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import types
from posix import memfd_create
from typing import TYPE_CHECKING, Final

from catenet.posix.errors import CallNotModelled
from catenet.posix.kernel import Kernel
from catenet.world.engine.children import client as this
from catenet.world.engine.children.forking import ask_for_descriptor
from catenet.world.engine.children.service import GIVEN
from catenet.world.patches.patching import Patcher
from catenet.world.patches.table.row import OWN_PROCESS

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

LONGEST: Final = 255
"""Characters of a name (NAME_MAX)."""

_duplicate = fcntl.fcntl
"""What it is outside of worlds."""


def _opened(kernel: Kernel, name: str, flags: int) -> int:
    """shm_open(3) where the kernel is: a new descriptor of the machine. EEXIST, ENOENT, EINVAL."""
    plain = name.lstrip("/")
    if not plain or "/" in plain or len(os.fsencode(plain)) > LONGEST:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
    found = kernel.shared_memory.get(plain)
    if found is None:
        if not flags & os.O_CREAT:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        found = kernel.shared_memory[plain] = io.FileIO(memfd_create(plain), "r+")
    elif flags & os.O_CREAT and flags & os.O_EXCL:
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    elif flags & os.O_TRUNC:
        found.truncate(0)
    return int(_duplicate(found.fileno(), fcntl.F_DUPFD_CLOEXEC, 0))


def _open(process: Process, path: str, flags: int, mode: int = 0o777) -> int:
    """`_posixshmem.shm_open`."""
    if not process.host.owns_process:
        raise CallNotModelled(f"_posixshmem.shm_open is not modelled on a simulated host; {OWN_PROCESS}")
    if this.client is not None:
        return ask_for_descriptor(this.client, "shm_open", path, flags)
    return _opened(process.host.kernel, path, flags)


def _unlink(process: Process, path: str) -> None:
    """`_posixshmem.shm_unlink`."""
    found = process.host.kernel.shared_memory.pop(path.lstrip("/"), None)
    if found is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    found.close()


def _apply(patcher: Patcher, module: types.ModuleType) -> None:
    patcher.function(module, "shm_open", _open)
    patcher.forward(module, "shm_unlink", _unlink)


def apply(patcher: Patcher) -> None:
    """Patch shared memory."""
    GIVEN["shm_open"] = lambda process, name, flags: _opened(process.host.kernel, name, flags)
    patcher.on_import("_posixshmem", _apply)
