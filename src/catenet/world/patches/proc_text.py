"""What the files below /proc say on a host: its processes, its sockets and interfaces, its time (proc(5)).

All of it follows from what is simulated. A program computes in no time and its memory is the machine's, so figures of
either are fixed; what is in no table here is the machine's own file.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from catenet.posix.epoll import Epoll
from catenet.posix.file import File
from catenet.posix.inet_stream import InetStream
from catenet.posix.sockets import SocketFile
from catenet.stack.tcp.control import states
from catenet.world.patches.clocks import INITIAL_CPU_TIME, uptime
from catenet.world.patches.credentials import real_group, real_user
from catenet.world.patches.machine import PROCESSORS

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["NO_SUCH", "link_of", "listing", "text_of"]

NO_SUCH: Final = "no such file"
"""Answer for what would be of a process that there is not."""

TICKS: Final = 100
"""Units of processor time in a second (sysconf(_SC_CLK_TCK))."""
INIT: Final = 1
MEMORY: Final = 8 << 20
"""Kilobytes of memory that a host has."""
RESIDENT: Final = 16 << 10
"""Kilobytes that each of its programs has."""
PAGE: Final = 4
TASK_COMM_LEN: Final = 15
FIELDS: Final = 52
STATES: Final = {name: number for number, name in states.NAMES.items()}


def _processes(process: Process) -> dict[int, Process]:
    """Processes of the host that run, and those whose parents have not waited for them, by number."""
    found: dict[int, Process] = {}
    for each in process.host.processes:
        if each.alive:
            found[each.pid] = each
            found.update(each.children)
    return dict(sorted(found.items()))


def _comm(target: Process) -> str:
    return os.path.basename(target.command[0])[:TASK_COMM_LEN]


def _state(target: Process) -> str:
    if not target.alive:
        return "Z (zombie)"
    return "T (stopped)" if target.paused else "R (running)" if not target.main.waits_in else "S (sleeping)"


def _parent(process: Process, target: Process) -> int:
    if target.alive:
        return INIT if target.parent is None else target.parent.pid
    return next((each.pid for each in process.host.processes if target.pid in each.children), INIT)


def _started(process: Process, target: Process) -> int:
    """When a process began, in ticks since the host was switched on."""
    return round((uptime(process) - process.hub.now + target.started_at) * TICKS)


def _threads(target: Process) -> int:
    return max(1, len(target.tasks))


# Of the host.


def _uptime(process: Process) -> str:
    seconds = uptime(process)
    return f"{seconds:.2f} {seconds * PROCESSORS:.2f}\n"


def _stat(process: Process) -> str:
    seconds = uptime(process)
    idle = round(seconds * TICKS)
    lines = [f"cpu  0 0 0 {idle * PROCESSORS} 0 0 0 0 0 0"]
    lines += [f"cpu{number} 0 0 0 {idle} 0 0 0 0 0 0" for number in range(PROCESSORS)]
    booted = round(process.host.wall.nanoseconds() / 1e9 - seconds)
    count = len(process.host.processes)
    lines += ["intr 0", "ctxt 0", f"btime {booted}", f"processes {count}", "procs_running 1", "procs_blocked 0"]
    return "\n".join([*lines, "softirq 0 0 0 0 0 0 0 0 0 0 0", ""])


def _load(process: Process) -> str:
    return f"0.00 0.00 0.00 1/{len(_processes(process))} {process.host.next_pid - 1}\n"


def _processors(process: Process) -> str:
    return "".join(
        f"processor\t: {number}\nvendor_id\t: catenet\nmodel name\t: simulated\ncpu MHz\t\t: 1000.000\n"
        f"physical id\t: 0\nsiblings\t: {PROCESSORS}\ncore id\t\t: {number}\ncpu cores\t: {PROCESSORS}\n\n"
        for number in range(PROCESSORS)
    )


def _memory(process: Process) -> str:
    free = MEMORY - RESIDENT * len(_processes(process))
    figures = {"MemTotal": MEMORY, "MemFree": free, "MemAvailable": free}
    names = "Buffers Cached SwapCached Active Inactive SwapTotal SwapFree Dirty Shmem Slab SReclaimable SUnreclaim"
    figures |= dict.fromkeys(names.split(), 0)
    return "".join(f"{name + ':':<16}{value:>8} kB\n" for name, value in figures.items())


def _boot_id(process: Process) -> str:
    host = process.host
    number = host.world.generator(f"boot_id/{host.name}/{host.boots}").getrandbits(128)
    digits = f"{number & ~(0xF << 76 | 0x3 << 62) | 4 << 76 | 2 << 62:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])) + "\n"


def _host_name(process: Process) -> str:
    return f"{process.host.kernel.hostname}\n"


def _version(process: Process) -> str:
    real = os.uname()
    return f"{real.sysname} version {real.release} {real.version}\n"


# Of its network.


def _inode(process: Process, file: File) -> int:
    """A number for an open file, or for both ends of a pipe: the lowest of their descriptors."""
    own = getattr(file, "queue", file)
    found = process.host.kernel.open_files()
    return min((number for number, each, _ in found if getattr(each, "queue", each) is own), default=0)


def _word(address: bytes, port: int) -> str:
    words = [f"{each:08X}" for each in struct.unpack(f"<{len(address) // 4}I", address)]
    return f"{''.join(words)}:{port:04X}"


def _end(file: SocketFile, name: Any) -> str:
    """An end of a socket as these tables have it: an address of its family, in words of the machine, and a port."""
    family = socket.AF_INET if file.family == socket.AF_INET else socket.AF_INET6
    return _word(socket.inet_pton(family, name[0].partition("%")[0]), name[1])


def _row(process: Process, file: SocketFile, owner: Process | None, number: int) -> str | None:
    peer = None
    try:
        local = file.local_address()
        peer = file.peer_address()
    except OSError:
        pass
    unbound = not local[1] if isinstance(local, tuple) else True
    if unbound:
        return None
    state = states.CLOSED if peer is None else states.ESTABLISHED
    if isinstance(file, InetStream):
        state = states.LISTEN if file.is_listening() else STATES.get(file.endpoint.state, state)
    elsewhere = ("0.0.0.0" if file.family == socket.AF_INET else "::", 0)
    user = 0 if owner is None else real_user(owner)
    queues = (0, 0) if file.is_listening() else (file.unsent(), file.unread())
    return (
        f"{number:4}: {_end(file, local)} {_end(file, peer or elsewhere)} {state:02X} "
        f"{queues[0]:08X}:{queues[1]:08X} 00:00000000 00000000 "
        f"{user:5}        0 {_inode(process, file)} 1 0000000000000000 20 4 30 10 -1\n"
    )


def _sockets(kind: int, family: int) -> Callable[[Process], str]:
    def text(process: Process) -> str:
        title = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        rows: dict[int, str] = {}
        for _, file, owner in process.host.kernel.open_files():
            if isinstance(file, SocketFile) and (file.type, file.family) == (kind, family) and id(file) not in rows:
                row = _row(process, file, owner, len(rows))  # type: ignore[arg-type]
                if row is not None:
                    rows[id(file)] = row
        return title + "".join(rows.values())

    return text


def _local_sockets(process: Process) -> str:
    lines = ["Num       RefCount Protocol Flags    Type St Inode Path\n"]
    seen: set[int] = set()
    for _, file, _ in process.host.kernel.open_files():
        if isinstance(file, SocketFile) and file.family == socket.AF_UNIX and id(file) not in seen:
            seen.add(id(file))
            name = file.local_address()
            path = name.decode("utf-8", "replace").replace("\0", "@") if isinstance(name, bytes) else str(name)
            flags, state = ("00010000", "01") if file.is_listening() else ("00000000", "03")
            inode = _inode(process, file)
            line = f"{0:016X}: 00000002 00000000 {flags} {int(file.type):04X} {state} {inode:5} {path}"
            lines.append(line.rstrip() + "\n")
    return "".join(lines)


def _devices(process: Process) -> str:
    lines = [
        "Inter-|   Receive                                                |  Transmit\n",
        " face |bytes    packets errs drop fifo frame compressed multicast|"
        "bytes    packets errs drop fifo colls carrier compressed\n",
    ]
    for each in process.host.kernel.interfaces():
        came = f"{each.received_bytes:>8} {each.received_packets:>7}    0    0    0     0          0         0"
        went = f"{each.sent_bytes:>8} {each.sent_packets:>7}    0    0    0     0       0          0"
        lines.append(f"{each.name:>6}: {came} {went}\n")
    return "".join(lines)


def _addresses6(process: Process) -> str:
    lines = []
    for each in process.host.kernel.interfaces():
        for entry in each.addresses:
            if len(entry.address) == 16:
                scope = 0x10 if each.loopback else 0x20 if entry.address[:2] == b"\xfe\x80" else 0
                numbers = f"{each.index:02x} {entry.length:02x} {scope:02x} 80"
                lines.append(f"{entry.address.hex()} {numbers} {each.name:>8}\n")
    return "".join(lines)


HOST: Final[dict[str, Callable[[Process], str]]] = {
    "uptime": _uptime,
    "stat": _stat,
    "loadavg": _load,
    "cpuinfo": _processors,
    "meminfo": _memory,
    "version": _version,
    "sys/kernel/hostname": _host_name,
    "sys/kernel/random/boot_id": _boot_id,
}
"""Files of a host by their path below /proc."""

NETWORK: Final[dict[str, Callable[[Process], str]]] = {
    "tcp": _sockets(socket.SOCK_STREAM, socket.AF_INET),
    "tcp6": _sockets(socket.SOCK_STREAM, socket.AF_INET6),
    "udp": _sockets(socket.SOCK_DGRAM, socket.AF_INET),
    "udp6": _sockets(socket.SOCK_DGRAM, socket.AF_INET6),
    "unix": _local_sockets,
    "dev": _devices,
    "if_inet6": _addresses6,
}
"""Those in /proc/net."""


# Of a process.


def _status_line(process: Process, target: Process) -> str:
    mask = [_mask(target.blocked_signals), *_dispositions(target)]
    fields: list[object] = [_state(target)[0], _parent(process, target), target.group, target.session, 0, -1, 0]
    fields += [0] * 4 + [round(INITIAL_CPU_TIME * TICKS), 0, 0, 0, 20, 0, _threads(target), 0]
    fields += [_started(process, target), RESIDENT << 11, RESIDENT // PAGE, (1 << 64) - 1, *[0] * 5, 0]
    fields += [*mask, 0, 0, 0, int(signal.SIGCHLD), 0]
    fields += [0] * (FIELDS - 2 - len(fields))
    return f"{target.pid} ({_comm(target)}) {' '.join(map(str, fields))}\n"


def _mask(numbers: set[int]) -> int:
    return sum(1 << number - 1 for number in numbers)


def _dispositions(target: Process) -> tuple[int, int]:
    """Masks of the signals that a process ignores, and of those that it handles."""
    ignored = {int(number) for number, handler in target.handlers.items() if handler is signal.SIG_IGN}
    caught = {int(number) for number, handler in target.handlers.items() if not isinstance(handler, int)}
    return _mask(ignored), _mask(caught)


def _status(process: Process, target: Process) -> str:
    ignored, caught = _dispositions(target)
    user, group = real_user(target), real_group(target)
    lines = {
        "Name": _comm(target),
        "State": _state(target),
        "Tgid": target.pid,
        "Ngid": 0,
        "Pid": target.pid,
        "PPid": _parent(process, target),
        "TracerPid": 0,
        "Uid": "\t".join([str(user)] * 4),
        "Gid": "\t".join([str(group)] * 4),
        "FDSize": 256,
        "VmPeak": f"{RESIDENT << 1:8} kB",
        "VmSize": f"{RESIDENT << 1:8} kB",
        "VmRSS": f"{RESIDENT:8} kB",
        "Threads": _threads(target),
        "SigPnd": f"{0:016x}",
        "SigBlk": f"{_mask(target.blocked_signals):016x}",
        "SigIgn": f"{ignored:016x}",
        "SigCgt": f"{caught:016x}",
        "Cpus_allowed_list": f"0-{PROCESSORS - 1}",
        "voluntary_ctxt_switches": target.turns,
        "nonvoluntary_ctxt_switches": 0,
    }
    return "".join(f"{name}:\t{value}\n" for name, value in lines.items())


def _command_line(process: Process, target: Process) -> str:
    return "".join(word + "\0" for word in target.command) if target.alive else ""


def _memory_of(process: Process, target: Process) -> str:
    return f"{(RESIDENT << 1) // PAGE} {RESIDENT // PAGE} 0 1 0 {RESIDENT // PAGE} 0\n"


OWN: Final[dict[str, Callable[[Process, Process], str]]] = {
    "stat": _status_line,
    "status": _status,
    "cmdline": _command_line,
    "comm": lambda process, target: _comm(target) + "\n",
    "statm": _memory_of,
    "io": lambda process, target: "".join(
        f"{name}: 0\n"
        for name in ["rchar", "wchar", "syscr", "syscw", "read_bytes", "write_bytes", "cancelled_write_bytes"]
    ),
    "oom_score": lambda process, target: "0\n",
    "cgroup": lambda process, target: "0::/\n",
}
"""Files of a process by their path below its directory."""

INIT_FILES: Final = {
    "stat": f"1 (init) S 0 1 1 0 -1 {' '.join(['0'] * (FIELDS - 8))}\n",
    "status": "Name:\tinit\nState:\tS (sleeping)\nTgid:\t1\nPid:\t1\nPPid:\t0\n"
    "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nThreads:\t1\n",
    "cmdline": "/sbin/init\0",
    "comm": "init\n",
}


def text_of(process: Process, path: str) -> str | None:
    """The text of a file below /proc, whose path there is `path`; None for one of the machine; NO_SUCH."""
    found = HOST.get(path)
    if found is not None:
        return found(process)
    name, _, rest = path.partition("/")
    if name == "net":
        network = NETWORK.get(rest)
        return None if network is None else network(process)
    if name == "self":
        name = str(process.pid)
    if not name.isdecimal():
        return None
    if rest.startswith("net/"):
        return text_of(process, rest)
    if int(name) == INIT:
        return INIT_FILES.get(rest, NO_SUCH)
    target = _processes(process).get(int(name))
    if target is None:
        return NO_SUCH
    task, _, inner = rest.partition("/")
    if task == "task" and inner:
        rest = inner.partition("/")[2]
    own = OWN.get(rest)
    if own is not None:
        return own(process, target)
    return None if target is process else NO_SUCH


def listing(process: Process, path: str) -> list[str] | None:
    """Names in a directory below /proc, without those that are the machine's; None for one that is."""
    if not path:
        return [str(INIT), *map(str, _processes(process))]
    name, _, rest = path.partition("/")
    target = process if name == "self" else _processes(process).get(int(name)) if name.isdecimal() else None
    if target is None:
        return None
    if rest in ("fd", "fdinfo"):
        return ["0", "1", "2", *[str(number) for number, _ in _open_files(process, target)]]
    if rest == "task":
        return [str(target.pid), *[str(task.ident) for task in target.tasks.values() if task is not target.main]]
    return [*OWN, "fd", "task", "net"] if not rest and target is not process else None


def _open_files(process: Process, target: Process) -> Iterator[tuple[int, File]]:
    for number, file, owner in process.host.kernel.open_files():
        if owner is target:
            yield number, file


def link_of(process: Process, path: str) -> str | None:
    """Where a descriptor of a process leads that is the host's; None for one that is the machine's."""
    name, _, rest = path.partition("/")
    folder, _, number = rest.partition("/")
    target = process if name == "self" else _processes(process).get(int(name)) if name.isdecimal() else None
    if target is None or folder != "fd" or not number.isdecimal():
        return None
    for each, file in _open_files(process, target):
        if each == int(number):
            if isinstance(file, Epoll):
                return "anon_inode:[eventpoll]"
            kind = "socket" if stat.S_ISSOCK(file.status_mode()) else "pipe"
            return f"{kind}:[{_inode(process, file)}]"
    return None
