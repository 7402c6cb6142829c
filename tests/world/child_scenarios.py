"""Programs with child processes whose results on the real kernel and on a simulated host are compared.

Run as a program with `real` or `simulated`, it prints the results of all scenarios, by name.
"""

from __future__ import annotations

import array
import asyncio
import atexit
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

MOMENT = 0.05
"""Seconds between two looks. Nothing depends on them: on the real kernel any process may be late."""


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """The result of a call, or the error that it raises."""
    try:
        return call(*args)
    except (OSError, ValueError, TypeError) as error:
        return [type(error).__name__, *map(str, error.args)]


def child(run: Callable[[], object]) -> int:
    """Start a child that ends with what `run` returns, if that is a number."""
    pid = os.fork()
    if pid == 0:
        result = 1
        try:
            returned = run()
            result = returned if isinstance(returned, int) else 0
        finally:
            os._exit(result)
    return pid


def status(pid: int) -> list[Any]:
    """How a child ended: whether by itself, and with what."""
    _, value = os.waitpid(pid, 0)
    return [os.WIFEXITED(value), os.WEXITSTATUS(value) if os.WIFEXITED(value) else os.WTERMSIG(value)]


def told(run: Callable[[Callable[[object], object]], object]) -> list[Any]:
    """What a child tells, and how it ended."""
    reader, writer = os.pipe()

    def tell(what: object) -> None:
        os.write(writer, json.dumps(what).encode() + b"\n")

    pid = child(lambda: run(tell))
    os.close(writer)
    with os.fdopen(reader) as lines:
        return [*map(json.loads, lines), status(pid)]


def statuses() -> Any:
    def kill(number: int) -> Callable[[], object]:
        return lambda: os.kill(os.getpid(), number)

    ways: list[Callable[[], object]] = [lambda: 0, lambda: 7, lambda: 255, lambda: os._exit(256 + 3)]
    ways += [kill(signal.SIGKILL), kill(signal.SIGTERM), kill(signal.SIGUSR1), os.abort]
    return [status(child(way)) for way in ways]


def ends_of_the_interpreter() -> Any:
    """The program goes on in the child to its end: exceptions, `sys.exit`, exit handlers."""
    found = []
    for number in range(3):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            sys.stderr = open(os.devnull, "w")
            atexit.register(os.write, writer, b"at exit")
            if number == 0:
                sys.exit(5)
            if number == 1:
                raise KeyError("uncaught")
            sys.exit("a text")
        os.close(writer)
        found.append([os.read(reader, 100).decode(), os.read(reader, 100).decode(), status(pid)])
        os.close(reader)
    return found


def waiting_in_vain() -> Any:
    reader, writer = os.pipe()
    pid = child(lambda: os.read(reader, 1) and 0)
    found = [
        outcome(os.waitpid, pid, os.WNOHANG)[0],
        outcome(os.waitpid, pid + 5000, 0),
        outcome(os.waitpid, -1, 99999),
    ]
    os.write(writer, b"x")
    found += [outcome(os.waitpid, pid, 0)[1], outcome(os.waitpid, pid, 0), outcome(os.wait), outcome(os.wait3, 0)]
    return found


def waiting_by_other_calls() -> Any:
    pids = [child(lambda: 4), child(lambda: os.kill(os.getpid(), signal.SIGUSR2))]
    found = os.waitid(os.P_PID, pids[0], os.WEXITED | os.WNOWAIT)
    again = os.waitid(os.P_PID, pids[0], os.WEXITED)
    other = os.waitid(os.P_ALL, 0, os.WEXITED)
    assert found is not None and again is not None and other is not None
    seen = [[each.si_pid in pids, each.si_signo, each.si_status, each.si_code] for each in (found, again, other)]
    last = child(lambda: 9)
    pid, value, usage = os.wait4(last, 0)
    return seen, pid == last, value, len(usage), outcome(os.waitid, os.P_ALL, 0, os.WEXITED)


