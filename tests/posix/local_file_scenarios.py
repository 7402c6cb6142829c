"""Files of local sockets, and who has sent what: as `scenarios`."""

from __future__ import annotations

import os
import socket
import stat
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.posix.scenarios import bits, outcome, scenario


def made(place: str | bytes | None = None, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A local socket, bound to a place, listening where it can."""
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.setblocking(False)
    if place is not None:
        sock.bind(place)
        if kind != socket.SOCK_DGRAM:
            sock.listen()
    return sock


def within(use: Callable[[str], Any]) -> Any:
    """What is seen in a working directory of its own, which is given."""
    before, mask = os.getcwd(), os.umask(0o027)
    with tempfile.TemporaryDirectory() as folder:
        try:
            os.chdir(folder)
            return use(folder)
        finally:
            os.chdir(before)
            os.umask(mask)


@scenario
def files_of_local_sockets(version: int) -> Any:
    def use(folder: str) -> Any:
        path = f"{folder}/a"
        server = made(path)
        status = os.stat(path)
        seen: list[Any] = [stat.filemode(status.st_mode), status.st_size, Path(path).is_socket(), os.listdir()]
        seen += [status.st_uid == os.geteuid(), status.st_nlink, os.path.exists(path), os.fsencode(path) == b""]
        os.chmod(path, 0o600)
        seen += [stat.filemode(os.lstat(path).st_mode), outcome(made().bind, path), outcome(os.open, path, os.O_RDWR)]
        seen += [outcome(made().connect, path), bits(server), outcome(made(kind=socket.SOCK_DGRAM).connect, path)]
        server.close()
        seen += [os.listdir(), outcome(made().connect, path), outcome(made().bind, path)]
        os.unlink(path)
        seen += [os.listdir(), outcome(made().connect, path), outcome(made().bind, path), os.listdir()]
        return seen

    return within(use)


@scenario
def ways_to_local_sockets(version: int) -> Any:
    def use(folder: str) -> Any:
        server = made("a")  # as a relative path
        seen: list[Any] = [server.getsockname(), os.listdir(), outcome(made().connect, f"{folder}/a")]
        os.mkdir("below")
        os.symlink("../a", "below/link")
        os.link("a", "hard")
        os.rename("a", "b")
        Path("text").write_text("")
        places: tuple[str | bytes, ...]
        places = ("a", "b", "hard", "below/link", "below", "text", "text/a", "none/a", "./below/../b", b"b\0c", "\0b")
        seen += [(place, outcome(made().connect, place)) for place in places]
        client = made()
        client.connect("hard")
        seen += [client.getpeername(), server.accept()[0].getsockname()]
        places = ("text", "below", "text/a", "none/a", "below/link", "below/new", b"c\0d", "x" * 108)
        seen += [(place, outcome(made().bind, place)) for place in places]
        os.unlink("b")
        other = made("b")  # another socket of that name, while the first can be reached by another
        for place in ("b", "hard", "a"):
            client = made()
            seen += [outcome(client.connect, place), bits(server), bits(other)]
        os.unlink("b")
        seen += [outcome(made().connect, "b"), sorted(os.listdir())]
        return seen

    return within(use)


@scenario
def datagrams_by_path(version: int) -> Any:
    def use(folder: str) -> Any:
        server, client = made("server", socket.SOCK_DGRAM), made("client", socket.SOCK_DGRAM)
        seen: list[Any] = [
            client.sendto(b"x", "server"),
            server.recvfrom(10),
            outcome(made("stream").connect, "server"),
        ]
        os.unlink("client")
        seen += [outcome(server.sendto, b"x", "client"), client.sendto(b"y", "server"), server.recvfrom(10)]
        client.connect("server")
        os.rename("server", "moved")
        seen += [client.send(b"z"), server.recv(10), outcome(client.sendto, b"x", "server"), sorted(os.listdir())]
        server.close()
        seen += [outcome(client.send, b"x"), outcome(client.sendto, b"x", "moved")]
        return seen

    return within(use)


def credentials(control: list[tuple[int, int, bytes]]) -> list[Any]:
    """Who has sent something: whether it is this process and its users; or the numbers."""
    seen: list[Any] = []
    for level, kind, data in control:
        seen += [level, kind, len(data)]
        if len(data) == 12:
            pid, uid, gid = struct.unpack("=iII", data)
            seen.append((pid == os.getpid(), uid == os.geteuid(), gid == os.getegid(), pid == 0, uid == 65_534))
    return seen


@scenario
def passed_credentials(version: int) -> Any:
    seen: list[Any] = []
    own = struct.pack("=iII", os.getpid(), os.getuid(), os.getgid())
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        one, other = socket.socketpair(socket.AF_UNIX, kind)
        one.send(b"before")
        seen.append(other.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED))
        other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        seen.append(other.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED))
        one.send(b"after")
        one.sendmsg([b"given"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, own)])
        for _ in range(3 if kind != socket.SOCK_STREAM else 2):
            data, control, flags, _ = other.recvmsg(20, 100)
            seen += [data, credentials(control), flags & socket.MSG_CTRUNC]
        one.send(b"peeked")
        seen += [credentials(other.recvmsg(20, 100, socket.MSG_PEEK)[1]), other.recvmsg(20)[2] & socket.MSG_CTRUNC]
        one.send(b"cut")
        data, control, flags, _ = other.recvmsg(20, 20)
        seen += [data, credentials(control), flags & socket.MSG_CTRUNC]
        reading, writing = os.pipe()
        socket.send_fds(one, [b"rights"], [writing])
        data, control, flags, _ = other.recvmsg(20, 100)
        seen += [data, [(level, kind, len(data)) for level, kind, data in control], flags & socket.MSG_CTRUNC]
        other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        one.sendmsg([b"not asked for"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, own)])
        seen.append(other.recvmsg(20, 100)[:2])
        for wrong in (own[:-1], own + b"x", b""):
            seen.append(outcome(one.sendmsg, [b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, wrong)]))
        # Root may say of itself what it likes, but only of processes that there are.
        nobody = struct.pack("=iII", 1 << 30, os.getuid(), os.getgid())
        seen.append(outcome(one.sendmsg, [b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, nobody)]))
        another = struct.pack("=iII", os.getpid(), 12, 34)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        if os.geteuid() == 0:
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, another)])
            seen.append(other.recvmsg(20, 100)[1][0][2][4:])
        os.close(reading)
    return seen


@scenario
def credentials_and_names(version: int) -> Any:
    """Who wants credentials gets a name of its own, to be answered by."""
    server = made(f"\0catenet-credentials-{os.getpid()}-{version}", socket.SOCK_DGRAM)
    seen: list[Any] = []
    for call in ("connect", "sendto"):
        client = made(kind=socket.SOCK_DGRAM)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        seen.append(client.getsockname())
        if call == "connect":
            client.connect(server.getsockname())
        else:
            client.sendto(b"x", server.getsockname())
        seen.append(len(client.getsockname()))
    listener = made(f"\0catenet-credentials-{os.getpid()}-{version}", socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    client = made()
    client.connect(listener.getsockname())
    accepted, _ = listener.accept()
    client.send(b"x")
    seen += [accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED), credentials(accepted.recvmsg(10, 100)[1])]
    return seen
