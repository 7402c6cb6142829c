"""What `threading`, `queue` and `concurrent.futures` are to a program whose threads are greenlets."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import queue
import random
import socketserver
import threading
import time
from typing import Any

import pytest

MADE_OUTSIDE = threading.Lock()
REENTRANT_OUTSIDE = threading.RLock()
QUEUE_OUTSIDE: queue.SimpleQueue[int] = queue.SimpleQueue()
LOCAL_OUTSIDE = threading.local()


def run(internet: Any, program: Any) -> None:
    internet.client.run(program)
    internet.run()


@pytest.mark.parametrize("lock", [MADE_OUTSIDE, REENTRANT_OUTSIDE, None], ids=["outside", "reentrant", "inside"])
def test_locks_exclude_across_waiting(internet: Any, lock: Any) -> None:
    inside: list[int] = []

    def program() -> None:
        mutex = lock or threading.Lock()

        def work(number: int) -> None:
            for _ in range(20):
                with mutex:
                    inside.append(number)
                    assert len(inside) == 1
                    time.sleep(random.random())
                    inside.remove(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not any(thread.is_alive() for thread in threads)

    run(internet, program)
    assert not MADE_OUTSIDE.locked()
    assert MADE_OUTSIDE.acquire(timeout=1)
    MADE_OUTSIDE.release()


def test_lock_timeouts_take_virtual_time(internet: Any) -> None:
    def program() -> None:
        lock, reentrant = threading.Lock(), threading.RLock()
        lock.acquire()
        reentrant.acquire()
        assert not lock.acquire(False) and not lock.acquire(timeout=5)
        assert reentrant.acquire(timeout=5)
        assert time.monotonic() == 1005
        outcome: list[bool] = []
        thread = threading.Thread(target=lambda: outcome.append(reentrant.acquire(timeout=10)))
        thread.start()
        thread.join(3)
        assert thread.is_alive() and time.monotonic() == 1008
        thread.join()
        assert outcome == [False] and time.monotonic() == 1015
        with pytest.raises(RuntimeError):
            threading.RLock().release()
        with pytest.raises(RuntimeError):
            threading.Lock().release()

    run(internet, program)


def test_conditions_events_semaphores_barriers(internet: Any) -> None:
    def program() -> None:
        order: list[str] = []
        condition = threading.Condition()
        barrier = threading.Barrier(3)
        semaphore = threading.BoundedSemaphore(2)
        event = threading.Event()

        def worker(name: str) -> None:
            with condition:
                condition.wait()
            barrier.wait()
            with semaphore:
                order.append(f"{name} at {time.monotonic():.0f}")
                time.sleep(1)
            event.wait(100)

        threads = [threading.Thread(target=worker, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        time.sleep(1)
        with condition:
            condition.notify_all()
        assert not event.wait(5)
        event.set()
        for thread in threads:
            thread.join()
        assert sorted(line[-4:] for line in order) == ["1001", "1001", "1002"]
        assert time.monotonic() == 1006

    run(internet, program)


def test_queues(internet: Any) -> None:
    def program() -> None:
        work: queue.Queue[int] = queue.Queue(maxsize=2)
        results: queue.SimpleQueue[int] = queue.SimpleQueue()

        def consumer() -> None:
            while (item := work.get()) >= 0:
                time.sleep(0.1)
                results.put(item * item)
                work.task_done()

        threading.Thread(target=consumer).start()
        for number in range(10):
            work.put(number)
        work.join()
        work.put(-1)
        assert [results.get() for _ in range(10)] == [number * number for number in range(10)]
        with pytest.raises(queue.Empty):
            results.get(timeout=2)
        with pytest.raises(queue.Empty):
            QUEUE_OUTSIDE.get_nowait()
        threading.Timer(3, QUEUE_OUTSIDE.put, (7,)).start()
        assert QUEUE_OUTSIDE.get() == 7
        assert time.monotonic() == pytest.approx(1006, abs=0.01)

    run(internet, program)


def test_pools_of_two_processes_do_not_mix(internet: Any) -> None:
    def program(factor: int) -> None:
        def work(number: int) -> tuple[int, str]:
            time.sleep(1)
            return number * factor, threading.current_thread().name.split("_")[0]

        with concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix=f"pool{factor}") as pool:
            assert list(pool.map(work, range(8))) == [(number * factor, f"pool{factor}") for number in range(8)]
            done = concurrent.futures.wait([pool.submit(time.sleep, 1), pool.submit(time.sleep, 9)], timeout=5)
            assert len(done.done) == 1
        assert time.monotonic() == 1011
        concurrent.futures.ThreadPoolExecutor(2).submit(time.sleep, 1)  # its idle worker keeps nobody alive

    internet.server.run(program, 2)
    internet.client.run(program, 3)
    internet.run()
    assert internet.world.now == 12


def test_thread_locals_and_context_variables(internet: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    LOCAL_OUTSIDE.value = "outside"
    ended: list[str] = []

    class Ends(str):
        def __del__(self) -> None:
            ended.append(str(self))

    def program(name: str) -> None:
        class Own(threading.local):
            def __init__(self) -> None:
                self.made_by = threading.get_ident()

        own = Own()
        own.value = name
        assert not hasattr(LOCAL_OUTSIDE, "value")
        LOCAL_OUTSIDE.value = name

        def work(number: int) -> None:
            assert not hasattr(own, "value") and own.made_by == threading.get_ident()
            own.value = f"{name}{number}"
            assert not hasattr(LOCAL_OUTSIDE, "value")
            LOCAL_OUTSIDE.value = Ends(own.value)
            variable.set(own.value)
            time.sleep(1)
            assert own.value == variable.get() == f"{name}{number}"

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert own.value == LOCAL_OUTSIDE.value == name and variable.get() == "none"
        assert [text for text in ended if text.startswith(name)] == [f"{name}{number}" for number in range(3)]

    internet.server.run(program, "s")
    internet.client.run(program, "c")
    internet.run()
    assert LOCAL_OUTSIDE.value == "outside" and variable.get() == "none"


def test_identity_of_threads(internet: Any) -> None:
    outside = threading.get_ident(), threading.enumerate()

    def program() -> None:
        main = threading.main_thread()
        assert main is threading.current_thread() and main.name == "MainThread" and not main.daemon
        idents = {threading.get_ident()}

        def work() -> None:
            idents.add(threading.get_ident())
            assert threading.current_thread() is not main and threading.main_thread() is main
            assert threading.current_thread().ident == threading.get_ident()
            time.sleep(1)
            assert len(threading.enumerate()) == threading.active_count() == 4
            time.sleep(1)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(idents) == 4 and threading.enumerate() == [main]
        assert [thread.name for thread in threads] == [f"Thread-{n} (work)" for n in (1, 2, 3)]

    run(internet, program)
    assert (threading.get_ident(), threading.enumerate()) == outside


def test_an_error_in_a_thread_is_shown_and_ends_only_that(internet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def program() -> None:
        monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        print("main goes on")

    run(internet, program)
    assert internet.printed("client") == ["main goes on"]
    assert internet.printed("client", "stderr")[-1] == "ZeroDivisionError: division by zero"


def test_socketserver_with_threads(internet: Any) -> None:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                self.wfile.write(line.upper())

    def server() -> None:
        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        with Server(("", 7), Handler) as server:
            threading.Timer(60, server.shutdown).start()
            server.serve_forever()

    async def client() -> None:
        async def talk(number: int) -> bytes:
            reader, writer = await asyncio.open_connection("server", 7)
            writer.write(b"hello %d\n" % number)
            writer.write_eof()
            try:
                return await reader.read()
            finally:
                writer.close()

        answers = await asyncio.gather(*(talk(number) for number in range(10)))
        assert answers == [b"HELLO %d\n" % number for number in range(10)]

    internet.server.run(server, daemon=False)
    internet.client.run(client, start=0.1)
    internet.run()


def test_sleeping_in_one_process_does_not_hold_up_another(internet: Any) -> None:
    seen: list[str] = []

    def program(name: str, step: float) -> None:
        for _ in range(3):
            time.sleep(step)
            seen.append(f"{name}{time.monotonic() - 1000:.1f}")

    internet.server.run(program, "s", 1.0)
    internet.client.run(program, "c", 0.7)
    internet.run()
    assert seen == ["c0.7", "s1.0", "c1.4", "s2.0", "c2.1", "s3.0"]


def test_a_lock_that_a_real_thread_holds(internet: Any) -> None:
    held, done = threading.Event(), threading.Event()

    def beside() -> None:
        with MADE_OUTSIDE:
            held.set()
            time.sleep(0.02)
        done.set()

    def program() -> None:
        with MADE_OUTSIDE:
            assert done.is_set() or not threading.active_count() > 1

    thread = threading.Thread(target=beside)
    thread.start()
    held.wait()
    internet.client.run(program)
    internet.world.run()
    thread.join()
    assert internet.world.processes[0].status == 0