def descriptors_of_processes() -> Any:
    """pidfd_open(2): what is ready, signals, waiting, and what is no such descriptor."""
    reader, _writer = os.pipe()
    pid = child(lambda: os.read(reader, 1) and 0)
    pidfd, nonblocking = os.pidfd_open(pid), os.pidfd_open(pid, os.O_NONBLOCK)
    poll = select.epoll()
    poll.register(pidfd, select.EPOLLIN)
    seen = [len(poll.poll(0)), os.get_inheritable(pidfd), os.get_blocking(nonblocking)]
    seen += [outcome(os.waitid, os.P_PIDFD, nonblocking, os.WEXITED), outcome(os.read, pidfd, 1)]
    seen += [outcome(signal.pidfd_send_signal, pidfd, 0), outcome(signal.pidfd_send_signal, pidfd, 999)]
    signal.pidfd_send_signal(pidfd, signal.SIGTERM)
    seen += [len(poll.poll(5)), select.select([nonblocking], [], [], 0)[0] == [nonblocking]]
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert ended is not None
    seen += [ended.si_pid == pid, ended.si_status, ended.si_code, len(poll.poll(0))]
    seen += [outcome(os.waitid, os.P_PIDFD, pidfd, os.WEXITED), outcome(signal.pidfd_send_signal, pidfd, 0)]
    seen += [outcome(os.pidfd_open, 0), outcome(os.pidfd_open, pid), outcome(os.pidfd_open, os.getpid(), 1)]
    seen += [outcome(os.waitid, os.P_PIDFD, reader, os.WEXITED), outcome(signal.pidfd_send_signal, reader, 0)]

    def run(tell: Callable[[object], object]) -> None:
        above = os.pidfd_open(os.getppid())
        tell([select.select([above], [], [], 0)[0], outcome(os.waitid, os.P_PIDFD, above, os.WEXITED)])
        below = os.pidfd_open(child(lambda: 3))
        tell([select.select([below], [], [], 5)[0] == [below]])
        found = os.waitid(os.P_PIDFD, below, os.WEXITED)
        tell(found is not None and found.si_status)

    return seen, told(run)


def any_child() -> Any:
    pipes = [os.pipe() for _ in range(3)]
    pids = [child(lambda n=n: os.read(pipes[n][0], 1) and n) for n in range(3)]  # type: ignore[misc]
    ended = []
    for number in (2, 0, 1):
        os.write(pipes[number][1], b"x")
        ended.append(os.wait())
    return [[pids.index(pid), value] for pid, value in ended]


def told_of_children() -> Any:
    received: list[int] = []
    signal.signal(signal.SIGCHLD, lambda number, frame: received.append(number))
    pid = child(lambda: 0)
    began = time.monotonic()
    time.sleep(MOMENT * 3)  # goes on after the handler
    slept = time.monotonic() - began >= MOMENT * 2.9
    while not received:
        time.sleep(MOMENT)
    found = received[:], slept, os.waitpid(pid, os.WNOHANG)[1]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pid = child(lambda: time.sleep(MOMENT))
    return found, outcome(os.waitpid, pid, 0), outcome(os.kill, pid, 0)


def killed_children() -> Any:
    pid = child(lambda: time.sleep(100))
    time.sleep(MOMENT)
    os.kill(pid, signal.SIGTERM)
    time.sleep(MOMENT)
    alive = outcome(os.kill, pid, 0)  # nobody has waited for it yet
    return alive, status(pid), outcome(os.kill, pid, 0)


def handlers_in_children() -> Any:
    reader, writer = os.pipe()
    silent = os.pipe()

    def run(tell: Callable[[object], object]) -> None:
        received: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, frame: received.append(number))
        os.write(writer, b"ready")
        while not received:
            time.sleep(MOMENT)
        tell(received)
        os.kill(os.getpid(), signal.SIGUSR1)
        tell(received)

        def stop(number: int, frame: object) -> None:
            raise InterruptedError("by a handler")

        signal.signal(signal.SIGUSR2, stop)
        try:
            os.write(writer, b"ready")
            os.read(silent[0], 1)
        except InterruptedError as error:
            tell(str(error))

    pid = os.getpid()
    pipe, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(pipe)
        try:
            run(lambda what: os.write(end, json.dumps(what).encode() + b"\n"))
        finally:
            os._exit(0)
    os.close(end)
    os.read(reader, 5)
    os.kill(pid, signal.SIGUSR1)
    with os.fdopen(pipe, "rb", 0) as lines:
        seen = [json.loads(lines.readline()), json.loads(lines.readline())]
        os.read(reader, 5)
        time.sleep(MOMENT)
        os.kill(pid, signal.SIGUSR2)
        seen += [json.loads(line) for line in lines]
    return seen, status(pid)


def inherited_dispositions() -> Any:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])

    def run(tell: Callable[[object], object]) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGUSR2)
        tell([sorted(signal.sigpending()), sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))])
        tell([signal.sigwait([signal.SIGUSR2]), sorted(signal.sigpending())])
        tell(signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN)
        tell(outcome(signal.sigtimedwait, [signal.SIGUSR2], MOMENT))

    found = told(run)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
    return found


