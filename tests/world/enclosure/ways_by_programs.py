"""Ways out of a world by what Python, its library and others' have: `python ways_by_programs.py WAY FACTS`, in a world.

Prints one line. What counts is who came to whatever FACTS names (`outside.py`), for some libraries connect when they
please; a way that returns something that it must not have prints OPEN.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

facts: dict[str, Any] = {}
ways: dict[str, Callable[[], object]] = {}
kept: list[object] = []
"""Lives until the interpreter ends."""


def way(function: Callable[[], object]) -> Callable[[], object]:
    ways[function.__name__.replace("_", "-")] = function
    return function


def port() -> int:
    return int(facts["port"])


def url() -> str:
    return f"http://127.0.0.1:{port()}/"


def sleeper() -> list[str]:
    """A program that would be found if it ran."""
    return ["sleep", str(facts["sleep"])]


def open_unless_simulated(sock: Any) -> object:
    """A socket that has a descriptor of the machine is one of the machine's."""
    return f"OPEN {sock}" if sock.fileno() >= 0 and os.path.exists(f"/proc/self/fd/{sock.fileno()}") else sock


def visit() -> object:
    with socket.create_connection(("127.0.0.1", port()), 2) as sock:
        sock.sendall(b"out")
        return sock.recv(10)


@way
def plain_socket() -> object:
    return visit()


@way
def plain_datagram() -> object:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"out", ("127.0.0.1", port()))


@way
def type_of_sockets() -> object:
    import _socket

    sock = _socket.SocketType.__new__(_socket.SocketType)
    _socket.SocketType.__init__(sock, socket.AF_INET, socket.SOCK_STREAM)
    sock.connect(("127.0.0.1", port()))
    return sock


@way
def socket_of_a_class_below() -> object:
    import _socket

    for each in _socket.socket.__mro__[1:] + tuple(_socket.socket.__subclasses__()):
        if hasattr(each, "connect"):
            sock = each(socket.AF_INET, socket.SOCK_STREAM)
            sock.connect(("127.0.0.1", port()))
            kept.append(sock)
    return len(kept)


@way
def modules_again() -> object:
    for name in ("socket", "_socket", "select", "selectors"):
        sys.modules.pop(name, None)
    import socket as again

    return again.create_connection(("127.0.0.1", port()), 2)


@way
def socket_module_by_its_file() -> object:
    spec = importlib.util.find_spec("socket")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.create_connection(("127.0.0.1", port()), 2)


@way
def descriptors_of_others() -> object:
    found = []
    for number in range(3, 64):
        try:
            sock = socket.socket(fileno=number)
            found.append(sock.accept())
        except OSError:
            continue
    return f"OPEN {found}" if found else "none"


@way
def real_unix_socket() -> object:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(facts["path"])
    return sock.send(b"out")


@way
def packets() -> object:
    return open_unless_simulated(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))


@way
def vsock() -> object:
    return open_unless_simulated(socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))


@way
def netlink() -> object:
    return open_unless_simulated(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))


@way
def tun_device() -> object:
    return f"OPEN {os.open('/dev/net/tun', os.O_RDWR)}"


@way
def bash_paths() -> object:
    with open(f"/dev/tcp/127.0.0.1/{port()}", "w") as file:
        return f"OPEN {file}"


@way
def shell() -> object:
    return os.system(" ".join(sleeper()) + " &")


@way
def popen() -> object:
    return os.popen(" ".join(sleeper()) + " >/dev/null 2>&1 &").read()


@way
def fork() -> object:
    import posix

    if not (child := posix.fork()):
        time.sleep(0)
        os.execvp("sleep", sleeper())
    return f"OPEN {child}"


@way
def fork_with_a_terminal() -> object:
    import posix

    return f"OPEN {posix.forkpty()}"


@way
def posix_spawn() -> object:
    import posix

    return f"OPEN {posix.posix_spawnp('sleep', sleeper(), {})}"


@way
def fork_exec() -> object:
    import _posixsubprocess

    read, write = os.pipe()
    function: Any = _posixsubprocess.fork_exec
    words = [word.encode() for word in sleeper()]
    rest = (True, (write,), None, None, -1, -1, -1, -1, -1, -1, read, write, True, True, 0, None, None, None, -1, None)
    vfork = (True,) if sys.version_info < (3, 14) else ()
    return f"OPEN {function(words, [b'/bin/sleep', b'/usr/bin/sleep'], *rest, *vfork)}"


