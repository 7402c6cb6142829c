"""Memory that processes share by its name: `multiprocessing.shared_memory`; the argument is how they are started."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.managers import SharedMemoryManager
from multiprocessing.shared_memory import ShareableList, SharedMemory
from typing import Any


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The result of a call, or the error that it raises."""
    try:
        return call(*args, **kwargs)
    except (OSError, ValueError) as error:
        return type(error).__name__, str(error).replace(str(args[0]) if args else "none", "NAME")


def add(name: str, number: int, lock: Any) -> None:
    memory: Any = SharedMemory(name)
    for _ in range(5):
        with lock:
            memory.buf[0] += number
    made: Any = SharedMemory(f"made-{os.path.basename(name)}-{number}", create=True, size=16)
    made.buf[:4] = b"made"
    made.close()
    memory.close()


def change(values: Any) -> None:
    values[0] += 1
    values[2] = "of a child"


def main(method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    memory: Any = SharedMemory(create=True, size=5000)
    print(len(memory.name), memory.size >= 5000, bytes(memory.buf[:3]))
    lock = context.Lock()
    children = [context.Process(target=add, args=(memory.name, number, lock)) for number in (1, 2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        print(child.exitcode)
    print(memory.buf[0])
    for number in (1, 2):
        made: Any = SharedMemory(f"made-{memory.name}-{number}")
        print(bytes(made.buf[:4]))
        made.close()
        made.unlink()
        print(outcome(SharedMemory, f"made-{memory.name}-{number}"))
    print(outcome(SharedMemory, memory.name, create=True, size=10), outcome(SharedMemory, "no such/thing"))
    print(outcome(SharedMemory, "x" * 300, create=True, size=10)[1][:10])
    memory.close()
    memory.unlink()
    print(outcome(memory.unlink)[0])
    values: Any = ShareableList([1, 2.5, "text of ten", None, b"bytes"])
    child = context.Process(target=change, args=(values,))
    child.start()
    child.join()
    print(list(values))
    values.shm.close()
    values.shm.unlink()
    with SharedMemoryManager(ctx=context) as manager:
        numbers: Any = manager.ShareableList(range(3))
        print(list(numbers), manager.SharedMemory(64).size >= 64)


if __name__ == "__main__":
    main(sys.argv[1])