def alarms() -> Any:
    received: list[int] = []
    signal.signal(signal.SIGALRM, lambda number, frame: received.append(number))
    signal.setitimer(signal.ITIMER_REAL, 50)

    def run(tell: Callable[[object], object]) -> None:
        tell(signal.getitimer(signal.ITIMER_REAL))
        signal.setitimer(signal.ITIMER_REAL, MOMENT)
        while not received:
            time.sleep(MOMENT)
        tell(received)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, MOMENT)
        time.sleep(100)

    found = told(run)
    return found, signal.getitimer(signal.ITIMER_REAL)[0] > 40, signal.alarm(0)


def pipes() -> Any:
    there, back = os.pipe(), os.pipe()

    def run() -> int:
        os.close(there[1]), os.close(back[0])
        count = 0
        while data := os.read(there[0], 65536):
            count += len(data)
        os.write(back[1], b"%d" % count)
        return 0

    pid = child(run)
    os.close(there[0]), os.close(back[1])
    for _ in range(5):
        os.write(there[1], bytes(50_000))  # more than a pipe holds
    os.close(there[1])
    return os.read(back[0], 100).decode(), os.read(back[0], 100).decode(), status(pid)


def broken_pipes() -> Any:
    reader, writer = os.pipe()

    def run(tell: Callable[[object], object]) -> None:
        os.close(reader)
        os.read(go, 1)
        tell(outcome(os.write, writer, b"x"))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.write(writer, b"x")

    pipe, end = os.pipe()
    go, start = os.pipe()
    pid = child(lambda: run(lambda what: os.write(end, json.dumps(what).encode())))
    os.close(reader), os.close(end)
    os.write(start, b"x")
    return json.loads(os.read(pipe, 1000)), status(pid)


def what_children_share() -> Any:
    """`shutdown`, O_NONBLOCK and offsets are of the open file, `close` is not."""
    one, other = socket.socketpair()
    status(child(one.close))
    one.send(b"still open")
    found: list[Any] = [other.recv(100).decode()]
    status(child(lambda: one.shutdown(socket.SHUT_WR)))
    found += [outcome(one.send, b"x"), other.recv(100).decode()]
    reader, writer = os.pipe()
    status(child(lambda: os.set_blocking(reader, False)))
    found += [os.get_blocking(reader), outcome(os.read, reader, 1)]
    status(child(lambda: os.write(writer, b"abc")))
    status(child(lambda: os.read(reader, 1)))
    found.append(os.read(reader, 10).decode())
    return found


def passed_descriptors() -> Any:
    ours, theirs = socket.socketpair()

    def run() -> int:
        reader, writer = os.pipe()
        theirs.sendmsg([b"take"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [reader, theirs.fileno()]))])
        os.close(reader)
        os.write(writer, b"through a pipe that was passed")
        os.close(writer)
        _, descriptors, _, _ = socket.recv_fds(theirs, 10, 1)
        os.write(descriptors[0], b"and back")
        return 0

    pid = child(run)
    data, descriptors, _, _ = socket.recv_fds(ours, 100, 3)
    with socket.socket(fileno=descriptors[1]) as same:
        kinds = same.family == socket.AF_UNIX, same.type == socket.SOCK_STREAM
    reader, writer = os.pipe()
    socket.send_fds(ours, [b"x"], [writer])
    os.close(writer)
    seen = [os.read(descriptors[0], 100).decode(), os.read(descriptors[0], 100).decode()]
    return data.decode(), kinds, seen, os.read(reader, 100).decode(), status(pid), os.read(reader, 100).decode()


def readiness() -> Any:
    """select, poll and epoll in a child, of descriptors of before and after fork."""
    one, other = socket.socketpair()
    shared = select.epoll()
    shared.register(one, select.EPOLLIN)

    def run(tell: Callable[[object], object]) -> None:
        reader, writer = os.pipe()
        everything: list[Any] = [one, reader]
        tell([len(each) for each in select.select(everything, [writer], [], MOMENT)])
        poll = select.poll()
        poll.register(one, select.POLLIN)
        poll.register(writer, select.POLLOUT)
        tell([[each == writer, bits] for each, bits in poll.poll(100)])
        tell(shared.poll(0.01))
        other.send(b"x")
        tell([[each == one.fileno(), bits] for each, bits in shared.poll(1)])
        own = select.epoll()
        own.register(reader, select.EPOLLIN | select.EPOLLET)
        os.write(writer, b"x")
        tell([len(own.poll(1)), len(own.poll(0))])
        own.close()
        tell(outcome(own.poll))
        os.close(reader)
        tell(outcome(os.read, reader, 1))
        tell(outcome(select.select, [reader], [], [], 0))

    found = told(run)
    return found, [[each == one.fileno(), bits] for each, bits in shared.poll(1)]


