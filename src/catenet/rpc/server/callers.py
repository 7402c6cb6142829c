"""Functions that run in a process of the caller's user: what it may not read or write, the kernel refuses.

::

    workers = CallerWorkers()


    @workers.function
    def read(request: ReadRequest) -> ReadReply: ...  # runs as the caller, in another process


    class Files(FilesService):
        async def read(self, request, context):
            return await workers.run(read, request, context)

`start()` is to be called as root, before root is given up; `catenet rpc serve --user` gives it up once services are
made.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import traceback
import typing
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from catenet.net.separation import (
    Broker,
    Refused,
    Terms,
    kill_order,
    question,
    read_answer,
    receive_descriptors,
    send_descriptors,
)
from catenet.rpc.model.context import Context
from catenet.rpc.model.status import Code, RpcError

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from catenet.net.local_peer import PeerProcess

__all__ = ["CallerWorkers"]

Q = TypeVar("Q", bound="Message")
R = TypeVar("R", bound="Message")

_HEAD: Final = struct.Struct("!BI")
"""Function or status, and the length of what follows."""
_FILE: Final = struct.Struct("!II")
_OPEN: Final = 255
_MOST: Final = 254
_LARGEST: Final = 64 << 20
_CHUNK: Final = 256 << 10
_PATIENCE: Final = 30.0
"""Seconds for the broker to start a worker, or to say why not."""

Key = tuple[int | None, int | None, tuple[int, ...]]


class CallerWorkers:
    """Workers of the users who call, started when they are needed and ended when they have been idle.

    `root`: also for callers that are root, whose workers stay root. `most_each`: of one user at once; further calls
    wait. `most`: of all; beyond it calls end with RESOURCE_EXHAUSTED. `idle`: seconds. `own`: without root, for
    callers that are the server's own user.
    """

    def __init__(
        self, *, root: bool = False, most_each: int = 4, most: int = 64, idle: float = 30.0, own: bool = False
    ) -> None:
        self._terms = Terms(root, most_each, most)
        self._idle = idle
        self._own = own
        self._functions: list[tuple[Callable[[Any], Any], type[Message]]] = []
        self._numbers: dict[Callable[[Any], Any], tuple[int, type[Message]]] = {}
        self._broker: Broker | None = None
        self._asking = asyncio.Lock()
        self._asked = 0
        self._rooms: dict[Key, _Room] = {}
        self._ready: dict[Key, list[_Worker]] = {}

    def function(self, function: Callable[[Q], R]) -> Callable[[Q], R]:
        """Decorate what is to run as the caller; its hints say what messages it takes and returns.

        Raises `ValueError` for other hints, and once the broker has begun.
        """
        from google.protobuf.message import Message

        hints = typing.get_type_hints(function)
        given = [hint for name, hint in hints.items() if name != "return"]
        if (
            len(given) != 1
            or "return" not in hints
            or not all(isinstance(hint, type) and issubclass(hint, Message) for hint in hints.values())
        ):
            raise ValueError(f"{function.__qualname__}: takes a message and returns one, by its type hints")
        if self._broker is not None or len(self._functions) > _MOST:
            raise ValueError(f"{function.__qualname__}: the workers have begun")
        self._numbers[function] = (len(self._functions), hints["return"])
        self._functions.append((function, given[0]))
        return function

    def start(self) -> None:
        """Begin; to say so twice does no harm.

        Raises `PrivilegeError` if this process may not become its callers, or a library keeps it from forking safely.
        """
        if self._broker is None:
            functions = list(self._functions)
            self._broker = Broker(lambda sock: _serve(sock, functions), self._terms, self._own)
            self._broker.sock.setblocking(False)

    def close(self) -> None:
        """End the broker and all workers."""
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.close()

    async def run(self, function: Callable[[Q], R], request: Q, context: Context) -> R:
        """Run a function as the caller of `context`; return what it returns. Raises `RpcError`.

        Only a caller on a Unix socket has a user: FAILED_PRECONDITION for others, PERMISSION_DENIED if the broker
        refuses. A call that is cancelled ends its worker.
        """
        known = self._numbers.get(function)
        if known is None:
            raise ValueError(f"{function.__qualname__} was not decorated with `function`")
        number, returns = known
        answer, _ = await self._ask(number, request.SerializeToString(), context)
        reply = cast("type[R]", returns)()
        try:
            reply.ParseFromString(answer)
        except Exception:
            raise RpcError(Code.INTERNAL, "a worker answered no such message") from None
        return reply

    async def open(self, path: str, flags: int, context: Context, mode: int = 0o600) -> int:
        """Open a file as the caller of `context`; return its descriptor, which whoever asks closes.

        The kernel decides by the caller's rights, and this process need not have any. Raises `RpcError` as `run`,
        NOT_FOUND and PERMISSION_DENIED.
        """
        name = os.fsencode(path)
        _, descriptors = await self._ask(_OPEN, _FILE.pack(flags, mode) + name, context)
        if len(descriptors) != 1:
            raise RpcError(Code.INTERNAL, "a worker gave no file")
        return descriptors[0]

    async def _ask(self, number: int, data: bytes, context: Context) -> tuple[bytes, list[int]]:
        local = context.peer.identity.local
        if local is None or local.process is None:
            raise RpcError(Code.FAILED_PRECONDITION, "only a caller on a Unix socket has a user to act as")
        key = (local.uid, local.gid, local.groups)
        room = self._rooms.setdefault(key, _Room(self._terms.most_each))
        room.users += 1
        try:
            async with room.places:
                return await self._ask_one(key, local.process, number, data)
        finally:
            room.users -= 1
            if not room.users:
                self._rooms.pop(key, None)

    async def _ask_one(self, key: Key, process: PeerProcess, number: int, data: bytes) -> tuple[bytes, list[int]]:
        ready = self._ready.get(key)
        if ready:
            worker = ready.pop()
        else:
            worker = await self._started(key, process)
        try:
            answer = await worker.ask(number, data)
        except RpcError:
            self._keep(key, worker)
            raise
        except BaseException as error:
            self._kill(worker)
            if isinstance(error, OSError | EOFError):
                raise RpcError(Code.UNAVAILABLE, "the caller's worker has ended") from None
            raise
        self._keep(key, worker)
        return answer

    async def _started(self, key: Key, process: PeerProcess) -> _Worker:
        """Start a worker, to the end also if the call is cancelled: the broker's next answer is the next question's."""
        starting = asyncio.ensure_future(self._start(key, process))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(lambda done: self._keep_started(key, done))
            raise

    def _keep_started(self, key: Key, done: asyncio.Future[_Worker]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._keep(key, done.result())

    async def _start(self, key: Key, process: PeerProcess) -> _Worker:
        broker = self._broker
        if broker is None:
            raise RuntimeError("CallerWorkers.start() was not called")
        async with self._asking:
            loop = asyncio.get_running_loop()
            self._asked = (self._asked + 1) & 0xFFFF_FFFF
            given: tuple[int, socket.socket] | None = None
            try:
                async with asyncio.timeout(_PATIENCE):
                    await _when(loop.add_writer, loop.remove_writer, broker.sock)
                    send_descriptors(broker.sock, question(self._asked), [process.fileno()])
                    while given is None:
                        await _when(loop.add_reader, loop.remove_reader, broker.sock)
                        given = read_answer(*receive_descriptors(broker.sock, 4096), self._asked, key[0])
            except TimeoutError:
                late = f"no worker for the caller: the broker has not answered within {_PATIENCE:g} s"
                raise RpcError(Code.UNAVAILABLE, late) from None
            except Refused as refused:
                code = Code.RESOURCE_EXHAUSTED if refused.busy else Code.PERMISSION_DENIED
                raise RpcError(code, f"no worker for the caller: {refused}") from None
            except OSError as error:
                raise RpcError(Code.UNAVAILABLE, f"no worker for the caller: {error.strerror or error}") from None
        pid, sock = given
        sock.setblocking(False)
        return _Worker(pid, sock)

    def _keep(self, key: Key, worker: _Worker) -> None:
        ready = self._ready.setdefault(key, [])
        ready.append(worker)
        asyncio.get_running_loop().call_later(self._idle, self._forget, key, worker, worker.asked)

    def _forget(self, key: Key, worker: _Worker, asked: int) -> None:
        ready = self._ready.get(key, [])
        if worker in ready and worker.asked == asked:
            ready.remove(worker)
            worker.sock.close()
            if not ready:
                del self._ready[key]

    def _kill(self, worker: _Worker) -> None:
        worker.sock.close()
        if self._broker is not None:
            with suppress(OSError):
                self._broker.sock.send(kill_order(worker.pid))


class _Room:
    """Places at the workers of one user, and how many calls are there for one."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.users = 0


