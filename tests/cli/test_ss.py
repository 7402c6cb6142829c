import json
import os
import signal
import subprocess
import sys

import pytest
from tests import commands

from catenet.cli import main
from catenet.world.observe.sockets import list_sockets
from catenet.world.world import World

CATENET = [sys.executable, "-m", "catenet"]

SERVER = """
import socket, threading
listener = socket.create_server(("", 9000))
names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("", 53))
while True:
    peer = listener.accept()[0]
    threading.Thread(target=lambda: [None for _ in iter(lambda: peer.recv(1000), b"")], daemon=True).start()
"""

CLIENT = """
import socket, time
with socket.create_connection(("server", 9000)) as peer:
    peer.sendall(bytes(20000))
    print("sent", flush=True)
    while True:
        time.sleep(0.1)
"""


def call(name):
    import socket
    import time

    with socket.create_connection((name, 80)) as peer:
        time.sleep(5)
        peer.sendall(b"x" * 10)
        peer.recv(10)
    time.sleep(5)


@pytest.mark.parametrize("version", [4, 6])
def test_sockets_are_listed_in_every_state(version):
    with World(seed=1) as world:
        address = {4: "10.0.0.9", 6: "fd00::9"}[version]

        def server():
            import socket

            family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
            with socket.create_server(("", 80), family=family) as listener:
                peer = listener.accept()[0]
                peer.recv(10)
                peer.close()
                listener.accept()

        world.host("server", address).run(server, daemon=True)
        world.host("client", {4: "10.0.0.8", 6: "fd00::8"}[version]).run(call, "server")
        world.run(until=3.0)
        rows = {(row.host, row.state): row for row in list_sockets(world)}
        assert set(rows) == {("server", "LISTEN"), ("server", "ESTAB"), ("client", "ESTAB")}
        client, accepted = rows["client", "ESTAB"], rows["server", "ESTAB"]
        assert (client.local, client.peer) == (accepted.peer, accepted.local)
        assert client.peer == {4: "10.0.0.9:80", 6: "[fd00::9]:80"}[version]
        assert client.process.startswith("call,pid=1000,fd=")
        assert client.congestion == "cubic"
        assert client.info["snd_cwnd"] == 10
        world.run(until=8.0)
        ended = [row for row in list_sockets(world) if row.state == "TIME-WAIT"]
        assert [(row.host, row.local) for row in ended] == [("server", client.peer)]


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Worlds of this test are seen by this test alone."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def test_a_running_world_answers(private, capsys):
    (private / "server.py").write_text(SERVER)
    (private / "client.py").write_text(CLIENT)
    (private / "world.toml").write_text(
        "[hosts.server]\nrun = 'server.py'\n[hosts.client]\nrun = 'client.py'\nstart = 1\n"
    )
    words = [*CATENET, "run", "world.toml"]
    with commands.Popen(words, cwd=private, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "client | sent\n"
            assert main(["ss", "-a", "--json"]) == 0
            rows = json.loads(capsys.readouterr().out)
            assert [(row["host"], row["netid"], row["state"]) for row in rows] == [
                ("server", "tcp", "LISTEN"),
                ("server", "tcp", "ESTAB"),
                ("server", "udp", "UNCONN"),
                ("client", "tcp", "ESTAB"),
            ]
            assert rows[3]["info"]["bytes_sent"] == 20000
            assert main(["ss", "-tin", "--host", "client", "--pid", str(child.pid)]) == 0
            shown = capsys.readouterr().out
            assert shown.startswith("client:\nNetid  State")
            for expected in ("cubic ts sack wscale:7,7", "bytes_sent:20000", "client.py,pid=1000", "mss:1448"):
                assert expected in shown
            assert main(["ss", "-u", "-l"]) == 0
            assert "0.0.0.0:53" in capsys.readouterr().out
        finally:
            child.send_signal(signal.SIGTERM)
            child.communicate(timeout=20)
    assert child.returncode == 130
    assert not list((private / "catenet").iterdir())


def test_without_a_world_there_is_one_line(private, capsys):
    assert main(["ss"]) == 2
    assert "no world and no stack of yours runs on this machine" in capsys.readouterr().err
    assert main(["ss", "--pid", str(os.getpid())]) == 2
    assert f"no answer from process {os.getpid()}" in capsys.readouterr().err


def test_what_a_dead_world_left_is_cleared_away(private, capsys):
    import socket

    (private / "catenet").mkdir(mode=0o700)
    left = private / "catenet" / "999.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(left))
    assert main(["ss"]) == 2
    assert not left.exists()