@way
def terminal_program() -> object:
    import pty

    return pty.spawn(sleeper())


@way
def multiprocessing_helper() -> object:
    from multiprocessing import util

    return f"OPEN {util.spawnv_passfds(b'/usr/bin/sleep', [word.encode() for word in sleeper()], ())}"


@way
def multiprocessing_process() -> object:
    import multiprocessing

    process = multiprocessing.Process(target=visit)
    process.start()
    process.join()
    return process.exitcode


@way
def multiprocessing_client() -> object:
    from multiprocessing.connection import Client

    return Client(("127.0.0.1", port()))


@way
def asyncio_program() -> object:
    async def run() -> object:
        return (await asyncio.create_subprocess_exec(*sleeper())).pid

    return f"OPEN {asyncio.run(run())}"


@way
def memory_program() -> object:
    file = os.memfd_create("program", 0)
    os.execve(file, ["program"], {})


@way
def proxy() -> object:
    import urllib.request

    os.environ["http_proxy"] = url()
    return urllib.request.urlopen("http://x.test/", timeout=2).read()


@way
def tls() -> object:
    import ssl

    return ssl.get_server_certificate(("127.0.0.1", port()), timeout=2)


@way
def system_log() -> object:
    from logging.handlers import SysLogHandler

    SysLogHandler(facts["datagrams"]).emit(__import__("logging").makeLogRecord({"msg": "out"}))
    return "sent, or not"


@way
def thread() -> object:
    found: list[object] = []
    runner = threading.Thread(target=lambda: found.append(visit()))
    runner.start()
    runner.join()
    return found


@way
def pool() -> object:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as workers:
        return workers.submit(visit).result()


@way
def end_of_the_program() -> object:
    atexit.register(visit)
    return "to be seen"


@way
def end_of_the_interpreter() -> object:
    class Kept:
        """Dies with the interpreter."""

    kept.append(Kept())
    weakref.finalize(kept[-1], visit)
    sys.modules["builtins"].__dict__.setdefault("kept_by_ways", kept)
    return "to be seen"


@way
def signal_handler() -> object:
    signal.signal(signal.SIGALRM, lambda number, frame: visit())
    signal.alarm(1)
    time.sleep(2)
    return "to be seen"


@way
def thread_made_in_c() -> object:
    def run(argument: object) -> int:
        sock = socket.create_connection(("127.0.0.1", port()), 2)
        sock.sendall(b"out")
        return 0

    def function(name: bytes, *kinds: type) -> Any:
        return ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(find(None, name))

    find = ctypes.CDLL(None).dlsym  # by which C finds it: asked by name, ctypes has no such function for programs
    find.restype, find.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)
    callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(run)
    number = ctypes.c_ulong()
    pointer = ctypes.c_void_p
    create = function(b"pthread_create", pointer, pointer, ctypes.CFUNCTYPE(pointer, pointer), pointer)
    create(ctypes.addressof(number), None, callback, None)
    function(b"pthread_join", ctypes.c_ulong, pointer)(number, None)
    return "to be seen"


@way
def greenlet_of_nobody() -> object:
    import greenlet

    root = greenlet.getcurrent()
    while root.parent is not None:
        root = root.parent
    return greenlet.greenlet(visit, root).switch()


@way
def sub_interpreter() -> object:
    interpreters: Any = importlib.import_module("_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters")
    code = f"import socket; socket.create_connection(('127.0.0.1', {port()}), 2)"
    return interpreters.run_string(interpreters.create(), code)


@way
def names_by_ctypes() -> object:
    result = ctypes.c_void_p()
    return ctypes.CDLL(None).getaddrinfo(b"localhost", b"80", None, ctypes.byref(result))


@way
def cffi() -> object:
    import cffi

    ffi: Any = cffi.FFI()
    ffi.cdef("int socket(int, int, int); int fork(void); int system(const char *);")
    library = ffi.dlopen(None)
    found = library.socket(2, 1, 0), library.fork(), library.system(" ".join(sleeper()).encode() + b" &")
    return f"OPEN {found}" if found[0] >= 0 or found[1] >= 0 or found[2] == 0 else found