class _Worker:
    """The server's end of one worker: a question at a time."""

    def __init__(self, pid: int, sock: socket.socket) -> None:
        self.pid = pid
        self.sock = sock
        self.asked = 0

    async def ask(self, number: int, data: bytes) -> tuple[bytes, list[int]]:
        """Raises `RpcError` that the function has raised, and `OSError` or `EOFError` if the worker has ended."""
        self.asked += 1
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.sock, _HEAD.pack(number, len(data)) + data)
        await _when(loop.add_reader, loop.remove_reader, self.sock)
        head, descriptors = receive_descriptors(self.sock, _HEAD.size)
        while len(head) < _HEAD.size:
            more = await loop.sock_recv(self.sock, _HEAD.size - len(head))
            if not more:
                raise EOFError
            head += more
        status, size = _HEAD.unpack(head)
        if size > _LARGEST:
            raise EOFError
        answer = bytearray()
        while len(answer) < size:
            more = await loop.sock_recv(self.sock, min(size - len(answer), _CHUNK))
            if not more:
                raise EOFError
            answer += more
        if status:
            for descriptor in descriptors:
                os.close(descriptor)
            raise RpcError(Code.from_number(status), answer.decode("utf-8", "replace"))
        return bytes(answer), descriptors


async def _when(add: Callable[..., object], remove: Callable[[socket.socket], object], sock: socket.socket) -> None:
    """Wait until a socket can be read, or written."""
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    add(sock, tell)
    try:
        await ready
    finally:
        remove(sock)


