"""System calls that Python has no names for, by number, and which numbers they have on this machine.

Linux on x86-64 and on 64-bit Arm; elsewhere `numbers` is empty, and nothing can be closed.
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from functools import cache
from typing import Final

__all__ = ["Architecture", "architecture", "chroot", "library", "mount", "prctl", "system_call", "unshare"]

NUMBERS: Final = """
socket 41 198; connect 42 203; bind 49 200; listen 50 201; socketpair 53 199; sendto 44 206; sendmsg 46 211;
sendmmsg 307 269; recvmsg 47 212; recvmmsg 299 243;
fork 57 -; vfork 58 -; clone 56 220; clone3 435 435; execve 59 221; execveat 322 281;
kill 62 129; tkill 200 130; tgkill 234 131; rt_sigqueueinfo 129 138; rt_tgsigqueueinfo 297 240;
pidfd_open 434 434; pidfd_send_signal 424 424; pidfd_getfd 438 438; prlimit64 302 261; fcntl 72 25; ioctl 16 29;
clock_settime 227 112; settimeofday 164 170; adjtimex 159 171; clock_adjtime 305 266;
io_uring_setup 425 425; io_uring_enter 426 426; io_uring_register 427 427;
init_module 175 105; finit_module 313 273; delete_module 176 106; kexec_load 246 104; kexec_file_load 320 294;
reboot 169 142; swapon 167 224; swapoff 168 225; acct 163 89; quotactl 179 60; quotactl_fd 443 443; syslog 103 116;
vhangup 153 58; iopl 172 -; ioperm 173 -; modify_ldt 154 -; sethostname 170 161; setdomainname 171 162;
mount 165 40; umount2 166 39; pivot_root 155 41; chroot 161 51; move_mount 429 429; open_tree 428 428;
open_tree_attr 467 467; fsopen 430 430; fsmount 432 432; fsconfig 431 431; fspick 433 433; mount_setattr 442 442;
setns 308 268; unshare 272 97; mknod 133 -; mknodat 259 33;
ptrace 101 117; process_vm_readv 310 270; process_vm_writev 311 271; process_madvise 440 440;
process_mrelease 448 448; kcmp 312 272; perf_event_open 298 241; bpf 321 280; userfaultfd 323 282;
setpriority 141 140; ioprio_set 251 30; migrate_pages 256 238; move_pages 279 239;
fanotify_init 300 262; open_by_handle_at 304 265; lookup_dcookie 212 18;
add_key 248 217; request_key 249 218; keyctl 250 219;
shmget 29 194; shmat 30 196; shmctl 31 195; semget 64 190; semop 65 193; semctl 66 191; semtimedop 220 192;
msgget 68 186; msgsnd 69 189; msgrcv 70 188; msgctl 71 187;
mq_open 240 180; mq_unlink 241 181; mq_timedsend 242 182; mq_timedreceive 243 183; mq_notify 244 184;
capset 126 91; seccomp 317 277; landlock_create_ruleset 444 444; landlock_add_rule 445 445;
landlock_restrict_self 446 446
"""
"""Name, number on x86-64, number on 64-bit Arm (arch/x86/entry/syscalls/syscall_64.tbl, scripts/syscall.tbl)."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """How this machine's programs call the kernel."""

    audit: int
    """What a filter sees of it: AUDIT_ARCH_* (linux/audit.h)."""
    numbers: dict[str, int]
    foreign_from: int
    """Numbers from here on belong to another calling convention (x32); 0: there is none."""


AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32: Final = 0x4000_0000


def architecture() -> Architecture | None:
    """Return this machine's; None where none is known, also for 32-bit programs."""
    machine = os.uname().machine
    if machine not in AUDIT_ARCH or struct.calcsize("P") != 8 or os.name != "posix":
        return None
    column = 1 + list(AUDIT_ARCH).index(machine)
    rows = (row.split() for row in NUMBERS.split(";"))
    numbers = {row[0]: int(row[column]) for row in rows if row[column] != "-"}
    return Architecture(AUDIT_ARCH[machine], numbers, X32 if machine == "x86_64" else 0)


def system_call(number: int, *args: int | ctypes.Array[ctypes.c_char] | bytes | None) -> int:
    """Make a system call; OSError when it fails. Integers are passed as they are, buffers by their address."""
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in args]
    return _checked(library().syscall(ctypes.c_long(number), *words))


def prctl(option: int, *args: int) -> int:
    """Set something of this process or thread (prctl(2)); OSError."""
    words = [ctypes.c_ulong(word) for word in (*args, 0, 0, 0, 0)[:4]]
    return _checked(library().prctl(ctypes.c_int(option), *words))


def unshare(flags: int) -> None:
    """Go into new namespaces (unshare(2)); OSError."""
    _checked(library().unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount a file system, or a part of another one, or change how a mount spreads (mount(2)); OSError."""
    words = [os.fsencode(word) for word in (source, target, kind)]
    _checked(library().mount(*words, ctypes.c_ulong(flags), os.fsencode(data)))


def chroot(path: str) -> None:
    """Have paths of this process begin elsewhere (chroot(2)); OSError."""
    _checked(library().chroot(os.fsencode(path)))


@cache
def library() -> ctypes.CDLL:
    """Return the C library, which keeps the error of a call."""
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
