"""Calls that move octets: read, write, recv, send, sendmsg, recvmsg, sendfile, splice and their kin.

What is sent are zeros, as in every packet of a script; `...` is a buffer, NULL is none.
"""

from __future__ import annotations

import errno

from catenet.posix.file import File
from catenet.posix.inet_stream import InetStream
from catenet.posix.pipe import make_pipe
from catenet.posix.sockets import SocketFile
from catenet.stack.endpoint import Buffer
from catenet.testing.packetdrill.calls import messages
from catenet.testing.packetdrill.calls.arguments import Arguments, iovec_lengths, is_of_no_family, name_in
from catenet.testing.packetdrill.calls.process import Process, ZeroFile, os_error
from catenet.testing.packetdrill.symbols import SYMBOLS, evaluate
from catenet.testing.packetdrill.syntax import Call, Ellipsis_

__all__ = [
    "make_pipes",
    "read_file",
    "read_vector",
    "receive_from",
    "receive_message",
    "send_file",
    "send_message",
    "send_socket",
    "send_to",
    "splice_files",
    "write_file",
    "write_vector",
]

_MSG_WAITALL = SYMBOLS["MSG_WAITALL"]
_MSG_PEEK = SYMBOLS["MSG_PEEK"]
_SPLICE_NONBLOCK = SYMBOLS["SPLICE_F_NONBLOCK"]
_MOST = 65536


def _send(process: Process, file: File, count: int, flags: int, address: object = None, name: str = "send") -> int:
    """Send zeros; a stream that blocks takes them all, unless it fails midway."""
    view = memoryview(bytes(count))
    sent = 0

    def attempt() -> int | None:
        if isinstance(file, SocketFile):
            return file.send_message(view[sent:], (), flags, address)
        return file.write(view[sent:])

    while True:
        try:
            sent += process.wait(name, file, attempt, flags=flags, send=True)
        except OSError:
            if sent:
                return sent
            raise
        if sent >= count or file.nonblocking or flags & SYMBOLS["MSG_DONTWAIT"]:
            return sent
        if isinstance(file, SocketFile) and not file.is_stream:
            return sent


def _receive(process: Process, file: File, count: int, flags: int, name: str = "recv") -> int:
    got = 0

    def attempt() -> int | None:
        data = file.receive(count - got, flags) if isinstance(file, SocketFile) else file.read(count - got)
        return None if data is None else len(data)

    while True:
        try:
            step = process.wait(name, file, attempt, flags=flags)
        except OSError:
            if got:
                return got
            raise
        got += step
        if not flags & _MSG_WAITALL or flags & _MSG_PEEK or got >= count or not step:
            return got


def _fault(file: File, process: Process, flags: int, receiving: bool) -> OSError:
    """Error of a call with a NULL buffer: EFAULT, unless it fails or would block before it looks at the buffer."""
    if receiving and isinstance(file, SocketFile):
        process.wait("recv", file, lambda: file.receive(1, flags | _MSG_PEEK), flags=flags)
    return os_error(errno.EFAULT)


def read_file(process: Process, call: Call) -> int:
    """read(2), recv(2)."""
    arguments = Arguments(call, 3, 4)
    file = process.file(arguments.number(0))
    count, flags = arguments.number(2), arguments.number(3, 0)
    if arguments.is_null(1) and count:
        raise _fault(file, process, flags, receiving=True)
    return _receive(process, file, count, flags, call.name)


def write_file(process: Process, call: Call) -> int:
    """write(2)."""
    arguments = Arguments(call, 3)
    file = process.file(arguments.number(0))
    if arguments.is_null(1) and arguments.number(2):
        raise _fault(file, process, 0, receiving=False)
    return _send(process, file, arguments.number(2), 0, name="write")


def send_socket(process: Process, call: Call) -> int:
    """send(2)."""
    arguments = Arguments(call, 4)
    file = process.socket(arguments.number(0))
    if arguments.is_null(1) and arguments.number(2):
        raise _fault(file, process, 0, receiving=False)
    return _send(process, file, arguments.number(2), arguments.number(3))


def send_to(process: Process, call: Call) -> int:
    """sendto(2); `..., ...` for the address is the peer of the run."""
    arguments = Arguments(call, 6)
    file = process.socket(arguments.number(0))
    if arguments.is_null(1) and arguments.number(2):
        raise _fault(file, process, 0, receiving=False)
    name = name_in(arguments.raw(4))
    if is_of_no_family(arguments.raw(4)) and file.is_stream and arguments.number(3) & SYMBOLS["MSG_FASTOPEN"]:
        raise os_error(errno.EOPNOTSUPP)
    address = process.remote_name() if name is None else name[1:]
    return _send(process, file, arguments.number(2), arguments.number(3), address, "sendto")


