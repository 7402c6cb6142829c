"""The interpreter that a world runs in: its hash seed and its memory layout are the same in every run.

Iteration over a set of strings follows from the hash seed, iteration over a set of objects, `id()` and a default `repr`
from addresses. Both are decided when a program is executed, so `settle` executes the interpreter once more, before
anything large is imported: with a hash seed, without randomisation of the address space (ADDR_NO_RANDOMIZE of
personality(2)), with a stack limit that does not move the address space (mmap_base in Linux's arch/x86/mm/mmap.c),
and with an environment of one size. What the environment was is handed over in a file in memory, and put in its place
by `restore`, in memory of its own: what it occupies moves nothing else.

The command line, descriptors, ignored signals and the process's number stay as they are, so the exit status and signals
are those of the one process.

This module is imported before all others: it imports nothing that takes time.
"""

from __future__ import annotations

import _thread
import gc
import os
import sys
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["ASK", "Settled", "settle", "settled"]

HASH_SEED: Final = "0"
"""The hash seed of all runs: without it a program that depends on the order of a set would depend on chance."""

HANDED_OVER: Final = "CATENET_LAYOUT"
"""Variable by which the second interpreter knows: descriptor of the environment, personality, stack limit."""

PADDING: Final = "CATENET_LAYOUT_"
ROOM: Final = 1 << 15
"""Bytes to a multiple of which arguments and environment are filled up."""

ADDR_NO_RANDOMIZE: Final = 0x0040000
ASK: Final = 0xFFFFFFFF
"""Values of personality(2)."""

RAW, MEMORY, OBJECTS = range(3)
"""PyMemAllocatorDomain."""

STACK: Final = 8 << 20
"""Bytes of stack limit that move nothing: Linux keeps 128 MB free for any smaller one."""

NEEDED_AT_START: Final = ("PYTHON", "LC_", "LD_", "MALLOC_", "GLIBC_", "COVERAGE_", "COV_", "ASAN_", "LSAN_")
NEEDED: Final = frozenset(["LANG", "TZ", "TZDIR", "OPENSSL_CONF", "__PYVENV_LAUNCHER__", "LOCPATH"])
"""Variables that the dynamic linker, the C library and the interpreter read before anybody can put them back."""


class Settled:
    """What could be fixed; `why` says of the rest why not."""

    def __init__(self, hash_seed: str | None, addresses: bool, why: str = "") -> None:
        self.hash_seed = hash_seed
        """The interpreter's, None when it is drawn anew in each run."""
        self.addresses = addresses
        self.why = why

    def describe(self) -> str:
        """One line for people."""
        seed = "drawn anew in each run" if self.hash_seed is None else self.hash_seed
        layout = "fixed" if self.addresses else "not fixed"
        return f"hash seed {seed}; addresses {layout}" + (f" ({self.why})" if self.why else "")


_settled: Settled | None = None


def settled() -> Settled:
    """Return what is fixed in this interpreter."""
    return _settled or Settled(_own_hash_seed(os.environ), False, "the interpreter was not started by catenet")


def settle() -> None:
    """Execute the interpreter once more, unless it is the second already, or cannot be."""
    global _settled
    if _settled is not None:
        return
    if HANDED_OVER in os.environ:
        _settled = restore(os.environ[HANDED_OVER])
        return
    obstacle = _obstacle()
    if obstacle:
        _settled = Settled(_own_hash_seed(os.environ), False, obstacle)
        return
    _settled = _execute()


def _own_hash_seed(environment: Mapping[str, str]) -> str | None:
    seed = "" if sys.flags.ignore_environment else environment.get("PYTHONHASHSEED", "")
    return None if seed in ("", "random") else seed


