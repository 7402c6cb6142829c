"""Values of `threading.local` objects, exchanged when another thread of a simulated process gets its turn.

All tasks share one thread of the operating system, so what CPython keeps for that thread has to be taken out and put
back. Up to 3.12 the values lie in the thread state's dictionary, whose contents are exchanged. From 3.13 on every
`threading.local` has a table of its own, looked up by a key object that the thread state owns (beside a sentinel, with
whose end the values end): there the two pointers are exchanged. Either way it holds for objects of C extensions too,
and for those made before any world.
"""

from __future__ import annotations

import _thread
import ctypes
import gc
import sys
from asyncio import events
from functools import cache
from typing import Any, Final

from catenet.world.engine.current import current

__all__ = ["NO_HOOKS", "AsyncgenHooks", "Exchange", "open_exchange"]

KEYS_OWN_VALUES: Final = sys.version_info >= (3, 13)

_get_dict = ctypes.pythonapi.PyThreadState_GetDict
_get_dict.restype = ctypes.c_void_p  # a borrowed reference, which py_object would give back
_get_dict.argtypes = []
_get_state = ctypes.pythonapi.PyThreadState_Get
_get_state.restype = ctypes.c_void_p
_get_state.argtypes = []
_release = ctypes.pythonapi.Py_DecRef
_release.restype = None
_release.argtypes = [ctypes.c_void_p]

WORD: Final = ctypes.sizeof(ctypes.c_void_p)
STATE_WORDS: Final = 64
"""Number of words of a thread state that are searched for its key; 3.13 has it in word 36."""


NO_HOOKS: Final = bytes(2 * WORD)


class Exchange:
    """The thread-local values of the thread of the operating system that it was made in."""

    __slots__ = ("current_values",)

    def __init__(self) -> None:
        self.current_values: dict[str, Any] = vars(current)
        """The dictionary that holds `current.task`, which is set at every turn."""

    def swap(self, values: Any) -> Any:
        """Put in values (None: none yet) and return those that were there."""
        raise NotImplementedError

    def drop(self, values: Any) -> None:
        """Release values that are no longer needed."""
        raise NotImplementedError


class _DictionaryExchange(Exchange):
    """Exchanges what is in the thread state's dictionary (CPython 3.11, 3.12), except what the exchange sets itself.

    That is `current` and asyncio's running loop. Most tasks have nothing else, so that nothing is to be done.
    """

    __slots__ = ("_shared", "_store")

    def __init__(self) -> None:
        self._store: dict[Any, Any] = ctypes.cast(_get_dict(), ctypes.py_object).value
        self._shared = _shared_keys(self._store)
        super().__init__()

    def swap(self, values: Any) -> Any:
        store, shared = self._store, self._shared
        if not values and len(store) == len(shared):
            return None
        taken = store.copy()
        store.clear()
        for key in shared:
            store[key] = taken.pop(key)
        if values:
            store.update(values)
        return taken

    def drop(self, values: Any) -> None:
        if values:
            values.clear()


def _shared_keys(store: dict[Any, Any]) -> list[Any]:
    """By which keys a thread's `current` and running loop are found, which are there from now on."""
    task, loop = current.task, events._get_running_loop()
    kept = store.copy()
    store.clear()
    current.task = task
    events._set_running_loop(loop)
    shared = list(store)
    store.update(kept)
    # Anew, as the interpreter caches where they were.
    current.task = task
    events._set_running_loop(loop)
    return shared


class _KeyExchange(Exchange):
    """Exchanges the key and the sentinel of the thread state (CPython 3.13)."""

    __slots__ = ("_key", "_sentinel")

    def __init__(self) -> None:
        at = _get_state() + WORD * _key_word()
        self._key = ctypes.c_void_p.from_address(at)
        self._sentinel = ctypes.c_void_p.from_address(at + WORD)
        super().__init__()

    def swap(self, values: Any) -> Any:
        key, sentinel = self._key, self._sentinel
        taken = key.value, sentinel.value
        key.value, sentinel.value = values or (None, None)
        self.current_values = vars(current)
        return taken

    def drop(self, values: Any) -> None:
        for pointer in reversed(values or ()):
            if pointer is not None:
                _release(pointer)


class AsyncgenHooks:
    """AsyncgenHooks for asynchronous generators of the thread of the operating system that it was made in.

    `sys.set_asyncgen_hooks` tells the audit hooks of both, which takes as long as all else that is exchanged. So the
    two pointers are, with the references that they are; out of the thread they are bytes.
    """

    __slots__ = ("_words",)

    def __init__(self) -> None:
        self._words: Any = (ctypes.c_char * (2 * WORD)).from_address(_get_state() + WORD * _hooks_word())

    def swap(self, values: bytes) -> bytes:
        """Put in the hooks of another task and return those that were there."""
        words = self._words
        taken: bytes = words.raw
        if taken != values:
            words.raw = values
        return taken

    def drop(self, values: bytes) -> None:
        """Release hooks that are no longer needed."""
        for start in (0, WORD):
            pointer = int.from_bytes(values[start : start + WORD], sys.byteorder)
            if pointer:
                _release(pointer)


@cache
def _hooks_word() -> int:
    """Which word of the thread state is the first hook, the next being the second."""
    before = sys.get_asyncgen_hooks()
    first, second = (lambda generator: None), (lambda generator: None)
    sys.set_asyncgen_hooks(first, second)
    state = _get_state()
    words = [ctypes.c_void_p.from_address(state + WORD * word).value for word in range(STATE_WORDS)]
    sys.set_asyncgen_hooks(*before)
    for word in range(STATE_WORDS - 1):
        if words[word] == id(first) and words[word + 1] == id(second):
            return word
    raise RuntimeError(
        "this interpreter keeps hooks for asynchronous generators in a place from which they cannot be exchanged"
    )


@cache
def _key_word() -> int:
    """Which word of the thread state is the key: the one that a fresh `threading.local` looks its values up by."""
    probe = _thread._local()
    probe.value = None
    tables = [table for table in gc.get_referents(probe) if type(table) is dict]
    key = next(iter(tables[0]))
    state = _get_state()
    for word in range(STATE_WORDS):
        if ctypes.c_void_p.from_address(state + WORD * word).value == id(key):
            return word
    raise RuntimeError("this interpreter keeps thread-local values in a place from which they cannot be exchanged")


def open_exchange() -> Exchange:
    """Access to the current thread's values."""
    return _KeyExchange() if KEYS_OWN_VALUES else _DictionaryExchange()
