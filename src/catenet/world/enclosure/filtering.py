"""Which system calls are refused from now on, by a filter of the kernel's (seccomp(2)).

A filter sees numbers only, no paths and no addresses. So `socket` is refused for every family, Unix sockets too: else
Docker's, D-Bus's and X11's would be open. What a process has made before, it keeps.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import stat
import struct
from collections.abc import Iterator
from typing import Final

from catenet.world.enclosure import bpf
from catenet.world.enclosure.kernel import Architecture, prctl, system_call

__all__ = ["ask_for_sockets", "refusal_of", "refuse_calls", "refuse_roots"]

OFF_NETWORK: Final = bpf.refused(errno.ENONET)
"""Libraries print the text of an error, and this one's is "Machine is not on the network"."""
FORBIDDEN: Final = bpf.refused(errno.EPERM)
NO_ACCESS: Final = bpf.refused(errno.EACCES)
UNKNOWN: Final = bpf.refused(errno.ENOSYS)

CLOCKS: Final = "clock_settime settimeofday adjtimex clock_adjtime"
MACHINE: Final = """init_module finit_module delete_module kexec_load kexec_file_load reboot swapon swapoff acct
quotactl quotactl_fd syslog vhangup iopl ioperm modify_ldt sethostname setdomainname capset"""
FILE_SYSTEMS: Final = """mount umount2 pivot_root move_mount open_tree open_tree_attr fsopen fsmount fsconfig
fspick mount_setattr setns unshare open_by_handle_at fanotify_init lookup_dcookie"""
ROOTS: Final = "chroot"
OTHER_PROCESSES: Final = """ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp pidfd_getfd
perf_event_open bpf userfaultfd"""
SHARED_BY_MACHINE: Final = """add_key request_key keyctl shmget shmat shmctl semget semop semctl semtimedop msgget
msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify"""
OWN_ONLY: Final = "prlimit64 migrate_pages move_pages"
"""They begin with a process's number; 0 is the caller. Root's other processes would have to bear them all.

sched_setscheduler(2) and its kind begin so too, but the C library calls them with numbers of the caller's own threads.
Of other hosts they change how fast they are, and so no packet.
"""
ROUND_THE_FILTER: Final = "io_uring_setup io_uring_enter io_uring_register"
"""What makes calls on behalf of a process that no filter sees."""

PROCESSES: Final = "fork vfork execve execveat tkill pidfd_open pidfd_send_signal"
MESSAGES: Final = "sendmsg sendmmsg recvmsg recvmmsg"
"""Their addresses and the descriptors that they carry are in memory, where a filter does not look."""

CLONE_THREAD: Final = 0x0001_0000
CLONE_NEW: Final = 0x7E02_0000
"""All CLONE_NEW* but CLONE_NEWTIME, which clone(2) cannot ask for (linux/sched.h)."""
SOCKET_TYPE: Final = 0xF
NO_DESCRIPTOR: Final = 0xFFFF_FFFF

TERMINAL: Final = (0x5412, 0x541C, 0x541D, 0x5423, 0x5410)
"""TIOCSTI, TIOCLINUX and TIOCCONS, by which others read what a process writes; TIOCSETD, TIOCSPGRP."""
OWNER: Final = (0x8901, 0x8902)
"""FIOSETOWN, SIOCSPGRP: whom a signal goes to."""
TUN: Final = (0x4004_54CA,)
"""TUNSETIFF."""
SET_OWNER: Final = (8, 15)
"""F_SETOWN, F_SETOWN_EX."""

SECCOMP_SET_MODE_FILTER: Final = 1
ALL_THREADS, NO_SLOWER = 1, 4
"""SECCOMP_FILTER_FLAG_TSYNC; SECCOMP_FILTER_FLAG_SPEC_ALLOW, without which older kernels slow all code of a process."""
LISTEN: Final = 8 | 16 | 32
"""NEW_LISTENER; TSYNC_ESRCH, for a thread in the way is an error; WAIT_KILLABLE_RECV, so that signals wait."""
PR_SET_SECCOMP: Final = 22


def refusal_of(family: int) -> int:
    """The error with which a socket of a family is refused."""
    return errno.EACCES if family == socket.AF_UNIX else errno.ENONET


def ask_for_sockets(machine: Architecture) -> int:
    """Have another process answer whoever makes a socket from now on; return the descriptor by which it is asked.

    Raises OSError where the kernel does not know that (before 5.19), or somebody is asked already. Needs
    `no_new_privs`. `refuse_calls` comes after it. As long as nobody has the descriptor, the call is unknown (ENOSYS).
    """
    # The C library asks the kernel for addresses before it looks for names: that says nothing.
    rule = [*bpf.unless(0, (socket.AF_NETLINK,), OFF_NETWORK)[:-1], bpf.answer(bpf.ASK)]
    program = _Program(bpf.assemble(machine, [("socket", rule)]))
    number = machine.numbers["seccomp"]
    return system_call(number, SECCOMP_SET_MODE_FILTER, ALL_THREADS | NO_SLOWER | LISTEN, program.header)


