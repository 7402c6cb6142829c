"""Ways out of a closed process by system calls, each of which must fail: `python ways_by_calls.py FACTS`.

FACTS is JSON: `port` of listeners (TCP and UDP) at 127.0.0.1, `path` and `abstract` of Unix sockets, `inherited`
descriptors, `shm` and `msg` of this machine's, `mq`, `key`. Prints JSON: what became of each way. Calls that would do
harm if they were let through have arguments that are wrong, so that only a refusal gives the error of one.
"""

from __future__ import annotations

import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from catenet.world.enclosure.closing import close_network
from catenet.world.enclosure.kernel import architecture, library

REFUSED = {errno.EPERM, errno.EACCES, errno.ENONET, errno.ENOSYS}
WRONG = 1
"""An address at which there is nothing."""

facts: dict[str, Any] = json.loads(sys.argv[1])
machine = architecture()
assert machine is not None
ways: dict[str, Callable[[], object]] = {}
parent = os.getppid()
here = ("127.0.0.1", facts["port"])


def way(function: Callable[[], object]) -> Callable[[], object]:
    ways[function.__name__] = function
    return function


def call(name: str | int, *args: Any) -> int:
    """Make a system call by number; OSError."""
    assert machine is not None
    number = machine.numbers.get(name) if isinstance(name, str) else name
    if number is None:
        raise OSError(errno.ENOSYS, "not on this machine")
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in args]
    result: int = library().syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), str(name))
    return result


def refused(name: str, *args: Any) -> None:
    """Add a way that must be refused as a call, whatever its arguments are."""

    def attempt() -> None:
        try:
            call(name, *args)
        except OSError as error:
            if error.errno not in REFUSED:
                raise AssertionError(f"{name} was let through: {errno.errorcode[error.errno or 0]}") from None
            raise

    ways[f"{name} {len(ways)}"] = attempt


before: dict[str, Any] = {
    "unix": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    "tcp": socket.socket(),
    "poll": select.epoll(),
}


@way
def a_new_connection() -> object:
    return socket.create_connection(here, 2)


@way
def a_datagram() -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"out", here)


@way
def an_old_socket() -> object:
    return before["tcp"].connect(here)


@way
def a_fast_open() -> object:
    return before["tcp"].sendto(b"out", 0x20000000, here)


@way
def an_old_datagram_socket() -> object:
    return before["unix"].sendto(b"out", facts["datagrams"])


@way
def a_message_from_an_old_socket() -> object:
    return before["unix"].sendmsg([b"out"], [], 0, facts["datagrams"])


@way
def an_old_socket_listens() -> object:
    return before["tcp"].bind(("127.0.0.1", 0))


@way
def a_unix_socket() -> object:
    return socket.socket(socket.AF_UNIX).connect(facts["path"])


@way
def an_abstract_socket() -> object:
    return socket.socket(socket.AF_UNIX).connect(b"\0" + facts["abstract"].encode())


@way
def half_a_pair() -> object:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"out", facts["datagrams"])


@way
def half_a_stream() -> object:
    return socket.socketpair()[0].sendto(b"out", facts["datagrams"])


for family in ("AF_INET", "AF_INET6", "AF_PACKET", "AF_VSOCK", "AF_NETLINK", "AF_ALG", "AF_CAN", "AF_UNIX"):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
        refused("socket", int(getattr(socket, family)), int(kind), 0)

for descriptor in facts["inherited"]:

    def write(descriptor: int = descriptor) -> object:
        return os.write(descriptor, b"out")

    def take(descriptor: int = descriptor) -> object:
        return socket.socket(fileno=descriptor).accept()

    def receive(descriptor: int = descriptor) -> object:
        return call("recvmsg", descriptor, WRONG, 0)

    def enter(descriptor: int = descriptor) -> object:
        return call("setns", descriptor, 0)

    def folder(descriptor: int = descriptor) -> object:
        return os.open("etc", os.O_RDONLY, dir_fd=descriptor)

    for attempt in (write, take, receive, enter, folder):
        ways[f"{attempt.__name__} by descriptor {descriptor}"] = attempt


