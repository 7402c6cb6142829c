"""What programs do with descriptors, threads, signals and time zones, on the kernel and on a simulated host.

As `system_scenarios`: run with `real` or `simulated` and the name of a scenario, it prints the result.
"""

from __future__ import annotations

import _thread
import datetime
import errno
import faulthandler
import json
import os
import pickle
import platform
import queue
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from tests.world.system_scenarios import outcome


def duplicating_to_a_number() -> Any:
    first, second = os.pipe(), os.pipe()
    os.dup2(second[0], first[0])
    os.write(second[1], b"x")
    wrong = [outcome(os.dup2, 1 << 30, first[0])[0], outcome(os.dup2, -1, first[0])[0]]
    return os.read(first[0], 1).decode(), os.get_inheritable(first[0]), wrong, outcome(os.write, first[1], b"y")


def standard_output_led_away_and_back() -> Any:
    reading, writing = os.pipe()
    saved = os.dup(1)
    os.dup2(writing, 1)
    os.write(1, b"into the pipe")
    os.dup2(saved, 1)
    os.close(saved)
    return os.read(reading, 100).decode()


def standard_streams_opened_by_number() -> Any:
    reading, writing = os.pipe()
    saved = os.dup(1)
    os.dup2(writing, 1)
    with os.fdopen(1, "w", closefd=False) as file:
        file.write("by number, ")
    with open(os.dup(1), "w") as file:
        file.write("by another")
    os.dup2(saved, 1)
    file = os.fdopen(saved, "w")
    same = file.fileno() == saved
    file.close()
    return os.read(reading, 100).decode(), same, outcome(os.close, saved), sys.stdin.fileno(), sys.stdout.fileno()


def event_counters() -> Any:
    counter = os.eventfd(3)
    semaphore = os.eventfd(2, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
    ready = [len(part) for part in select.select([counter], [counter], [], 1)]
    seen = [os.eventfd_read(counter), *(os.eventfd_read(semaphore) for _ in range(2))]
    empty = outcome(os.eventfd_read, semaphore)
    threading.Timer(0.01, lambda: os.eventfd_write(counter, 7)).start()
    wrong = [outcome(os.eventfd, -1)[0], outcome(os.eventfd, 0, 77), outcome(os.write, counter, b"short")]
    return ready, seen, empty, os.eventfd_read(counter), wrong, os.get_inheritable(counter)


def files_beside_sockets() -> Any:
    with tempfile.TemporaryFile() as file, socket.socket() as sock:
        things: list[Any] = [file, sock]
        readable = select.select([file], things, [], 0)[0] == [file]
        poll = select.poll()
        poll.register(file, select.POLLIN)
        polled = poll.poll(0)[0][1]
        wrong = outcome(socket.socket, socket.AF_INET, socket.SOCK_STREAM, 0, file.fileno())
        with select.epoll() as epoll:
            return readable, polled, wrong, outcome(epoll.register, file)


def passed_files() -> Any:
    one, other = socket.socketpair()
    reading, writing = os.pipe()
    with tempfile.TemporaryFile() as file:
        file.write(b"hello")
        file.flush()
        socket.send_fds(one, [b"with"], [file.fileno(), writing])
        same = os.fstat(file.fileno()).st_ino
    data, descriptors, _, _ = socket.recv_fds(other, 100, 4)
    os.write(descriptors[1], b"pipe")
    content, number = os.pread(descriptors[0], 5, 0).decode(), os.fstat(descriptors[0]).st_ino
    for descriptor in descriptors:
        os.close(descriptor)
    return data.decode(), content, number == same, os.read(reading, 4).decode()


def closed_by_number() -> Any:
    epoll = select.epoll()
    again = select.epoll.fromfd(epoll.fileno())
    os.close(epoll.fileno())
    sock = socket.socket()
    socket.close(sock.fileno())
    return outcome(again.poll, 1), outcome(sock.listen, 1), outcome(sock.close), outcome(sock.close)


def sizes_of_pipes() -> Any:
    import fcntl

    reading, writing = os.pipe()
    before = fcntl.fcntl(writing, 1032)
    changed = fcntl.fcntl(writing, 1031, before // 2)
    return before, changed, fcntl.fcntl(reading, 1032), outcome(os.pipe2, 1 << 40)[0]


def unclosed_sockets() -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        shown = repr(sock)
        del sock
        socket.socketpair()
    return [warning.category.__name__ for warning in caught], str(caught[0].message) == f"unclosed {shown}"


def polls_that_cannot_be() -> Any:
    poll = select.poll()
    refused = [outcome(select.epoll, 1, 0, 3)[0], outcome(type(poll))]
    reading, _ = os.pipe()
    poll.register(reading, select.POLLIN)
    thread = threading.Thread(target=poll.poll, args=(200,))
    thread.start()
    time.sleep(0.05)
    try:
        poll.poll(1)
    except RuntimeError as error:
        refused.append(str(error))
    thread.join()
    return refused


def locks_that_cannot_wait() -> Any:
    wrong = ((False, 1), (True, -2), (True, 1e20))
    return [[outcome(lock.acquire, *args) for args in wrong] for lock in (threading.Lock(), threading.RLock())]


def threads_by_number() -> Any:
    before = _thread._count()
    lock = _thread.allocate_lock()
    lock.acquire()
    _thread.start_new_thread(lock.acquire, ())
    time.sleep(0.01)
    during = _thread._count() - before
    lock.release()
    sizes = [_thread.stack_size(1 << 18), _thread.stack_size(0), outcome(_thread.stack_size, 5)]
    return during, sizes, outcome(_thread.start_new_thread, print, [])


def uncaught_in_a_thread() -> Any:
    seen: list[Any] = []
    sys.unraisablehook = lambda told: seen.append((told.exc_type.__name__, str(told.exc_value), told.object is fail))

    def fail() -> None:
        raise ValueError("nobody catches")

    _thread.start_new_thread(fail, ())
    _thread.start_new_thread(sys.exit, (3,))
    time.sleep(0.05)
    sys.unraisablehook = sys.__unraisablehook__
    return seen


def functions_as_attributes() -> Any:
    class Clock:
        read: Any = time.monotonic
        process: Any = os.getpid

    return Clock().read() > 0, Clock().process() == os.getpid(), pickle.loads(pickle.dumps(time.sleep)) is time.sleep


def modules_loaded_anew() -> Any:
    import importlib

    kept = {name: sys.modules.pop(name) for name in ("queue", "_queue")}
    fresh = importlib.import_module("queue").SimpleQueue()
    sys.modules.update(kept)
    threading.Timer(0.01, lambda: fresh.put("late")).start()
    return fresh is not queue.SimpleQueue, fresh.get()


def time_zones() -> Any:
    before = os.environ.get("TZ")
    seen = []
    for zone in ("EST+05EDT,M4.1.0,M10.5.0", "UTC", ":Australia/Melbourne"):
        os.environ["TZ"] = zone
        time.tzset()
        summer = time.mktime((2020, 7, 1, 0, 0, 0, 0, 0, -1))
        seen.append((time.tzname, time.timezone, time.localtime(86_400 * 200)[:6], summer))
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()

    class Moment(datetime.datetime):
        pass

    return seen, type(Moment.utcnow()).__name__, Moment.utcnow().tzinfo


def blocking_signals() -> Any:
    number = signal.SIGRTMIN + 3
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, number])
    os.kill(os.getpid(), number)
    pending = sorted(signal.sigpending() & {signal.SIGUSR1, number})
    taken = signal.sigtimedwait([number], 1)
    every = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    blocked = sorted(signal.pthread_sigmask(signal.SIG_SETMASK, before))
    wrong = [outcome(signal.pthread_sigmask, 77, []), outcome(signal.pthread_sigmask, signal.SIG_BLOCK, [0])[0]]
    return pending, taken and taken.si_signo, number in every, len(blocked), wrong