def _obstacle() -> str:
    """Why the interpreter cannot be executed again; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "only Linux can do it"
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "a debugger or profiler is at work"
    if not sys.executable or sys.argv[1:] != sys.orig_argv[len(sys.orig_argv) - len(sys.argv) + 1 :]:
        return "the command line is not the interpreter's"
    if len(os.listdir("/proc/self/task")) > 1:
        return "the interpreter has threads"
    return ""


def _personality(value: int) -> int:
    """personality(2); -1 where it is forbidden."""
    # By the module below ctypes, whose own import takes longer than all else here.
    import _ctypes

    call: Callable[..., int] = _ctypes.call_cdeclfunction
    return call(_ctypes.dlsym(_ctypes.dlopen("", 0), "personality"), (value,))


def _execute() -> Settled:
    """Execute the interpreter again; return only if that fails."""
    import fcntl
    import resource

    environment = os.environb
    first = {name: value for name, value in environment.items() if _is_needed(os.fsdecode(name))}
    first.setdefault(b"PYTHONHASHSEED", HASH_SEED.encode())
    before = _personality(ASK)
    forbidden = before < 0 or _personality(before | ADDR_NO_RANDOMIZE) < 0
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    data = b"".join(name + b"=" + value + b"\0" for name, value in environment.items())
    file = os.memfd_create("environment")
    os.write(file, data)
    handed = fcntl.fcntl(file, fcntl.F_DUPFD, 3)  # closed standard streams are closed also for the second one
    os.close(file)
    first[HANDED_OVER.encode()] = b"%d:%d:%d" % (handed, -1 if forbidden else before, soft)
    if soft == resource.RLIM_INFINITY or soft > STACK:
        resource.setrlimit(resource.RLIMIT_STACK, (STACK, hard))
    # By a name without a slash the interpreter would look for itself along the PATH.
    words = [sys.orig_argv[0] if "/" in sys.orig_argv[0] else sys.executable, *sys.orig_argv[1:]]
    size = sum(len(name) + len(value) + 2 for name, value in first.items()) + 8 * len(first)
    size += sum(len(os.fsencode(word)) + 9 for word in words)
    first[PADDING.encode()] = b"." * (-size % ROOM)
    try:
        os.execve(sys.executable, words, first)
    except OSError as error:
        reason = error.strerror
    os.close(handed)
    if not forbidden:
        _personality(before)
    resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
    return Settled(_own_hash_seed(os.environ), False, f"{sys.executable}: {reason}")


def _is_needed(name: str) -> bool:
    """Whether the start of the interpreter depends on a variable."""
    # The site-packages of a user are asked for outside of virtual environments only.
    return name.startswith(NEEDED_AT_START) or name in NEEDED or (name == "HOME" and sys.prefix == sys.base_prefix)


def restore(handed_over: str) -> Settled:
    """Put the environment, the personality and the stack limit back, and say what has been fixed."""
    import resource

    try:
        file, personality, stack = map(int, handed_over.split(":"))
        size = os.fstat(file).st_size
    except (ValueError, OSError):
        os.environ.pop(HANDED_OVER, None)
        return Settled(_own_hash_seed(os.environ), False, f"{HANDED_OVER} is not ours")
    if personality >= 0:
        _personality(personality)
    resource.setrlimit(resource.RLIMIT_STACK, (stack, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    seed = _own_hash_seed(os.environ)
    # With checks of memory (PYTHONMALLOC, -X dev) each block says by whom it was made.
    checked = os.environ.get("PYTHONMALLOC") or sys.flags.dev_mode or hasattr(sys, "gettotalrefcount")
    os.environ.clear()

    def put_back() -> None:
        for line in os.pread(file, size, 0).split(b"\0")[:-1]:
            name, _, value = line.partition(b"=")
            os.environb[name] = value

    if checked:
        put_back()
    else:
        _in_memory_of_its_own(put_back)
    os.close(file)
    notes = []
    if seed != HASH_SEED:
        notes.append("PYTHONHASHSEED is set" if seed or not sys.flags.ignore_environment else "Python ignores it")
    if personality < 0:
        notes.append("personality(2) is forbidden here")
    return Settled(seed, personality >= 0, ", ".join(notes))


def _in_memory_of_its_own(function: Callable[[], None]) -> None:
    """Call a function whose objects take no memory from where others get theirs.

    A thread has an arena of malloc of its own, and for the time being the interpreter takes the memory of objects from
    malloc. What frees memory knows its own from that of malloc (Objects/obmalloc.c), and stays.
    """
    import ctypes

    class Allocator(ctypes.Structure):
        _fields_ = [(name, ctypes.c_void_p) for name in ("context", "malloc", "calloc", "realloc", "free")]

    raw, memory, objects = Allocator(), Allocator(), Allocator()
    set_allocator = ctypes.pythonapi.PyMem_SetAllocator
    for domain, allocator in ((RAW, raw), (MEMORY, memory), (OBJECTS, objects)):
        ctypes.pythonapi.PyMem_GetAllocator(domain, ctypes.byref(allocator))
    mixed = Allocator(objects.context, raw.malloc, raw.calloc, objects.realloc, objects.free)
    done = _thread.allocate_lock()

    def run() -> None:
        set_allocator(MEMORY, ctypes.byref(mixed))
        set_allocator(OBJECTS, ctypes.byref(mixed))
        try:
            function()
            gc.collect()
        finally:
            set_allocator(OBJECTS, ctypes.byref(objects))
            set_allocator(MEMORY, ctypes.byref(memory))
            done.release()

    gc.collect()  # it also drops what types keep of their own to use again
    done.acquire()
    _thread.start_new_thread(run, ())
    done.acquire()
