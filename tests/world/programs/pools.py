"""Work for other processes, by `multiprocessing` and `concurrent.futures`; the argument is how they are started."""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def square(number: int) -> int:
    return number * number


def fail(text: str) -> None:
    raise ValueError(text)


def count(results: Any, lock: Any, turn: Any, number: int) -> None:
    for _ in range(3):
        with lock:
            turn.value += 1
    results.put((number, multiprocessing.current_process().name, os.getppid() != os.getpid()))


def echo(end: Any, event: Any) -> None:
    event.wait()
    while (text := end.recv()) is not None:
        end.send(text.upper())


def of_processes(context: Any) -> None:
    results, lock, turn = context.Queue(), context.Lock(), context.Value("i", 0)
    processes = [context.Process(target=count, args=(results, lock, turn, number)) for number in range(2)]
    for process in processes:
        process.start()
    print(sorted(results.get() for _ in processes))
    for process in processes:
        process.join()
    print([process.exitcode for process in processes], turn.value, multiprocessing.active_children())
    ours, theirs = context.Pipe()
    event = context.Event()
    process = context.Process(target=echo, args=(theirs, event), daemon=True)
    process.start()
    print(process.is_alive(), process.join(0.05), ours.poll())
    event.set()
    ours.send("text")
    print(ours.recv())
    process.terminate()
    process.join()
    print(process.exitcode)
    try:
        results.get(timeout=0.05)
    except queue.Empty:
        print("empty")


def of_locks(context: Any) -> None:
    lock, again, few = context.Lock(), context.RLock(), context.BoundedSemaphore(2)
    print(lock.acquire(), lock.acquire(False), lock.acquire(timeout=0.01), lock.release())
    print(again.acquire(), again.acquire(), again.release(), again.release())
    for release in (lock.release, again.release, few.release):
        try:
            release()
        except (ValueError, AssertionError) as error:
            print(type(error).__name__, error)
    print(few.acquire(), few.acquire(), few.acquire(False), few.get_value())


def of_pools(context: Any) -> None:
    with context.Pool(2) as pool:
        print(pool.map(square, range(10)), pool.apply(square, (7,)))
        try:
            pool.apply(fail, ("in a worker",))
        except ValueError as error:
            print(error)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        print(list(executor.map(square, range(5))), repr(executor.submit(fail, "text").exception()))


def main(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    if method == "forkserver":  # which passes descriptors of files
        process = context.Process(target=print, args=("by a fork server",))
        process.start()
        process.join()
        print(process.exitcode)
        return
    of_processes(context)
    of_locks(context)
    of_pools(context)
    left = context.Process(target=time.sleep, args=(0.05,))
    left.start()  # is awaited at the end


if __name__ == "__main__":
    main(sys.argv[1])