# In the worker's process: no event loop, a question at a time.


def _serve(sock: socket.socket, functions: list[tuple[Callable[[Any], Any], type[Message]]]) -> None:
    while head := _receive(sock, _HEAD.size):
        number, size = _HEAD.unpack(head)
        data = _receive(sock, size)
        descriptors: list[int] = []
        try:
            if number == _OPEN:
                descriptors.append(_open(data))
                status, answer = 0, b""
            else:
                function, takes = functions[number]
                request = takes()
                request.ParseFromString(data)
                status, answer = 0, function(request).SerializeToString()
        except RpcError as error:
            status, answer = int(error.code), error.message.encode("utf-8", "replace")
        except PermissionError as error:  # as a rule the kernel's word on what the caller may do
            status, answer = int(Code.PERMISSION_DENIED), (error.strerror or "not permitted").encode()
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            status, answer = int(Code.UNKNOWN), f"{type(error).__name__} in the handler".encode()
        sent = send_descriptors(sock, _HEAD.pack(status, len(answer)) + answer, descriptors)
        sock.sendall((_HEAD.pack(status, len(answer)) + answer)[sent:])
        for descriptor in descriptors:
            os.close(descriptor)


def _open(data: bytes) -> int:
    flags, mode = _FILE.unpack_from(data)
    try:
        return os.open(data[_FILE.size :], flags | os.O_CLOEXEC | os.O_NOCTTY, mode)
    except FileNotFoundError as error:
        raise RpcError(Code.NOT_FOUND, str(error.strerror)) from None
    except PermissionError as error:
        raise RpcError(Code.PERMISSION_DENIED, str(error.strerror)) from None
    except (OSError, ValueError) as error:
        raise RpcError(Code.FAILED_PRECONDITION, getattr(error, "strerror", None) or "no name of a file") from None


def _receive(sock: socket.socket, size: int) -> bytes:
    """Receive so many bytes; fewer only at the end."""
    data = bytearray()
    while len(data) < size:
        more = sock.recv(min(size - len(data), _CHUNK))
        if not more:
            return b""
        data += more
    return bytes(data)
