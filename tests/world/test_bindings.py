"""What was bound before the first world serves programs as what is bound later does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KEPT = '''
"""A library that keeps functions of the interpreter wherever a library can."""

import ctypes, dataclasses, functools, select, socket, time, types
from time import sleep
from socket import socket as Socket, gethostname as name_of_host

recv_into = Socket.recv_into

def default(ask=socket.gethostname):
    return ask()

def keyword(*, ask=socket.gethostname):
    return ask()

def nested(table={"ask": [socket.gethostname]}):
    return table["ask"][0]()

def closed(function):
    def call(*args):
        return function(*args)
    return call

class Attributes:
    ask = socket.gethostname
    static = staticmethod(socket.gethostname)
    send = Socket.send
    table = {"one": (socket.gethostname, 1)}

    def __init__(self):
        self.held = socket.gethostname

class Slots:
    __slots__ = ("held",)

    def __init__(self):
        self.held = [socket.gethostname]

@dataclasses.dataclass
class Made:
    name: str = dataclasses.field(default_factory=socket.gethostname)

attributes, slots, space = Attributes(), Slots(), types.SimpleNamespace(ask=socket.gethostname)
partial = functools.partial(closed(socket.gethostname))
wait = functools.partial(sleep, 5)
send = closed(Socket.sendto)
library = ctypes.CDLL(None)
process_number = library.getpid
try:
    set_name, connect = library.pthread_setname_np, library.connect
except AttributeError:  # in an isolated process, which loads libraries for itself
    set_name = connect = None

def names():
    return {
        name_of_host(), default(), keyword(), nested(), closed(socket.gethostname)(), partial(), Made().name,
        Attributes.ask(), Attributes.static(), attributes.ask(), attributes.held(), attributes.table["one"][0](),
        slots.held[0](), space.ask(),
    }

def exchange():
    one, other = socket.socketpair()
    Attributes.send(one, b"abc")
    room = bytearray(5)
    count = recv_into(other, room)
    poller = closed(select.poll)()
    poller.register(other)
    with socket.socket(type=socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        return bytes(room[:count]), send(here, b"x", here.getsockname())

def call_c():
    import errno, threading
    assert process_number() > 0
    if connect is None:
        return True, True
    try:
        connect(0, None, 0)
    except OSError as error:
        refused = error.errno == errno.ENOSYS
    return refused, set_name(threading.get_ident(), b"name") == errno.ESRCH

def program():
    before = time.monotonic()
    wait()
    print(names(), exchange(), call_c(), round(time.monotonic() - before, 3))
'''
WORLD = """
import sys
if {before}:
    import kept
from catenet.world import World
if not {before}:
    with World() as first:
        first.host("a")
    import kept

def inner():
    from socket import gethostname
    def program(ask=gethostname):
        print(gethostname(), ask())
    return program

local = inner()  # what it has bound no module refers to
with World(isolation="{isolation}", output=lambda host, stream, line: print(host, line)) as world:
    for name in ("a", "b"):
        world.host(name).run({command})
    world.host("a").run(local)
    world.run()
import socket
print({{socket.gethostname()}} == kept.names(), socket.gethostname() not in ("a", "b"))
"""


@pytest.mark.parametrize("isolation", ["shared", "process"])
@pytest.mark.parametrize("command", ["kept.program", "'-c \"import kept; kept.program()\"'"])
@pytest.mark.parametrize("before", [True, False])
def test_what_was_bound_before_serves_programs(tmp_path: Path, before: bool, command: str, isolation: str) -> None:
    library = tmp_path / "library"  # what lies beside the program it would load for itself
    library.mkdir()
    (library / "kept.py").write_text(KEPT)
    (tmp_path / "run.py").write_text(WORLD.format(before=before, command=command, isolation=isolation))
    done = subprocess.run(
        [sys.executable, "run.py"],
        env=os.environ | {"PYTHONPATH": str(library)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = sorted(line for line in done.stdout.splitlines() if line != "a a a")
    assert lines == ["True True", *(f"{name} {{'{name}'}} (b'abc', 1) (True, True) 5.0" for name in "ab")], done.stderr
    assert done.stdout.count("a a a\n") == 1
