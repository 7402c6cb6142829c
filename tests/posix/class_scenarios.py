"""The class of sockets: what programs ask of it, its C part, subclasses and their methods."""

from __future__ import annotations

import copy
import pickle
import select
import socket
import ssl
from typing import Any

from tests.posix.scenarios import connection, outcome, scenario


class Own(socket.socket):
    """A program's own."""

    __slots__ = ("label",)

    label: str


class Wide(socket.socket):
    """One with a dictionary, which overrides what others call."""

    def recv(self, *args: Any) -> bytes:
        self.calls = getattr(self, "calls", 0) + 1
        return super().recv(*args)


@scenario
def class_of_sockets(version: int) -> Any:
    """It is `socket.socket`, however a socket has come about."""
    one, other = connection(version)
    pair = socket.socketpair()
    copies = [one.dup(), socket.fromfd(one.fileno(), one.family, one.type), socket.socket(fileno=pair[0].detach())]
    seen: list[Any] = []
    for sock in (one, other, pair[1], *copies):
        seen.append((type(sock) is socket.socket, isinstance(sock, socket.SocketType), sock.__class__.__name__))
        seen.append((sock.family, sock.type, sock.proto, sock.timeout, sock.gettimeout(), type(sock).__mro__[1:]))
        seen.append(hasattr(sock, "__dict__"))
        sock.close()
        seen.append((sock.fileno(), repr(sock), outcome(sock.recv, 1)))
    return seen


@scenario
def class_methods_unbound(version: int) -> Any:
    """Methods of the class and of the C type, with a socket as their argument."""
    one, other = connection(version)
    base: Any = socket.SocketType
    with one, other:
        seen: list[Any] = [socket.socket.send(one, b"abc"), socket.socket.recv(other, 2), base.recv(other, 10)]
        seen += [base.send(other, b"defgh"), outcome(lambda: base.recv_into(one, bytearray(3), flags=socket.MSG_PEEK))]
        seen += [base.fileno(one) == one.fileno(), base.gettimeout(one)]
        seen += [base.family.__get__(one), base.type.__get__(one)]
        seen += [base.getsockname(one) == one.getsockname(), base.getpeername(one) == other.getsockname()]
        seen += [outcome(base.recv, 1), outcome(base.recv, object(), 1), outcome(socket.socket.recv)]
        seen += [base.setblocking(one, False), one.timeout, base.detach(one) > 2, one.fileno(), repr(one)]
    return seen


@scenario
def class_pickled_and_copied(version: int) -> Any:
    """No socket can be pickled or copied."""
    with socket.socket() as sock:
        found = []
        for make in (pickle.dumps, copy.copy, copy.deepcopy):
            try:
                make(sock)
            except TypeError as error:
                found.append(str(error))
        return found


@scenario
def class_of_programs_own(version: int) -> Any:
    """Subclasses keep their methods and attributes, also where the standard library makes more of them."""
    one, other = connection(version)
    with one, other:
        own, wide = Own(fileno=one.dup().detach()), Wide(fileno=one.dup().detach())
        with own, wide:
            own.label = "mine"
            other.sendall(b"abcdef")
            select.select([wide], [], [])
            seen: list[Any] = [wide.recv(2), wide.makefile("rb", buffering=0).read(2), wide.calls]
            seen += [own.recv(2), own.label]
            copied = own.dup()
            seen += [type(copied) is Own, hasattr(copied, "label"), isinstance(own, socket.socket), type(own) is Own]
            copied.close()
        seen += [own.fileno(), wide.fileno(), repr(own)]
    return seen


@scenario
def class_half_made(version: int) -> Any:
    """One that nobody has initialised, and one that is initialised twice."""
    blank = socket.socket.__new__(socket.socket)
    seen: list[Any] = [blank.fileno(), outcome(blank.recv, 1)]
    with socket.socket() as sock:
        before = sock.fileno()
        sock.__init__(socket.AF_INET, socket.SOCK_DGRAM)  # type: ignore[misc]
        seen += [sock.fileno() != before, sock.type]
    for words in ({"fileno": -1}, {"fileno": "1"}, {"fileno": 999_999_999}, {"family": "x"}, {"type": 99}):
        seen.append(outcome(lambda words=words: socket.socket(**words)))
    return seen


@scenario
def class_of_tls(version: int) -> Any:
    """`SSLContext.wrap_socket` gives the class of its context, and takes the socket's descriptor."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    one, other = connection(version)
    with one, other, context.wrap_socket(one, server_hostname="a", do_handshake_on_connect=False) as wrapped:
        seen: list[Any] = [type(wrapped) is ssl.SSLSocket, one.fileno(), wrapped.fileno() > 2, wrapped.gettimeout()]
        seen += [wrapped.context is context, wrapped.server_hostname, wrapped.version(), wrapped.pending()]
        wrapped.settimeout(0)
        seen.append(outcome(wrapped.do_handshake))
        seen.append(other.recv(1))
        try:
            wrapped.dup()
        except NotImplementedError as error:
            seen.append(str(error))
    return seen