def closed_before() -> Any:
    one, other = socket.socketpair()
    other.close()

    def run(tell: Callable[[object], object]) -> None:
        tell([outcome(other.recv, 1), one.recv(1).decode()])
        number = one.fileno()
        os.close(number)
        tell([outcome(one.recv, 1), outcome(os.close, number), outcome(os.fstat, number)])

    return told(run), one.recv(1).decode()


def _connected(family: int, kind: int) -> tuple[socket.socket, socket.socket]:
    """Two connected sockets of any family."""
    if family == socket.AF_UNIX:
        return socket.socketpair(socket.AF_UNIX, kind)
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    if kind == socket.SOCK_STREAM:
        with socket.create_server((address, 0), family=family) as server:
            client = socket.create_connection(server.getsockname()[:2])
            return client, server.accept()[0]
    one, other = socket.socket(family, kind), socket.socket(family, kind)
    one.bind((address, 0)), other.bind((address, 0))
    one.connect(other.getsockname()), other.connect(one.getsockname())
    return one, other


def shutdown_and_close() -> Any:
    """shutdown(2) in a child is one of the connection, close(2) one of the child's descriptor."""
    found = []
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            one, other = _connected(family, kind)
            one.settimeout(5), other.settimeout(5)
            ways = [status(child(one.close))]
            one.send(b"after close"), other.send(b"both ways")
            seen: list[Any] = [other.recv(100).decode(), one.recv(100).decode()]
            ways.append(status(child(lambda one=one: one.shutdown(socket.SHUT_WR))))  # type: ignore[misc]
            seen.append(outcome(one.send, b"no more")[0])
            if kind == socket.SOCK_STREAM:
                seen += [other.recv(100).decode(), other.send(b"still")]
                seen.append(one.recv(100).decode())
            ways.append(status(child(lambda one=one: one.shutdown(socket.SHUT_RD))))  # type: ignore[misc]
            seen.append(outcome(one.recv, 100) == b"")
            found.append([family, int(kind), ways, seen])
            one.close(), other.close()
    return found


def listener_outlives_its_parent() -> Any:
    """A server's children go on to accept when it has gone; its last descriptor closes it."""
    reader, writer = os.pipe()
    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    middle = os.fork()
    if middle == 0:
        os.setpgid(0, 0)
        for _ in range(2):
            if os.fork() == 0:
                for _ in range(2):
                    with listener.accept()[0] as connection:
                        connection.sendall(b"by an orphan" if os.getppid() != middle else b"early")
                os.write(writer, b"x")
                os._exit(0)
        os._exit(7)
    listener.close()
    ended = status(middle)
    time.sleep(MOMENT)
    answers = []
    for _ in range(4):
        with socket.create_connection(address) as client:
            answers.append(client.recv(100).decode())
    left = [os.read(reader, 1), os.read(reader, 1)]
    time.sleep(MOMENT)
    return ended, len(answers), len(left), outcome(socket.create_connection, address)[0]


def whole_groups_are_killed() -> Any:
    """A session of its own with children: killpg(2) ends all; SIGTERM is ignored by those that inherit so."""
    reader, writer = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(2):
            if os.fork() == 0:
                time.sleep(100)
                os._exit(1)
        os.write(writer, b"ready")
        time.sleep(100)
        os._exit(1)
    os.close(writer)
    os.read(reader, 5)
    os.killpg(leader, signal.SIGTERM)
    time.sleep(MOMENT)
    found: list[Any] = [outcome(os.killpg, leader, 0), os.getpgid(leader) == os.getsid(leader) == leader]
    os.killpg(leader, signal.SIGKILL)
    return [*found, status(leader), os.read(reader, 1).decode()]


