"""Walks the modules of the interpreter and compares them with the table of patches; prints what differs as JSON.

Run in an interpreter of its own, because what is compared is each name before and after the patches are in place.
"""

from __future__ import annotations

import enum
import importlib
import json
import os
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

WALKED = """
os posix os.path time signal _signal _thread threading sys resource gc atexit faulthandler pwd grp spwd syslog pty tty
termios fcntl mmap io _io shutil tempfile glob pathlib getpass locale _locale platform socket _socket select selectors
ssl _ssl asyncio asyncio.base_events asyncio.base_subprocess asyncio.events asyncio.runners asyncio.selector_events
asyncio.sslproto asyncio.streams asyncio.subprocess asyncio.threads asyncio.unix_events _asyncio socketserver nis
multiprocessing multiprocessing.connection multiprocessing.context multiprocessing.heap multiprocessing.managers
multiprocessing.pool multiprocessing.process multiprocessing.resource_tracker multiprocessing.shared_memory
multiprocessing.synchronize multiprocessing.util _multiprocessing _posixshmem subprocess _posixsubprocess
concurrent.futures concurrent.futures.process concurrent.futures.thread queue _queue ctypes ctypes.util _ctypes random
_random secrets uuid _uuid datetime _datetime
"""

WITHOUT_EFFECT = """
abc binascii collections collections.abc _collections_abc contextlib copy dataclasses enum functools itertools operator
re traceback types typing warnings weakref _weakref _weakrefset _operator _collections _functools _bisect math _struct
struct fnmatch logging _stat _contextvars contextvars
"""
"""Modules whose functions and classes touch nothing outside of the program."""

CONSTANTS = (bool, int, float, complex, str, bytes, tuple, frozenset, type(None), types.ModuleType)


def needs_row(value: object) -> bool:
    """Whether a name with this value needs a row."""
    if isinstance(value, CONSTANTS) or (isinstance(value, type) and issubclass(value, (BaseException, enum.Enum))):
        return False
    pure = WITHOUT_EFFECT.split()
    kind = value if isinstance(value, type) else type(value)
    return getattr(value, "__module__", None) not in pure and kind.__module__ not in pure


def load() -> dict[str, types.ModuleType]:
    """Import those of the modules that this interpreter has."""
    modules = {}
    for name in WALKED.split():
        try:
            modules[name] = importlib.import_module(name)
        except ImportError:
            continue
    return modules


def public(modules: dict[str, types.ModuleType]) -> Iterator[tuple[str, str, Any]]:
    """Every public name with its value."""
    for module_name, module in modules.items():
        for name in dir(module):
            if not name.startswith("_"):
                yield module_name, name, getattr(module, name)


def attributes(value: Any) -> dict[str, Any]:
    """The namespace of a class, and those of its bases, flattened."""
    return {name: member for cls in reversed(value.__mro__) for name, member in vars(cls).items()}