def tracebacks_at_a_signal() -> Any:
    reading, writing = os.pipe()
    faulthandler.register(signal.SIGUSR1, file=writing, all_threads=False)
    shown = signal.getsignal(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)
    text = os.read(reading, 10_000).decode()
    taken_back = faulthandler.unregister(signal.SIGUSR1), faulthandler.unregister(signal.SIGUSR1)
    faulthandler.dump_traceback_later(0.05, file=writing)
    time.sleep(0.2)
    late = os.read(reading, 10_000).decode()
    faulthandler.dump_traceback_later(0.05, file=writing)
    faulthandler.cancel_dump_traceback_later()
    functions = "tracebacks_at_a_signal" in text and "tracebacks_at_a_signal" in late
    return str(shown), text.splitlines()[0], taken_back, late.splitlines()[0], functions


def always_ready() -> Any:
    """A thread that is served at every call does not keep another from its turn."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        done: list[int] = []
        threading.Thread(target=lambda: (time.sleep(0.01), done.append(1))).start()
        while not done:
            select.select([], [sock], [], 1)
        return done


def udp_lite() -> Any:
    seen: list[Any] = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with (
            socket.socket(family, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE) as server,
            socket.socket(family, socket.SOCK_DGRAM, socket.IPPROTO_UDPLITE) as client,
        ):
            server.bind((host, 0))
            server.settimeout(0.05)
            for sent, least in ((0, None), (4, None), (12, None), (12, 0), (12, 12), (12, 13), (70_000, 8)):
                client.setsockopt(socket.IPPROTO_UDPLITE, 10, sent)
                if least is not None:
                    server.setsockopt(socket.IPPROTO_UDPLITE, 11, least)
                client.sendto(b"covered, or not", server.getsockname()[:2])
                coverages = client.getsockopt(136, 10), server.getsockopt(136, 11)
                seen.append((coverages, outcome(lambda: server.recv(100).decode())))
            client.connect(server.getsockname()[:2])
            server.close()
            client.send(b"x")
            client.settimeout(0.5)
            seen.append(outcome(client.recv, 10))
    return seen


def facts_about_the_machine() -> Any:
    return [bool(platform.uname().system), platform.uname()[5] == platform.processor(), errno.ENOSYS]


SCENARIOS = {
    scenario.__name__: scenario
    for scenario in (
        duplicating_to_a_number,
        standard_output_led_away_and_back,
        standard_streams_opened_by_number,
        event_counters,
        files_beside_sockets,
        passed_files,
        closed_by_number,
        sizes_of_pipes,
        unclosed_sockets,
        polls_that_cannot_be,
        locks_that_cannot_wait,
        threads_by_number,
        uncaught_in_a_thread,
        functions_as_attributes,
        modules_loaded_anew,
        time_zones,
        blocking_signals,
        tracebacks_at_a_signal,
        always_ready,
        udp_lite,
        facts_about_the_machine,
    )
}


def simulated(scenario: Callable[[], Any]) -> Any:
    """The result of a scenario on a simulated host."""
    from catenet.world import World

    results: list[Any] = []
    with World() as world:
        world.host("a").run(lambda: results.append(scenario()))
        world.run(until=60)
    return results[0]


if __name__ == "__main__":
    chosen = SCENARIOS[sys.argv[2]]
    print(json.dumps(chosen() if sys.argv[1] == "real" else simulated(chosen)))