def groups() -> Any:
    leader = os.getpid()

    def run(tell: Callable[[object], object]) -> None:
        own = os.getpid()
        tell([os.getppid() == leader, os.getpgrp() == os.getpgid(leader), os.getsid(0) == os.getsid(leader)])
        os.setpgid(0, 0)
        tell([os.getpgrp() == own, os.getpgid(own) == own, os.getsid(0) == own, outcome(os.setsid)])
        reader, writer = os.pipe()
        inner = child(lambda: [os.setsid(), os.write(writer, b"x"), time.sleep(100)])
        os.read(reader, 1)
        tell([os.getsid(inner) == inner, os.getpgid(inner) == inner, outcome(os.setpgid, inner, own)])
        members = [child(lambda: time.sleep(100)) for _ in range(2)]
        signal.signal(signal.SIGTERM, lambda number, frame: tell("the group"))
        os.killpg(0, signal.SIGTERM)
        tell([status(each) for each in members])
        os.kill(-inner, signal.SIGKILL)
        tell(status(inner))

    return told(run)


def grandchildren() -> Any:
    def run(tell: Callable[[object], object]) -> None:
        def grandchild() -> int:
            tell(["grandchild", status(child(lambda: 3))])
            return 4

        tell(["child", status(child(grandchild))])

        parent = os.getpid()

        def orphan() -> None:
            while os.getppid() == parent:
                time.sleep(MOMENT)
            tell("orphan")

        child(orphan)

    return told(run)


def daemons() -> Any:
    """The double fork by which daemons detach themselves."""
    reader, writer = os.pipe()

    def first() -> None:
        os.setsid()
        if os.fork() == 0:
            os.close(reader)
            time.sleep(MOMENT)
            os.write(writer, json.dumps([os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()]).encode())

    ended = status(child(first))
    os.close(writer)
    return ended, json.loads(os.read(reader, 100)), os.read(reader, 1).decode()


def threads() -> Any:
    """A child has the thread that has called fork, and can start others."""
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()

    def run(tell: Callable[[object], object]) -> None:
        tell([threading.active_count(), threading.current_thread() is threading.main_thread(), other.is_alive()])
        order: list[str] = []
        lock, condition = threading.Lock(), threading.Condition()

        def work(name: str) -> None:
            for _ in range(3):
                with lock:
                    order.append(name)
                time.sleep(MOMENT)
            with condition:
                condition.notify()

        started = [threading.Thread(target=work, args=(name,)) for name in "ab"]
        with condition:
            for each in started:
                each.start()
            condition.wait_for(lambda: len(order) == 6, 50)
        for each in started:
            each.join()
        tell("".join(sorted(order)))
        reader, writer = os.pipe()
        echo = threading.Thread(target=lambda: os.write(writer, os.read(reader, 10)))
        echo.start()
        time.sleep(MOMENT)
        os.write(writer, b"to a thread")
        echo.join()
        tell(os.read(reader, 20).decode())

    found = [told(run)]
    results: list[Any] = []
    forking = threading.Thread(target=lambda: results.append(told(run)))
    forking.start()
    forking.join()
    stop.set()
    other.join()
    return found + results


def chances() -> Any:
    """Nothing that is drawn in a child is drawn in its parent."""

    def run(tell: Callable[[object], object]) -> None:
        tell([random.random(), os.urandom(4).hex()])

    drawn = [told(run)[0] for _ in range(2)] + [[random.random(), os.urandom(4).hex()]]
    return len({each[0] for each in drawn}), len({each[1] for each in drawn})


def own_variables() -> Any:
    os.environ["SHARED"] = "before"
    numbers = [1]

    def run(tell: Callable[[object], object]) -> None:
        numbers.append(2)
        os.environ["SHARED"] = "changed"
        os.chdir("/")
        tell([numbers, os.environ["SHARED"], os.getcwd()])

    here = os.getcwd()
    return told(run), numbers, os.environ["SHARED"], os.getcwd() == here


def loops() -> Any:
    """asyncio in a child, with signals and sockets."""

    async def talk(tell: Callable[[object], object]) -> None:
        loop = asyncio.get_running_loop()
        signalled = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, signalled.set)
        server = await asyncio.start_server(lambda reader, writer: answer(reader, writer), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"a line\n")
        tell((await reader.readline()).decode())
        writer.close()
        server.close()
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(signalled.wait(), 50)
        tell(await asyncio.to_thread(os.getpid) == os.getpid())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    return told(lambda tell: asyncio.run(talk(tell)))