class _Program:
    """A filter in memory, and what the kernel is told of it (struct sock_fprog)."""

    def __init__(self, code: bytes) -> None:
        self._memory = ctypes.create_string_buffer(code, len(code))
        fields = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(self._memory))
        self.header = ctypes.create_string_buffer(fields, 16)


def refuse_calls(machine: Architecture, children: bool, asked: bool = False, roots: bool = False) -> None:
    """Refuse system calls in this process, all of its threads and all that comes of it, for good; OSError.

    Needs `no_new_privs`. Without `children` the process makes no others, and signals none. With `asked` another one
    answers who makes a socket (`ask_for_sockets`). With `roots` it may go into another root, until `refuse_roots`.
    """
    rules = [*_always(asked), *(_family() if children else _alone(os.getpid()))]
    _install(machine, rules if roots else [*rules, *_each(ROOTS, FORBIDDEN)])


def refuse_roots(machine: Architecture) -> None:
    """Refuse to go into another root, as `refuse_calls`."""
    _install(machine, list(_each(ROOTS, FORBIDDEN)))


def _install(machine: Architecture, rules: list[tuple[str, bpf.Rule]]) -> None:
    program = _Program(bpf.assemble(machine, rules))
    number = machine.numbers["seccomp"]
    try:
        thread = system_call(number, SECCOMP_SET_MODE_FILTER, ALL_THREADS | NO_SLOWER, program.header)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL):
            raise
        prctl(PR_SET_SECCOMP, 2, ctypes.addressof(program.header))
        return
    if thread:
        raise OSError(errno.EBUSY, f"thread {thread} has a filter of its own")


def _each(names: str, refusal: int) -> Iterator[tuple[str, bpf.Rule]]:
    for name in names.split():
        yield name, [bpf.answer(refusal)]


def _on_sockets(names: str, refusal: int) -> Iterator[tuple[str, bpf.Rule]]:
    """Without a descriptor the call is harmless: so arguments are checked (`posix/arguments.py`)."""
    for name in names.split():
        yield name, bpf.only(0, (NO_DESCRIPTOR,), refusal)


def _always(asked: bool) -> Iterator[tuple[str, bpf.Rule]]:
    """Rules of every closed process."""
    if not asked:
        yield "socket", [*bpf.unless(0, (socket.AF_UNIX,), NO_ACCESS)[:-1], bpf.answer(OFF_NETWORK)]
    yield from _on_sockets("connect bind listen", OFF_NETWORK)
    # One end of a pair of datagram sockets could send to any path; one of a stream is connected for good.
    yield "socketpair", bpf.only(1, (socket.SOCK_STREAM,), NO_ACCESS, SOCKET_TYPE)
    yield "sendto", [*bpf.only(0, (NO_DESCRIPTOR,), 0)[:-1], *bpf.when_null(4, OFF_NETWORK)]
    for names in (CLOCKS, MACHINE, FILE_SYSTEMS, OTHER_PROCESSES, SHARED_BY_MACHINE, ROUND_THE_FILTER):
        yield from _each(names, FORBIDDEN)
    for name in OWN_ONLY.split():
        yield name, bpf.only(0, (0,), FORBIDDEN)
    # Of a process, a group or all of a user: PRIO_PROCESS is 0 (getpriority(2)), IOPRIO_WHO_PROCESS 1 (ioprio_set(2)).
    yield "setpriority", [*bpf.unless(0, (1, 2), FORBIDDEN)[:-1], *bpf.only(1, (0,), FORBIDDEN)]
    yield "ioprio_set", [*bpf.unless(0, (2, 3), FORBIDDEN)[:-1], *bpf.only(1, (0,), FORBIDDEN)]
    yield "ioctl", bpf.unless(1, (*TERMINAL, *OWNER, *TUN), FORBIDDEN)
    yield "fcntl", bpf.unless(1, SET_OWNER, FORBIDDEN)
    for name, mode in (("mknod", 1), ("mknodat", 2)):
        yield name, bpf.unless(mode, (stat.S_IFCHR, stat.S_IFBLK), FORBIDDEN, 0xF000)
    # Its flags are in memory; the C library takes clone(2) when there is no such call.
    yield "clone3", [bpf.answer(UNKNOWN)]


def _alone(pid: int) -> Iterator[tuple[str, bpf.Rule]]:
    """Rules of a process that has nothing to do with others."""
    yield from _each(PROCESSES, FORBIDDEN)
    yield from _on_sockets(MESSAGES, NO_ACCESS)
    yield "clone", bpf.only(0, (CLONE_THREAD,), FORBIDDEN, CLONE_THREAD)
    for name in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
        yield name, bpf.only(0, (pid,), FORBIDDEN)


def _family() -> Iterator[tuple[str, bpf.Rule]]:
    """Rules of a process that has children, which are under the same filter."""
    yield "clone", bpf.only(0, (0,), FORBIDDEN, CLONE_NEW)