class Comparison:
    """The interpreter before any world, and what is found to be wrong with the table while one runs."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")
        self.modules = load()
        self.before = {(module, name): value for module, name, value in public(self.modules)}
        self.classes = {id(value): attributes(value) for value in self.before.values() if isinstance(value, type)}
        self.refused_classes: set[int] = set()
        """Those that stay, of which a method is refused."""
        self.found: dict[str, list[str]] = {}

    def wrong(self, what: str, *names: str) -> None:
        self.found.setdefault(what, []).append(".".join(names))

    def check_names(self, rows: Any) -> None:
        """Every name has one row, and every row a name."""
        listed: dict[tuple[str, str], Any] = {}
        for row in rows:
            if row.module in self.modules:
                for entry in row.entries():
                    name = entry.partition(".")[0]
                    if (row.module, name) in listed:
                        self.wrong("listed twice", row.module, name)
                    listed[row.module, name] = row.treatment
                    if name != entry:
                        self.refused_classes.add(id(self.before.get((row.module, name))))
                    if (row.module, name) not in self.before:
                        self.wrong("not in the interpreter", row.module, name)
        covered = {id(self.before[each]): treatment for each, treatment in listed.items() if each in self.before}
        for (module, name), value in self.before.items():
            if needs_row(value) and id(value) not in covered:
                self.wrong("not in the table", module, name)
        for each, treatment in listed.items():
            if each in self.before and covered[id(self.before[each])] is not treatment:
                self.wrong("treated differently under another name", *each)
        self.treatments = covered

    def check_identity(self, treatment: Any) -> None:
        """What is said to be replaced is, under all of its names, and nothing else."""
        replaced = {treatment.REPLACED, treatment.REFUSED}
        for (module, name), value in self.before.items():
            said = self.treatments.get(id(value))
            now = getattr(self.modules[module], name)
            if said in replaced and now is value and id(value) not in self.refused_classes:
                self.wrong("not replaced", module, name)
            if said not in {*replaced, treatment.EXCHANGED} and now is not value:
                self.wrong("replaced", module, name)
            if said is treatment.IN_PLACE:
                old, new = self.classes[id(value)], attributes(value)
                if all(new.get(key) is member for key, member in old.items()):
                    self.wrong("not patched in place", module, name)

    def check_refusal(self, row: Any, refused: type[BaseException]) -> None:
        """What is said to be refused raises the error that names it and what to use instead."""
        for entry in row.entries():
            name, _, method = entry.partition(".")
            value = getattr(self.modules[row.module], name)
            label = f"{row.module}.{name}" + (f".{method}" if method not in ("", "__init__") else "")
            try:
                (getattr(value, method) if method else value)(None)
            except refused as error:
                if str(error) != f"{label} is not modelled on a simulated host; {row.note}":
                    self.wrong("refused in other words", row.module, entry, str(error))
            except BaseException as error:
                self.wrong("not refused", row.module, entry, repr(error))
            else:
                self.wrong("not refused", row.module, entry)

    def check_refusal_within(self, row: Any, refused: type[BaseException]) -> None:
        """What is said to end in a refusal does."""
        for name in row.entries():
            call = uses(self.modules, row.module, name)
            try:
                call()
            except refused:
                continue
            except BaseException as error:
                self.wrong("not refused within", row.module, name, repr(error))
            else:
                self.wrong("not refused within", row.module, name)


def uses(modules: dict[str, Any], module: str, name: str) -> Callable[[], Any]:
    """A call that makes use of a name, for those that end in something refused."""
    value = getattr(modules[module], name)
    asyncio, multiprocessing = modules["asyncio"], modules["multiprocessing"]
    calls: dict[str, Callable[[], Any]] = {
        "socket.SocketType": value,
        "asyncio.create_subprocess_exec": lambda: asyncio.run(value("true")),
        "asyncio.create_subprocess_shell": lambda: asyncio.run(value("true")),
        "multiprocessing.Array": lambda: value("i", 1),
        "multiprocessing.Barrier": lambda: value(2),
        "multiprocessing.Value": lambda: value("i"),
        "multiprocessing.pool.ThreadPool": lambda: value(1),
        "multiprocessing.resource_tracker.register": lambda: value("nothing", "shared_memory"),
        "multiprocessing.resource_tracker.unregister": lambda: value("nothing", "shared_memory"),
        "multiprocessing.shared_memory.SharedMemory": lambda: value(create=True, size=1),
        "multiprocessing.shared_memory.ShareableList": lambda: value([1]),
        "multiprocessing.synchronize.Barrier": lambda: value(2, ctx=multiprocessing.get_context()),
        "multiprocessing.synchronize.SemLock": lambda: value(0, 1, 1, ctx=multiprocessing.get_context()),
        "multiprocessing.util.spawnv_passfds": lambda: value(b"/bin/true", [b"true"], []),
    }
    families: dict[str, Callable[[], Any]] = {
        "multiprocessing.context": lambda: value().start(),
        "multiprocessing.managers": lambda: value().start(),
        "multiprocessing.synchronize": lambda: value(ctx=multiprocessing.get_context()),
        "socketserver": lambda: value.process_request(object.__new__(value), None, None),
        "subprocess": lambda: value("true"),
    }
    return calls.get(f"{module}.{name}") or families.get(module) or value


# What is exchanged.


class Exchanged:
    """Sets every value that belongs to a process, lets another process run, and reads what is there then."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, object]] = {}
        self.local = threading.local()

    def outside(self) -> None:
        self.values["outside"] = self.read()

    def read(self) -> dict[str, object]:
        return {
            "os.environ": os.environ.get("WALK"),
            "os.environb": os.environb.get(b"WALKED"),
            "os.getcwd": os.getcwd(),
            "os.getcwdb": os.getcwdb(),
            "sys.argv": list(sys.argv),
            "sys.orig_argv": list(sys.orig_argv),
            "sys.path": list(sys.path),
            "sys.modules": id(sys.modules["__main__"]),
            "sys.stderr": id(sys.stderr.buffer),
            "sys.stdin": id(sys.stdin.buffer),
            "sys.stdout": id(sys.stdout.buffer),
            "sys.get_asyncgen_hooks": id(sys.get_asyncgen_hooks().firstiter),
            "threading.local": getattr(self.local, "value", None),
        }

    def run(self, name: str) -> None:
        import time

        os.environ["WALK"], os.environb[b"WALKED"] = name, name.encode()
        os.chdir(tempfile.mkdtemp())
        sys.path.append(name)
        sys.argv.append(name)
        sys.orig_argv.append(name)
        sys.modules["__main__"] = types.ModuleType("__main__")
        sys.set_asyncgen_hooks(lambda generator: None, None)
        self.local.value = name
        before = self.read()
        time.sleep(1)
        self.values[name] = self.read()
        if before != self.values[name]:
            self.values[f"{name}, before"] = before


def main() -> None:
    comparison = Comparison()
    from catenet.posix.errors import NotModelled
    from catenet.world import World
    from catenet.world.patches.table import STANDARD_LIBRARY
    from catenet.world.patches.table.row import Treatment

    rows = [row for row in STANDARD_LIBRARY if row.module in comparison.modules]
    comparison.check_names(rows)
    exchanged = Exchanged()

    def program() -> None:
        comparison.check_identity(Treatment)
        for row in rows:
            if row.treatment is Treatment.REFUSED:
                comparison.check_refusal(row, NotModelled)
            elif row.treatment is Treatment.REFUSED_WITHIN:
                comparison.check_refusal_within(row, NotModelled)

    exchanged.outside()
    with World() as world:
        world.host("a").run(program)
        world.host("a").run(exchanged.run, "first")
        world.host("b").run(exchanged.run, "second")
        world.run(until=10)
    names = {f"{row.module}.{name}" for row in rows if row.treatment is Treatment.EXCHANGED for name in row.entries()}
    seen = list(exchanged.values.values())
    for name in names:
        if len({repr(values.get(name)) for values in seen}) != 3 or len(seen) != 3:
            comparison.wrong("not exchanged", name)
    json.dump(comparison.found, sys.stdout)


if __name__ == "__main__":
    main()