def receive_from(process: Process, call: Call) -> int:
    """recvfrom(2)."""
    arguments = Arguments(call, 6)
    file = process.socket(arguments.number(0))
    if arguments.is_null(1) and arguments.number(2):
        raise _fault(file, process, arguments.number(3), receiving=True)
    return _receive(process, file, arguments.number(2), arguments.number(3), "recvfrom")


def read_vector(process: Process, call: Call) -> int:
    """readv(2)."""
    arguments = Arguments(call, 3)
    lengths = iovec_lengths(arguments.raw(1))[: arguments.number(2)]
    return _receive(process, process.file(arguments.number(0)), sum(lengths), 0, "readv")


def write_vector(process: Process, call: Call) -> int:
    """writev(2)."""
    arguments = Arguments(call, 3)
    lengths = iovec_lengths(arguments.raw(1))[: arguments.number(2)]
    return _send(process, process.file(arguments.number(0)), sum(lengths), 0, name="writev")


def send_message(process: Process, call: Call) -> int:
    """sendmsg(2)."""
    arguments = Arguments(call, 3)
    file = process.socket(arguments.number(0))
    header = arguments.structure(1)
    flags = arguments.number(2)
    count = sum(iovec_lengths(header.get("msg_iov")))
    name = header.get("msg_name")
    connects = flags & SYMBOLS["MSG_FASTOPEN"] or not file.is_stream
    address = process.remote_name() if isinstance(name, Ellipsis_) and connects else None
    if not file.is_stream and _has_peer(file):
        address = None
    return _send(process, file, count, flags, address, "sendmsg")


def _has_peer(file: SocketFile) -> bool:
    try:
        file.peer_address()
    except OSError:
        return False
    return True


def receive_message(process: Process, call: Call) -> int:
    """recvmsg(2), with flags and ancillary data compared."""
    arguments = Arguments(call, 3)
    file = process.socket(arguments.number(0))
    header = arguments.structure(1)
    flags = arguments.number(2)
    count = sum(iovec_lengths(header.get("msg_iov")))
    control = header.get("msg_control")
    size = 0 if control is None else 1024
    data, ancillary, shown, _ = process.wait(
        "recvmsg", file, lambda: file.receive_message(count, size, flags), flags=flags | _dont_wait_for(flags)
    )
    expected = header.get("msg_flags")
    if expected is not None and not isinstance(expected, Ellipsis_):
        process.complain("msg_flags", evaluate(expected), shown)
    if control is not None:
        messages.compare(process, control, ancillary)
    return len(data)


def _dont_wait_for(flags: int) -> int:
    """The error queue never blocks."""
    return SYMBOLS["MSG_DONTWAIT"] if flags & SYMBOLS["MSG_ERRQUEUE"] else 0


def send_file(process: Process, call: Call) -> int:
    """sendfile(2) from a file of zeros."""
    arguments = Arguments(call, 4)
    out, source = process.file(arguments.number(0)), process.file(arguments.number(1))
    if not isinstance(source, ZeroFile):
        raise os_error(errno.EINVAL)
    count = arguments.number(3)
    offset = arguments.raw(2)
    if not arguments.is_null(2):
        position = evaluate(arguments.items(2)[0]) if not isinstance(offset, Ellipsis_) else 0
        available = max(0, source.size - position)
    else:
        available = source.size - source.position
        source.position += min(count, available)
    return _send(process, out, min(count, available), 0, name="sendfile")


def make_pipes(process: Process, call: Call) -> int:
    """pipe(2)."""
    ends = Arguments(call, 1, 2).items(0)
    if len(ends) != 2:
        raise ValueError("argument 1: expected two descriptors")
    reader, writer = make_pipe(process.kernel.broken_pipe)
    process.install(evaluate(ends[0]), reader)
    process.install(evaluate(ends[1]), writer)
    return 0


def _read_to_mark(file: File, count: int) -> Buffer | None:
    """Read, but nothing at the urgent mark: splice never comes past it, and does not wait there."""
    if isinstance(file, InetStream) and file.endpoint.at_mark():
        return b""
    return file.read(count)


def splice_files(process: Process, call: Call) -> int:
    """splice(2) between a socket and a pipe: what is there, up to what the pipe takes."""
    arguments = Arguments(call, 6)
    source, out = process.file(arguments.number(0)), process.file(arguments.number(2))
    count = min(arguments.number(4), _MOST)
    if not count:
        return 0
    flags = SYMBOLS["MSG_DONTWAIT"] if arguments.number(5) & _SPLICE_NONBLOCK else 0
    data = process.wait("splice", source, lambda: _read_to_mark(source, count), flags=flags)
    return _send(process, out, len(data), flags, name="splice") if data else 0