def prefork() -> Any:
    """Children that accept from one listening socket."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for _ in range(3):
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(100):
                    connection.sendall(data.upper())

    pids = [child(serve) for _ in range(2)]
    answers = []
    for number in range(6):
        with socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"hello %d" % number)
            answers.append(client.recv(100).decode())
    return answers, [status(pid) for pid in pids]


def udp_and_names() -> Any:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def run(tell: Callable[[object], object]) -> None:
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(50)
        client.sendto(b"question", ("localhost", port))
        data, address = client.recvfrom(100)
        tell([data.decode(), address[0]])
        tell(outcome(client.sendto, b"x", ("127.0.0.1", 99999999)))
        tell(outcome(socket.getaddrinfo, "127.0.0.1", 80, 0, socket.SOCK_STREAM))
        client.settimeout(MOMENT)
        try:
            client.recv(1)
        except TimeoutError as error:
            tell(str(error))
        tell(outcome(socket.create_connection, ("127.0.0.1", port))[0])

    reader, writer = os.pipe()
    pid = child(lambda: run(lambda what: os.write(writer, json.dumps(what).encode() + b"\n")))
    os.close(writer)
    _, address = server.recvfrom(100)
    server.sendto(b"answer", address)
    with os.fdopen(reader) as lines:
        return [json.loads(line) for line in lines], status(pid)


def options() -> Any:
    listener = socket.create_server(("127.0.0.1", 0))

    def run(tell: Callable[[object], object]) -> None:
        with socket.create_connection(listener.getsockname()) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            tell(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
            tell(
                [
                    client.getpeername() == listener.getsockname(),
                    listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
                ]
            )
            tell(outcome(client.getsockopt, 12345, 1))
            connection, _ = listener.accept()
            connection.sendall(bytes(300_000))
            view = bytearray(300_000)
            count = client.recv_into(view)
            client.settimeout(50)
            while count < len(view):
                count += client.recv_into(memoryview(view)[count:])
            tell(count)
            tell(client.makefile("rwb").write(b"x"))

    return told(run)


HELPERS = (outcome, child, status, told, _connected)


def local_sockets_and_their_files() -> Any:
    """Names are those of the process's working directory, with its mode, and its users are seen."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        path = f"{folder}/server"
        mask = os.umask(0o007)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server.bind(path)
        os.umask(mask)
        server.listen()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

        def run(tell: Callable[[object], object]) -> object:
            os.mkdir(f"{folder}/below")
            os.chdir(f"{folder}/below")
            os.umask(0o037)
            own = socket.socket(socket.AF_UNIX)
            own.bind("own")
            tell([oct(os.stat("own").st_mode), os.listdir()])
            tell([outcome(socket.socket(socket.AF_UNIX).bind, "own"), outcome(own.connect, "server")])
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.connect("../server")
            client.send(b"as it is")
            if os.getuid() == 0:
                os.setgid(12)
                os.setuid(34)
            client.send(b"as somebody else")
            for said in ((os.getpid(), 0, 0), (os.getppid(), os.getuid(), os.getgid()), (os.getpid(), 34, 12)):
                packed = struct.pack("=iII", *said)
                tell(outcome(client.sendmsg, [b"said"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, packed)]))
            return 0

        found: list[Any] = [oct(os.stat(path).st_mode), sorted(os.listdir(folder)), told(run)]
        connection, _ = server.accept()
        peer = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        while data := (message := connection.recvmsg(100, 100))[0]:
            pid, *users = struct.unpack("=iII", message[1][0][2])
            found.append([data.decode(), pid == peer[0] != os.getpid(), users])
        found += [list(peer[1:]), sorted(os.listdir(folder)), oct(os.stat(f"{folder}/below/own").st_mode)]
        return found


SCENARIOS = [
    each
    for each in list(globals().values())
    if callable(each) and getattr(each, "__module__", "") == __name__ and each not in HELPERS
]


def results(where: str) -> dict[str, Any]:
    """The results of all scenarios."""
    return {each.__name__: run_real(each) if where == "real" else run_simulated(each) for each in SCENARIOS}


def run_real(scenario: Callable[[], Any]) -> Any:
    """The result in a session of its own, as programs of a host have it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.write(writer, json.dumps(scenario()).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as result:
        text = result.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def run_simulated(scenario: Callable[[], Any]) -> Any:
    """The result on a host of a world."""
    from catenet.world import World

    found: list[Any] = []
    with World() as world:
        host = world.host("a")
        host.owns_process = True
        host.run(lambda: found.append(scenario()))
        world.run()
    return json.loads(json.dumps(found[0]))


if __name__ == "__main__":
    print(json.dumps(results(sys.argv[1])))
