"""System calls of children, made for them by the process that holds the host's kernel.

A thread of a child is a task here, which has its turns in the hub as any other. Its turn begins with an answer to what
the thread has asked for last; then the kernel waits, in real time, for what it asks next, while no virtual time passes.
So the child computes between two of its calls exactly when a thread in its place would, and one process of a host
computes at a time. A call that blocks is an answer that comes later.

What a child sends is checked: words, files and methods by name, functions by a list. A child that breaks the rules is
killed, as one that has ended without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from catenet.posix.epoll import Epoll
from catenet.posix.file import File
from catenet.posix.remote import EPOLL, PLAIN, SOCKET, Description
from catenet.posix.sockets import SocketFile
from catenet.stack.endpoint import Name
from catenet.world.engine.children.process import CallAgain, ChildProcess
from catenet.world.engine.children.wire import WireError, plain
from catenet.world.engine.children.words import AGAIN, ERROR, MAIN, VALUE, packed_error
from catenet.world.engine.hub import NEVER
from catenet.world.engine.task import Task
from catenet.world.patches.patching import FORWARDED

__all__ = ["ASKED", "GIVEN", "TOLD", "serve"]

FILE_METHODS: Final = frozenset(
    [
        "bind",
        "collect",
        "connect",
        "connect_result",
        "finish_connect",
        "get_option",
        "has_lingered",
        "is_at_mark",
        "is_connecting",
        "is_listening",
        "is_nonblocking",
        "listen",
        "local_address",
        "never_sent",
        "peer_address",
        "pending_error",
        "read",
        "readiness",
        "receive",
        "receive_from",
        "receive_message",
        "send",
        "send_message",
        "set_nonblocking",
        "shutdown",
        "unread",
        "unsent",
        "write",
    ]
)
"""Methods of open files that are called as they are."""

RESOLVER_METHODS: Final = frozenset(
    [
        "getaddrinfo",
        "getfqdn",
        "gethostbyaddr",
        "gethostbyname",
        "gethostbyname_ex",
        "getnameinfo",
        "interface_index",
        "interface_name",
    ]
)

ADDRESSED: Final = {"bind": 0, "connect": 0, "send_message": 3}
"""Methods that take an address, and the place of it among the arguments."""


class _Ended(Exception):
    """The thread, or the whole child, has ended."""


def serve(process: ChildProcess, task: Task) -> None:
    """Serve a thread of a child from its first turn to its end; ProcessKilled when the process is over."""
    number = next(number for number, each in process.threads.items() if each is task)
    try:
        _answer(process, number, VALUE, None)
        while True:
            request = process.wire.receive()
            if request is None:
                _has_died(process, task)
                return
            _take(process, task, number, request)
    except _Ended:
        return
    except (WireError, BrokenPipeError):
        process.kill_really()  # it breaks the rules, or has ended already
        _has_died(process, task)
    finally:
        if process.threads.get(number) is task:
            del process.threads[number]


def _has_died(process: ChildProcess, task: Task) -> None:
    process.end_by(process.died())
    task.check_alive()


def _answer(process: ChildProcess, number: int, kind: int, value: Any) -> None:
    signals: tuple[int, ...] = ()
    if number == MAIN and process.outgoing:
        signals = tuple(process.outgoing)
        process.outgoing.clear()
    process.wire.send((number, kind, process.hub.now, value, signals))


def _take(process: ChildProcess, task: Task, number: int, request: tuple[Any, ...]) -> None:
    """Do what a child asks for, and answer if there is an answer."""
    word, *args = request
    told = TOLD.get(word)
    if told is not None:
        told(process, task, *args)
        return
    asked = ASKED.get(word)
    if asked is None:
        raise WireError(f"no such request: {word!r}")
    try:
        value = asked(process, task, *args)
    except WireError:
        raise
    except CallAgain:
        _answer(process, number, AGAIN, None)
    except Exception as error:  # that of a call: the child raises it
        _answer(process, number, ERROR, packed_error(error))
    else:
        _answer(process, number, VALUE, value)


# What has no answer.


def _wake(process: ChildProcess, task: Task, number: int) -> None:
    if number in process.threads:
        process.threads[number].wake()


def _start(process: ChildProcess, task: Task, number: int, name: str) -> None:
    process.start_thread(number, str(name))


def _print(process: ChildProcess, task: Task, stream: str, line: str) -> None:
    process.show("stderr" if stream == "stderr" else "stdout", line)


def _closed(process: ChildProcess, task: Task, descriptor: int) -> None:
    try:
        process.host.kernel.close(descriptor)
    except OSError:
        pass  # the child knows better, and harms nobody


def _nonblocking(process: ChildProcess, task: Task, descriptor: int, nonblocking: bool) -> None:
    try:
        process.host.kernel.file(descriptor).set_nonblocking(nonblocking)
    except OSError:
        pass


def _handler(process: ChildProcess, task: Task, number: int, kind: int) -> None:
    process.note_handler(number, kind)


def _born(process: ChildProcess, task: Task, pid: int, real_pid: int) -> None:
    """What has come of a fork by the child: the number on the machine, 0 when it has failed."""
    child = process.children.get(pid)
    if isinstance(child, ChildProcess):
        child.real_pid = real_pid
        if not real_pid:
            child.never_was()


def _thread_ended(process: ChildProcess, task: Task) -> None:
    raise _Ended


def _exit(process: ChildProcess, task: Task, status: int) -> None:
    process.exit(status)
    task.check_alive()


TOLD: Final[dict[str, Callable[..., None]]] = {
    "wake": _wake,
    "start": _start,
    "print": _print,
    "closed": _closed,
    "nonblocking": _nonblocking,
    "handler": _handler,
    "born": _born,
    "ended": _thread_ended,
    "exit": _exit,
}


# What has one.


def _park(
    process: ChildProcess, task: Task, call: str, descriptors: tuple[int, ...], when: float | None, loops: bool
) -> bool:
    """Wait for open files or a moment."""
    kernel = process.host.kernel
    files = []
    for descriptor in descriptors:
        try:
            files.append(kernel.file(descriptor))
        except OSError:
            continue  # closed meanwhile by another thread
    in_time = task.park_until(call, tuple(files), NEVER if when is None else when)
    if not in_time and loops and process.undeclared:
        process.switcher.computed = process.hub.now  # as `Task` has it for an event loop
    return in_time


def _file(process: ChildProcess, task: Task, descriptor: int, method: str, args: tuple[Any, ...]) -> Any:
    file = process.host.kernel.file(descriptor)
    special = SPECIAL.get(method)
    if special is not None:
        return special(process, file, *args)
    if method not in FILE_METHODS:
        raise WireError(f"no such method of a file: {method!r}")
    place = ADDRESSED.get(method)
    if place is not None:
        args = (*args[:place], _unpacked(args[place]), *args[place + 1 :])
    result = getattr(file, method)(*args)
    return bytes(result) if isinstance(result, memoryview | bytearray) else result


def _unpacked(address: Any) -> Any:
    return Name(*address["name"]) if isinstance(address, dict) else address


def _accept(process: ChildProcess, file: File) -> Any:
    accepted = _socket_file(file).accept()
    if accepted is None:
        return None
    return _new(process, accepted[0]), accepted[1]


def _read_address(process: ChildProcess, file: File, address: Any, call: str) -> Any:
    found = _socket_file(file).read_address(_unpacked(address), call)
    return {"name": tuple(found)} if isinstance(found, Name) else found


def _set_option(process: ChildProcess, file: File, *args: Any) -> tuple[float | None, float | None]:
    changed = _socket_file(file)
    changed.set_option(*args)
    return changed.receive_timeout, changed.send_timeout


def _linger(process: ChildProcess, file: File) -> int:
    return _socket_file(file).begin_to_linger() if file.references == 1 else 0


def _socket_file(file: File) -> SocketFile:
    if not isinstance(file, SocketFile):
        raise WireError("no socket")
    return file


def _epoll_file(file: File) -> Epoll:
    if not isinstance(file, Epoll):
        raise WireError("no epoll")
    return file


def _add(process: ChildProcess, file: File, descriptor: int, events: int) -> None:
    _epoll_file(file).add(descriptor, process.host.kernel.file(descriptor), events)


def _modify(process: ChildProcess, file: File, descriptor: int, events: int) -> None:
    _epoll_file(file).modify(descriptor, process.host.kernel.file(descriptor), events)


def _remove(process: ChildProcess, file: File, descriptor: int) -> None:
    _epoll_file(file).remove(descriptor, process.host.kernel.file(descriptor))


SPECIAL: Final[dict[str, Callable[..., Any]]] = {
    "accept": _accept,
    "read_address": _read_address,
    "set_option": _set_option,
    "begin_to_linger": _linger,
    "add": _add,
    "modify": _modify,
    "remove": _remove,
}
"""Methods of open files whose arguments or results are files themselves, or that are about more than the file."""


def _new(process: ChildProcess, file: File) -> Description:
    """Give a new file a descriptor of the child."""
    return _describe_file(process.host.kernel.install(file), file)


def _describe_file(descriptor: int, file: File) -> Description:
    if isinstance(file, SocketFile):
        timeouts = file.receive_timeout, file.send_timeout
        return descriptor, SOCKET, file.mode, int(file.family), int(file.type), int(file.protocol), *timeouts
    return descriptor, EPOLL if isinstance(file, Epoll) else PLAIN, file.mode, 0, 0, 0, None, None


def _describe(process: ChildProcess, task: Task, descriptor: int) -> Description:
    return _describe_file(descriptor, process.host.kernel.file(descriptor))


def _duplicate(process: ChildProcess, task: Task, descriptor: int) -> Description:
    return _new(process, process.host.kernel.file(descriptor))


def _duplicate_to(process: ChildProcess, task: Task, descriptor: int, target: int) -> None:
    process.host.kernel.duplicate_to(descriptor, target)


def _close(process: ChildProcess, task: Task, descriptor: int) -> None:
    process.host.kernel.close(descriptor)


def _socket(process: ChildProcess, task: Task, family: int, kind: int, protocol: int) -> Description:
    return _new(process, process.host.kernel.socket(family, kind, protocol))


def _pair(process: ChildProcess, task: Task, family: int, kind: int, protocol: int) -> Any:
    one, other = process.host.kernel.socketpair(family, kind, protocol)
    return _new(process, one), _new(process, other)


def _event_counter(process: ChildProcess, task: Task, value: int, semaphore: bool) -> Description:
    return _new(process, process.host.kernel.event_counter(value, semaphore))


def _pipe(process: ChildProcess, task: Task) -> Any:
    reader, writer = process.host.kernel.pipe()
    return _new(process, reader), _new(process, writer)


def _epoll(process: ChildProcess, task: Task) -> Description:
    return _new(process, process.host.kernel.epoll())


def _semaphore(process: ChildProcess, task: Task, name: str, value: int, maximum: int, unnamed: bool) -> Description:
    return _new(process, process.host.kernel.semaphore(name, value, maximum, unnamed))


def _named_semaphore(process: ChildProcess, task: Task, name: str) -> Description:
    return _new(process, process.host.kernel.named_semaphore(name))


def _unlink_semaphore(process: ChildProcess, task: Task, name: str) -> bool:
    return process.host.kernel.unlink_semaphore(name)


def _numbers(process: ChildProcess, task: Task) -> list[int]:
    return process.host.kernel.numbers()


def _resolve(process: ChildProcess, task: Task, method: str, args: tuple[Any, ...]) -> Any:
    if method not in RESOLVER_METHODS:
        raise WireError(f"no such method of the resolver: {method!r}")
    return plain(getattr(process.host.kernel.resolver, method)(*args))


def _function(process: ChildProcess, task: Task, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    forwarded = FORWARDED.get(name)
    if forwarded is None:
        raise WireError(f"no such function: {name!r}")
    return plain(forwarded.simulated(process, *args, **kwargs))


def _execute(process: ChildProcess, task: Task, kept: list[int], words: list[str]) -> None:
    """execve(2): other threads end, handlers are gone, and descriptors closed that are not kept."""
    for number, other in list(process.threads.items()):
        if other is not task:
            process.end_thread(number)
    process.host.kernel.keep(process, kept)
    process.restart_in_place()
    process.command = [str(word) for word in words]
    process.wakeup_fd = -1


GIVEN: Final[dict[str, Callable[..., int]]] = {}
"""What a child gets a descriptor of the machine by (`forking.ask_for_descriptor`)."""

ASKED: Final[dict[str, Callable[..., Any]]] = {
    "park": _park,
    "file": _file,
    "describe": _describe,
    "dup": _duplicate,
    "dup2": _duplicate_to,
    "close": _close,
    "socket": _socket,
    "socketpair": _pair,
    "event_counter": _event_counter,
    "pipe": _pipe,
    "epoll": _epoll,
    "semaphore": _semaphore,
    "named_semaphore": _named_semaphore,
    "unlink_semaphore": _unlink_semaphore,
    "numbers": _numbers,
    "resolver": _resolve,
    "function": _function,
    "exec": _execute,
}
