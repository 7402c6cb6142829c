"""Files of local sockets on hosts: they outlive the sockets, and a crash."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from catenet.world import World

SERVER = """
import os, socket, struct

os.umask(0o077)
listener = socket.socket(socket.AF_UNIX)
try:
    listener.bind("service")
except OSError as error:
    print("bound", error.errno, os.path.exists("service"))
    try:
        socket.socket(socket.AF_UNIX).connect("service")
    except OSError as error:
        print("refused", error.errno)
    os.unlink("service")
    listener.bind("service")
listener.listen()
print(os.path.exists("service"), oct(os.stat("service").st_mode), "service" in os.listdir())
while True:
    connection, _ = listener.accept()
    pid, uid, gid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    print(pid == int(connection.recv(100)), uid, gid)
    connection.close()
"""
CLIENT = """
import os, socket

client = socket.socket(socket.AF_UNIX)
client.connect("service")
client.send(str(os.getpid()).encode())
client.recv(1)
"""


@pytest.mark.parametrize("isolation", ["shared", "process"])
def test_a_file_outlives_its_socket_and_the_crash_of_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "client.py").write_text(CLIENT)
    lines: list[str] = []
    with World(isolation=isolation, directory=tmp_path, output=lambda host, stream, line: lines.append(line)) as world:
        host = world.host("host")
        host.run("server.py", daemon=True, directory=tmp_path)
        host.run("client.py", start=1, directory=tmp_path)
        world.at(5, host.crash)
        world.at(6, host.restart)
        world.host("other").run("-c 'import time; time.sleep(8)'")
        world.run()
    bound, told = "True 0o140700 True", f"True {os.getuid()} {os.getgid()}"
    assert lines == [bound, told, "bound 98 True", "refused 111", bound, told], lines
    assert stat.S_ISSOCK((tmp_path / "service").stat().st_mode)
