"""What is not modelled is refused with its name and what to use instead; nothing reaches the machine's own network."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import multiprocessing
import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from catenet.posix.errors import NotModelled
from catenet.world import World
from catenet.world.patches import install


async def asyncio_subprocess() -> None:
    await asyncio.create_subprocess_exec("true")


def uvloop_class() -> None:
    import uvloop

    uvloop.Loop()


def grpc_channel() -> None:
    import grpc

    grpc.insecure_channel("server:80")


def grpc_server() -> None:
    import grpc

    grpc.server(concurrent.futures.ThreadPoolExecutor())


CALLS: dict[str, Callable[[], Any]] = {
    "subprocess.Popen": lambda: subprocess.run(["true"], check=False),
    "subprocess.Popen ": lambda: asyncio.run(asyncio_subprocess()),
    "os.fork": lambda: os.fork(),
    "os.system": lambda: os.system("true"),
    "os.execv": lambda: os.execv("/bin/true", ["true"]),
    "os.posix_spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "multiprocessing.process.BaseProcess.start": lambda: multiprocessing.get_context("spawn").Process().start(),
    "multiprocessing.Pool": lambda: multiprocessing.Pool(1),
    "concurrent.futures.process.ProcessPoolExecutor": lambda: concurrent.futures.ProcessPoolExecutor(1),
    "uvloop.Loop": uvloop_class,
    "grpc._channel.Channel": grpc_channel,
    "grpc._server._Server": grpc_server,
}


@pytest.mark.parametrize("name", CALLS)
def test_refused_by_name(internet: Any, name: str) -> None:
    messages: list[str] = []

    def program() -> None:
        try:
            CALLS[name]()
        except NotModelled as error:
            messages.append(str(error))

    internet.client.run(program)
    internet.run()
    assert len(messages) == 1 and messages[0].startswith(f"{name.strip()} is not modelled"), messages
    assert "; " in messages[0]


def test_nothing_reaches_the_machines_network(internet: Any) -> None:
    """Calls that go round all replacements are stopped by the audit hook."""
    originals = [
        (install.original(__import__("_socket"), "getaddrinfo"), ("localhost", 80)),
        (install.original(__import__("_socket"), "gethostbyname"), ("localhost",)),
        (install.original(__import__("_socket"), "socket"), ()),
        (install.original(os, "system"), ("true",)),
    ]
    refused: list[str] = []

    def program() -> None:
        for function, args in originals:
            try:
                function(*args)
            except NotModelled as error:
                refused.append(str(error))

    internet.client.run(program)
    internet.run()
    assert len(refused) == len(originals)
    assert all("about to leave" in text for text in refused)


def test_a_server_of_this_machine_cannot_be_reached(internet: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as real:
        port = real.getsockname()[1]

        def program() -> None:
            for address in ("127.0.0.1", "localhost", "::1"):
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((address, port), timeout=5)

        internet.client.run(program)
        internet.run()
        real.setblocking(False)
        with pytest.raises(BlockingIOError):
            real.accept()


def test_the_outside_keeps_its_own(internet: Any) -> None:
    """Code around a world, and threads beside it, use the machine's clock, sockets and threads."""
    before = time.monotonic()
    results: list[Any] = []

    def beside() -> None:
        one, other = socket.socketpair()
        with one, other:
            one.sendall(b"real")
            assert select.select([other], [], [], 5)[0] == [other]
            results.append((other.recv(10), type(one) is socket.socket, threading.get_ident() < 1 << 40 or None))
        time.sleep(0.05)
        results.append(time.monotonic() - before)

    thread = threading.Thread(target=beside)

    def program() -> None:
        thread_was_alive = threading.current_thread() is threading.main_thread()
        assert thread_was_alive and len(threading.enumerate()) == 1
        for _ in range(1000):
            time.sleep(1000)

    internet.client.run(program)
    thread.start()
    internet.world.run(2_000_000)
    thread.join()
    assert results[0][:2] == (b"real", True)
    assert 0.05 <= results[1] < 30
    assert isinstance(socket.socket(), socket.socket)
    random.seed(7)
    assert random.random() == 0.32383276483316237


def test_uninstall_restores_everything() -> None:
    script = """
import datetime, os, queue, random, select, selectors, signal, socket, ssl, sys, threading, time, _thread, _socket
import atexit, fcntl, gc, multiprocessing.connection, platform, posix, resource, termios, _posixsubprocess, _signal
modules = [datetime, os, queue, random, select, selectors, signal, socket, ssl, sys, threading, time, _thread, _socket,
           atexit, fcntl, gc, multiprocessing.connection, platform, posix, resource, termios, _posixsubprocess, _signal]
classes = [datetime.datetime, socket.socket, ssl.SSLContext, selectors.EpollSelector, _thread.LockType, _thread.RLock,
           random.Random, threading.Thread, multiprocessing.connection.Connection]
def state():
    shots = [{name: value for name, value in vars(thing).items() if not name.startswith("__") or name == "__new__"}
             for thing in modules + classes]
    for shot in shots:
        for noise in "_last_timestamp path_importer_cache modules last_value last_type last_traceback _sha512".split():
            shot.pop(noise, None)
    return shots
import catenet.world.world, concurrent.futures.thread
from catenet.world import World
from catenet.world.patches import install
before = state()
finders = list(sys.meta_path)
with World() as world:
    world.host("a").run(time.sleep, 1)
    world.run()
changed = state()
install.uninstall()
after = state()
for thing, one, other in zip(modules + classes, before, after):
    assert one.keys() == other.keys(), (thing, one.keys() ^ other.keys())
    for name in one:
        assert one[name] is other[name] or one[name] == other[name], (thing, name)
assert any(one.get(name) is not other.get(name) for one, other in zip(before, changed) for name in one)
assert sys.meta_path == finders
assert socket.socket().fileno() > 0
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_installing_twice_changes_nothing_more() -> None:
    World().host("a")
    now = time.monotonic
    World().host("b")
    assert time.monotonic is now and install.is_installed()


LIBC = [
    "syscall",
    "socket",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "send",
    "sendto",
    "sendmsg",
    "recv",
    "recvfrom",
    "recvmsg",
    "socketpair",
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_r",
    "fork",
    "vfork",
    "__libc_fork",
    "execve",
    "posix_spawn",
    "system",
    "popen",
]


def test_ctypes_does_not_find_what_leaves_the_host(internet: Any) -> None:
    found: list[str] = []
    kept: list[bool] = []

    def program() -> None:
        for name in LIBC:
            try:
                ctypes.CDLL(None)[name]
            except NotModelled as error:
                assert "asyncio" in str(error)
            else:
                found.append(name)
        kept.append(bool(ctypes.CDLL(None).getpid) and bool(ctypes.CDLL(None).strlen))

    internet.client.run(program)
    internet.run()
    assert (found, kept) == ([], [True])
    assert all(ctypes.CDLL(None)[name] for name in ("syscall", "socket", "fork"))


def test_ctypes_finds_nothing_that_makes_or_takes_threads_of_the_c_library(internet: Any) -> None:
    """A thread that could be made and not be waited for would run what its program has given back."""
    said: list[str] = []

    def program() -> None:
        for name in ("pthread_create", "pthread_join", "pthread_tryjoin_np", "thrd_create", "thrd_join"):
            try:
                ctypes.CDLL(None)[name]
            except NotModelled as error:
                said.append(str(error))

    internet.client.run(program)
    internet.run()
    assert len(said) == 5 and all("use threading" in text for text in said)