@way
def descriptors_from_standard_input() -> object:
    message, ancillary, _, _ = socket.socket(fileno=os.dup(0)).recvmsg(9, socket.CMSG_SPACE(4))
    number = array.array("i", ancillary[0][2])[0]
    return message, socket.socket(fileno=number).connect(here)


@way
def fork() -> object:
    if not (child := os.fork()):
        os._exit(0)
    return child


@way
def forkpty() -> object:
    child, _ = pty.fork()
    if not child:
        os._exit(0)
    return child


@way
def spawn() -> object:
    return os.posix_spawn("/bin/true", ["true"], {})


@way
def run_a_program() -> object:
    return subprocess.run(["/bin/true"], check=True)


@way
def bash() -> object:
    if status := os.system(f"exec bash -c 'echo out > /dev/tcp/127.0.0.1/{facts['port']}'"):
        raise OSError(status, "refused")
    return "ran"


@way
def execute_memory() -> object:
    file = os.memfd_create("program", 0)
    with open("/bin/true", "rb") as program:
        os.write(file, program.read())
    return call("execveat", file, b"", None, None, 0x1000)


@way
def the_linker() -> object:
    return os.execv("/lib64/ld-linux-x86-64.so.2", ["ld.so", "/bin/true"])


@way
def system_of_c() -> object:
    if status := library().system(b"true"):
        raise OSError(status, "refused")
    return "ran"


@way
def popen_of_c() -> object:
    library().popen.restype = ctypes.c_void_p
    if not library().popen(b"true", b"r"):
        raise OSError(ctypes.get_errno(), "popen")
    return "ran"


refused("fork")
refused("vfork")
refused("clone", signal.SIGCHLD, 0, 0, 0, 0)
refused("clone", 0x4000_0000 | signal.SIGCHLD, 0, 0, 0, 0)
refused("clone3", ctypes.create_string_buffer(88), 88)
refused("execve", WRONG, 0, 0)
refused("execveat", -1, WRONG, 0, 0, 0)

for name in ("io_uring_setup", "io_uring_enter", "io_uring_register"):
    refused(name, 0, WRONG, 0, 0)

for name in ("clock_settime", "clock_adjtime"):
    refused(name, 0, 0)
refused("settimeofday", WRONG, 0)
refused("adjtimex", 0)