@way
def sqlite_extension() -> object:
    import sqlite3

    connection = sqlite3.connect(":memory:")
    connection.enable_load_extension(True)
    return connection.execute("select load_extension('libc.so.6', 'fork')").fetchone()


@way
def uvloop() -> object:
    import uvloop

    async def run() -> object:
        return await asyncio.open_connection("127.0.0.1", port())

    return uvloop.run(run())


@way
def uvloop_below() -> object:
    from uvloop.loop import Loop

    loop = Loop()
    return loop.run_until_complete(loop.create_connection(asyncio.Protocol, "127.0.0.1", port()))


@way
def pycurl() -> object:
    pycurl: Any = importlib.import_module("pycurl")

    curl = pycurl.Curl()
    curl.setopt(curl.URL, url())
    return curl.perform()


@way
def curl_cffi() -> object:
    import curl_cffi

    return curl_cffi.get(url(), timeout=2)


@way
def curl_cffi_below() -> object:
    from curl_cffi._wrapper import ffi, lib

    handle = lib.curl_easy_init()
    text = ffi.new("char[]", url().encode())
    lib._curl_easy_setopt(handle, 10002, text)
    return lib.curl_easy_perform(handle)


@way
def primp() -> object:
    import primp

    return primp.Client().get(url())


@way
def primp_below() -> object:
    below: Any = importlib.import_module("primp.primp")
    return below.Client().get(url())


@way
def psycopg2() -> object:
    import psycopg2

    return psycopg2.connect(f"host=127.0.0.1 port={port()} connect_timeout=2")


@way
def psycopg2_below() -> object:
    from psycopg2 import _psycopg

    return _psycopg._connect(f"host=127.0.0.1 port={port()} connect_timeout=2")


@way
def pymssql() -> object:
    import pymssql

    return pymssql.connect(server="127.0.0.1", port=str(port()), user="x", password="y", login_timeout=2)


@way
def pymssql_below() -> object:
    from pymssql import _mssql

    _mssql.login_timeout = 1  # of real seconds, in which it waits for nothing
    return _mssql.connect(server="127.0.0.1", port=str(port()), user="x", password="y")


@way
def confluent_kafka() -> object:
    from confluent_kafka import Producer

    return Producer({"bootstrap.servers": f"127.0.0.1:{port()}"}).flush(1)


@way
def pyzmq() -> object:
    import zmq

    zmq.Context().socket(zmq.STREAM).connect(f"tcp://127.0.0.1:{port()}")
    return "to be seen"


@way
def pyzmq_below() -> object:
    import zmq
    import zmq.backend

    context = zmq.backend.Context()
    sock = zmq.backend.Socket(context, zmq.STREAM)
    sock.set(zmq.LINGER, 0)
    sock.connect(f"tcp://127.0.0.1:{port()}")
    kept.append(sock)
    _work_for_real()
    sock.close()
    return "to be seen"


@way
def pycares() -> object:
    import pycares

    return pycares.Channel(servers=["127.0.0.1"], udp_port=port())


@way
def grpc() -> object:
    import grpc

    return grpc.insecure_channel(f"127.0.0.1:{port()}")


@way
def grpc_below() -> object:
    from grpc._cython import cygrpc

    channel = cygrpc.Channel(f"127.0.0.1:{port()}".encode(), (), None)
    channel.check_connectivity_state(True)
    _work_for_real()
    return channel.check_connectivity_state(True)


@way
def gevent() -> object:
    import gevent

    return gevent.sleep(0)


@way
def gevent_below() -> object:
    from gevent._socket3 import socket as below

    sock = below()
    sock.connect(("127.0.0.1", port()))
    return sock


@way
def tcl() -> object:
    import tkinter

    return tkinter.Tcl().eval(f"socket 127.0.0.1 {port()}")


def _work_for_real() -> None:
    """Give threads of a library processor time, of which nothing in a world knows."""
    for _ in range(1_000_000):
        pass


def main() -> None:
    name, text = sys.argv[1:]
    facts.update(json.loads(text))
    try:
        found = ways[name]()
        print(found if str(found).startswith("OPEN") else f"returned {found!r}"[:200])
    except BaseException as error:
        print(f"refused {type(error).__name__}: {error}"[:400])


if __name__ == "__main__":
    main()
