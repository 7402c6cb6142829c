"""`random`, `os.urandom`, `secrets`, `uuid`: drawn from generators of the process, which the world's seed feeds.

Not reached: generators in C extensions (numpy) and OpenSSL's. TLS sessions therefore differ from run to run.
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from catenet.world.engine.current import current
from catenet.world.patches.patching import Patcher

if TYPE_CHECKING:
    from catenet.world.engine.process import Process

__all__ = ["apply"]

MULTICAST_BIT: Final = 1 << 40
"""A random node of RFC 9562 section 6.10 has it, so that it is no network card's."""


_real_urandom = os.urandom


def _of_module(name: str) -> Callable[..., Any]:
    def simulated(process: Process, *args: Any, **kwargs: Any) -> Any:
        return getattr(process.random, name)(*args, **kwargs)

    return simulated


def _urandom(process: Process, size: int) -> bytes:
    if process.world.is_real:
        return _real_urandom(size)
    return process.entropy.randbytes(size)


UNSAFE: Final = -1
"""What uuid_generate_time_safe(3) returns without a uuidd that keeps other processes from the same moment."""


def _node(process: Process) -> int:
    return random.Random(f"{process.world.seed}/node/{process.host.name}").getrandbits(48) | MULTICAST_BIT


def apply(patcher: Patcher) -> None:
    """Patch all sources of chance that programs of the standard library have."""
    instance = random._inst
    for name in list(vars(random)):
        if getattr(getattr(random, name), "__self__", None) is instance:
            patcher.function(random, name, _of_module(name))
    patcher.function(os, "urandom", _urandom)
    patcher.function(os, "getrandom", lambda process, size, flags=0: _urandom(process, size))

    original_seed = random.Random.seed

    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        task = current.task
        if a is None and task is not None:
            a = task.process.entropy.getrandbits(256)
        original_seed(self, a, version)

    patcher.attribute(random.Random, "seed", seed)
    original_uuid1 = uuid.uuid1

    def of_process(process: Process, node: int | None, clock_seq: int | None) -> uuid.UUID:
        uuid._last_timestamp = None  # type: ignore[attr-defined]
        process.uuids += 1
        sequence = process.uuids & 0x3FFF if clock_seq is None else clock_seq
        return original_uuid1(_node(process) if node is None else node, sequence)

    def uuid1(process: Process, node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        if node is clock_seq is None and getattr(uuid, "_generate_time_safe", None) is not None:
            return original_uuid1()  # by the function of C, or what a program has put in its place
        return of_process(process, node, clock_seq)

    patcher.function(uuid, "uuid1", uuid1)
    patcher.on_import(
        "_uuid",
        lambda patcher, module: patcher.function(
            module, "generate_time_safe", lambda process: (of_process(process, None, None).bytes, UNSAFE)
        ),
    )
    patcher.function(uuid, "getnode", _node)
