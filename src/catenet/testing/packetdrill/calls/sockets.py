"""Calls that make, name, connect and close sockets."""

from __future__ import annotations

import errno
import socket

from catenet.posix.inet_datagram import InetDatagram
from catenet.posix.inet_stream import InetStream
from catenet.posix.sockets import SocketFile
from catenet.testing.packetdrill.calls.arguments import Arguments, is_of_no_family, name_in
from catenet.testing.packetdrill.calls.process import Process, ZeroFile, os_error
from catenet.testing.packetdrill.symbols import SYMBOLS, evaluate
from catenet.testing.packetdrill.syntax import Call, Quoted

__all__ = [
    "accept_socket",
    "bind_socket",
    "close_file",
    "connect_socket",
    "control_file",
    "expected_fd",
    "is_unspecified",
    "listen_socket",
    "make_socket",
    "open_file",
    "shutdown_socket",
    "socket_protocol",
]

_NONBLOCK = SYMBOLS["SOCK_NONBLOCK"]
_TYPE_MASK = 0xF
_O_NONBLOCK = SYMBOLS["O_NONBLOCK"]
_O_RDWR = SYMBOLS["O_RDWR"]


def expected_fd(call: Call) -> int:
    """Descriptor that the script expects; 0 when it expects an error (an install would then be a surprise anyway)."""
    return evaluate(call.result)


def socket_protocol(call: Call) -> int:
    """Protocol number of a socket() call."""
    arguments = Arguments(call, 3)
    protocol = arguments.number(2)
    if protocol:
        return protocol
    return SYMBOLS["IPPROTO_TCP"] if arguments.number(1) & _TYPE_MASK == 1 else SYMBOLS["IPPROTO_UDP"]


def make_socket(process: Process, call: Call) -> int:
    """socket(2)."""
    arguments = Arguments(call, 3)
    version = process.config.socket_version
    domain = arguments.number(0, SYMBOLS["AF_INET6" if version == 6 else "AF_INET"])
    kind = arguments.number(1)
    protocol = socket_protocol(call)
    family = {SYMBOLS["AF_INET"]: socket.AF_INET, SYMBOLS["AF_INET6"]: socket.AF_INET6}.get(domain)
    if family is None:
        raise os_error(errno.EAFNOSUPPORT)
    stack = process.machine.stack
    version = 4 if family == socket.AF_INET else 6
    made: SocketFile
    match kind & _TYPE_MASK, protocol:
        case 1, 6 | 262:
            made = InetStream(process.kernel, family, stack.tcp_endpoint(version))
        case 2, 17:
            made = InetDatagram(process.kernel, family, socket.IPPROTO_UDP, stack.udp_endpoint(version))
        case 2, 1 | 58:
            made = InetDatagram(process.kernel, family, protocol, stack.echo_endpoint(version))
        case _:
            raise os_error(errno.EPROTONOSUPPORT)
    made.nonblocking = bool(kind & _NONBLOCK)
    return process.install(expected_fd(call), made)


def bind_socket(process: Process, call: Call) -> int:
    """bind(2); `...` is the local address and port of the run."""
    arguments = Arguments(call, 3)
    name = name_in(arguments.raw(1))
    process.socket(arguments.number(0)).bind(process.local_name() if name is None else name[1:])
    return 0


def listen_socket(process: Process, call: Call) -> int:
    """listen(2)."""
    arguments = Arguments(call, 2)
    process.socket(arguments.number(0)).listen(arguments.number(1))
    return 0


def accept_socket(process: Process, call: Call) -> int:
    """accept(2)."""
    arguments = Arguments(call, 3)
    listener = process.socket(arguments.number(0))
    accepted, _ = process.wait("accept", listener, listener.accept)
    return process.install(expected_fd(call), accepted)


def is_unspecified(call: Call) -> bool:
    """Whether a connect() takes the connection apart (AF_UNSPEC)."""
    return len(call.arguments) > 1 and is_of_no_family(call.arguments[1])


def connect_socket(process: Process, call: Call) -> int:
    """connect(2)."""
    arguments = Arguments(call, 3)
    file = process.socket(arguments.number(0))
    if is_unspecified(call):
        file.endpoint.disconnect()  # type: ignore[attr-defined]
        return 0
    name = name_in(arguments.raw(1))
    done = file.connect(process.remote_name() if name is None else name[1:])
    if done:
        return 0
    if file.nonblocking:
        raise os_error(errno.EINPROGRESS)
    try:
        process.wait("connect", file, file.finish_connect, send=True)
    except BlockingIOError:
        raise os_error(errno.EINPROGRESS) from None
    return 0


def close_file(process: Process, call: Call) -> int:
    """close(2); a socket with SO_LINGER waits until its data are acknowledged or the time is up."""
    fd = Arguments(call, 1).number(0)
    process.close(fd)
    return 0


def shutdown_socket(process: Process, call: Call) -> int:
    """shutdown(2)."""
    arguments = Arguments(call, 2)
    process.socket(arguments.number(0)).shutdown(arguments.number(1))
    return 0


def control_file(process: Process, call: Call) -> int:
    """fcntl(2)."""
    arguments = Arguments(call, 2, 3)
    file = process.file(arguments.number(0))
    command = arguments.number(1)
    if command == SYMBOLS["F_GETFL"]:
        return _O_RDWR | (_O_NONBLOCK if file.nonblocking else 0)
    if command == SYMBOLS["F_SETFL"]:
        file.nonblocking = bool(arguments.number(2) & _O_NONBLOCK)
        return 0
    if command == SYMBOLS["F_DUPFD"]:
        return process.install(expected_fd(call), file)
    if command in (SYMBOLS["F_GETFD"], SYMBOLS["F_SETFD"]):
        return 0
    raise os_error(errno.EINVAL)


def open_file(process: Process, call: Call) -> int:
    """open(2), of files that the script's commands have made."""
    path = Arguments(call, 2, 3).raw(0)
    if not isinstance(path, Quoted):
        raise ValueError("argument 1: expected a path")
    content = process.environment.files.get(path.value.decode())
    if content is None:
        raise os_error(errno.ENOENT)
    return process.install(expected_fd(call), ZeroFile(len(content)))
