"""Execute a command as somebody, on a system that forbids something: `python situation.py SITUATION COMMAND...`.

root               as it is
nobody             an unprivileged user
container          root without CAP_SYS_ADMIN and its like, and no namespaces, as containers are
container-nobody   an unprivileged user there
nothing            an unprivileged user who may not close itself by any means
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from pathlib import Path

from catenet.world.enclosure import bpf
from catenet.world.enclosure.kernel import architecture, prctl

NOBODY = 65534
PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 24, 22, 38
OF_CONTAINERS = {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31}
"""What Docker leaves to root: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW
SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP."""

NEW = 0x7E02_0000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000


def forbid(names: str, *, namespaces: bool) -> None:
    """Refuse system calls by a filter, as the runtime of a container does."""
    machine = architecture()
    assert machine is not None
    denied = [bpf.answer(bpf.refused(errno.EPERM))]
    rules: list[tuple[str, bpf.Rule]] = [(name, denied) for name in names.split()]
    if namespaces:
        rules += [("unshare", denied), ("clone", bpf.only(0, (0,), bpf.refused(errno.EPERM), NEW))]
    program = bpf.assemble(machine, rules)
    memory = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(memory)), 16)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(header))


def drop_bounding_set() -> None:
    for capability in range(64):
        if capability not in OF_CONTAINERS:
            try:
                prctl(PR_CAPBSET_DROP, capability)
            except OSError:
                return


def let_everybody_in(paths: list[str]) -> None:
    """Let an unprivileged user read what is below folders that only root may enter, in a view of this process's own."""
    locked: dict[Path, list[Path]] = {}
    for text in paths:
        path = Path(text).resolve()
        for parent in reversed(path.parents):
            if not parent.stat().st_mode & 1:
                locked.setdefault(parent, []).append(path)
                break
    if not locked:
        return
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(source: str, target: Path, flags: int, kind: str = "", data: str = "") -> None:
        target.mkdir(parents=True, exist_ok=True)
        if libc.mount(source.encode(), bytes(target), kind.encode() or None, flags, data.encode() or None):
            raise OSError(ctypes.get_errno(), f"mount {target}")

    if libc.unshare(0x20000):
        raise OSError(ctypes.get_errno(), "unshare")
    mount("none", Path("/"), MS_REC | MS_PRIVATE)
    mount("tmpfs", Path("/mnt"), 0, "tmpfs", "mode=755")
    for number, (parent, inside) in enumerate(locked.items()):
        held = Path(f"/mnt/{number}")
        mount(str(parent), held, MS_BIND | MS_REC)
        mount("tmpfs", parent, 0, "tmpfs", "mode=755")
        for path in inside:
            mount(str(held / path.relative_to(parent)), path, MS_BIND | MS_REC)


def main() -> None:
    situation, *command = sys.argv[1:]
    if situation in ("nobody", "container-nobody", "nothing"):
        let_everybody_in(sorted({sys.prefix, sys.base_prefix, *filter(os.path.isdir, sys.path)}))
        os.setgroups([NOBODY, 4])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    if situation == "container":
        drop_bounding_set()
    if situation.startswith("container"):
        forbid("mount", namespaces=True)
    if situation == "nothing":
        forbid("seccomp landlock_create_ruleset landlock_restrict_self unshare", namespaces=True)
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