for name in ("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "quotactl"):
    refused(name, WRONG, WRONG, WRONG, WRONG)
for name in ("swapon", "swapoff", "acct", "chroot", "umount2", "mount", "pivot_root"):
    refused(name, WRONG, WRONG, WRONG, WRONG, WRONG)
for name in (
    "fsopen",
    "fsmount",
    "open_tree",
    "move_mount",
    "fspick",
    "fsconfig",
    "mount_setattr",
    "open_by_handle_at",
):
    refused(name, WRONG, WRONG, WRONG, WRONG, WRONG)
refused("syslog", 100, 0, 0)
refused("iopl", 99)
refused("ioperm", 70000, 1, 1)
refused("sethostname", WRONG, -1)
refused("setdomainname", WRONG, -1)
refused("unshare", 0x4000_0000)
refused("unshare", 0x1000_0000)
refused("setns", -1, 0)
refused("capset", WRONG, WRONG)

refused("ptrace", 16, parent, 0, 0)
refused("ptrace", 0x4206, parent, 0, 0)
refused("process_vm_readv", parent, WRONG, 1, WRONG, 1, 0)
refused("process_vm_writev", parent, WRONG, 1, WRONG, 1, 0)
refused("kcmp", parent, os.getpid(), 0, 0, 0)
refused("pidfd_open", parent, 0)
refused("pidfd_getfd", -1, 0, 0)
refused("pidfd_send_signal", -1, 0, 0, 0)
refused("kill", parent, 0)
refused("kill", 0, 0)
refused("kill", -1, 0)
refused("kill", 1, 0)
refused("tkill", parent, 0)
refused("tgkill", parent, parent, 0)
refused("rt_sigqueueinfo", parent, 0, ctypes.create_string_buffer(128))
refused("prlimit64", parent, 7, 0, 0)
for each in ("migrate_pages", "move_pages"):
    refused(each, parent, WRONG, WRONG, WRONG, WRONG, 0)
refused("setpriority", 0, parent, 0)
refused("setpriority", 1, 0, 0)
refused("setpriority", 2, 0, 0)
refused("ioprio_set", 1, parent, 0)
refused("ioprio_set", 2, 0, 0)
refused("ioprio_set", 3, 0, 0)
refused("perf_event_open", WRONG, 0, -1, -1, 0)
refused("bpf", 0, WRONG, 0)
refused("userfaultfd", 0)
refused("fanotify_init", 0, 0)

for name in ("mem", "environ", "ns/net", "ns/user", "fd/0", "cwd/", "root/", "maps"):

    def look(name: str = name) -> object:
        return os.open(f"/proc/{parent}/{name}", os.O_RDONLY)

    ways[f"the parent's {name}"] = look


@way
def signals_by_a_descriptor() -> object:
    one, _ = socket.socketpair()
    return fcntl.fcntl(one, fcntl.F_SETOWN, parent)


@way
def signals_by_control() -> object:
    one, _ = socket.socketpair()
    return fcntl.ioctl(one, 0x8901, parent.to_bytes(4, "little"))


@way
def type_into_the_terminal() -> object:
    _, terminal = pty.openpty()
    return fcntl.ioctl(terminal, 0x5412, b"x")


refused("ioctl", 0, 0x5412, b"x")
refused("ioctl", 0, 0x541C, b"x")
refused("ioctl", 0, 0x4004_54CA, WRONG)

for path in (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/hostname",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/cgroup/cgroup.procs",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/net/tun",
    "/dev/kvm",
    "/dev/vsock",
    "/dev/rtc0",
    "/dev/vda",
):

    def write_to(path: str = path) -> object:
        return os.open(path, os.O_WRONLY)

    ways[f"write to {path}"] = write_to


@way
def make_a_device() -> object:
    name = os.path.join(facts["folder"], "device")
    return os.mknod(name, 0o020666, os.makedev(1, 3))


for name in ("add_key", "request_key", "keyctl"):
    refused(name, WRONG, WRONG, 0, 0, 0)
refused("keyctl", 0, -4, 0)
for name in ("shmget", "semget", "msgget", "mq_unlink", "mq_open", "mq_timedsend", "mq_timedreceive", "mq_notify"):
    refused(name, WRONG, WRONG, 0, 0)
for name in ("shmat", "shmctl", "semop", "semctl", "semtimedop", "msgsnd", "msgrcv", "msgctl"):
    refused(name, -1, WRONG, 0, 0, 0)


@way
def shared_memory_of_others() -> object:
    return call("shmat", facts["shm"], 0, 0)


def _code(number: int) -> bytes:
    """Machine code that calls by the interface of 32-bit programs: `mov eax, number; int 0x80; ret`."""
    arguments = bytes([0xBB, 2, 0, 0, 0, 0xB9, 1, 0, 0, 0, 0xBA, 0, 0, 0, 0])
    return b"\x53" + arguments + b"\xb8" + number.to_bytes(4, "little") + b"\xcd\x80\x5b\xc3"


@way
def the_interface_of_32_bits() -> object:
    if os.uname().machine != "x86_64":
        raise OSError(errno.ENOSYS, "not on this machine")
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(_code(359))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    result: int = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    if result < 0:
        raise OSError(-result, "socket")
    return result


@way
def the_interface_of_x32() -> object:
    return call(0x4000_0000 + 41, 2, 1, 0)


@way
def another_thread() -> object:
    found: list[object] = []

    def run() -> None:
        try:
            found.append(socket.create_connection(here, 2))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]


def outcomes() -> Iterator[tuple[str, str]]:
    for name, attempt in ways.items():
        try:
            yield name, f"OPEN: {attempt()!r}"
        except OSError as error:
            yield name, f"{errno.errorcode.get(error.errno or 0, str(error.errno))}"
        except AssertionError as error:
            yield name, f"OPEN: {error}"


if __name__ == "__main__":
    closed = close_network()
    print(json.dumps({"closed": closed.describe(), "why": closed.why, "ways": dict(outcomes())}))
