"""Programs that fork on hosts in processes of their own: who serves, and what the run says of children."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SERVER = """
import os, socket
with socket.create_server(("", 8000)) as server:
    for number in range(2):
        if os.fork() == 0:
            for _ in range(2):
                with server.accept()[0] as connection:
                    connection.sendall(f"child {number}".encode())
            os._exit(number)
    print(*sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(2)))
"""

CLIENT = """
import socket
print(*sorted(socket.create_connection(("server", 8000)).recv(100).decode() for _ in range(4)))
"""

WORLD = """
[world]
isolation = "process"

[hosts.server]
run = "server.py"

[hosts.client]
run = "client.py"
"""


def test_children_of_an_isolated_host_serve_and_their_status_is_their_parent_s(tmp_path: Path) -> None:
    for name, text in (("server.py", SERVER), ("client.py", CLIENT), ("world.toml", WORLD)):
        (tmp_path / name).write_text(text)
    report = tmp_path / "report.json"
    words = [sys.executable, "-m", "catenet", "run", "world.toml", "--json", str(report)]
    done = subprocess.run(words, cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if " | " in line]
    assert "client | child 0 child 0 child 1 child 1" in said
    assert "server | 0 1" in said
    ends = {(row["host"], row["exit_status"], row["end"]) for row in json.loads(report.read_text())["processes"]}
    assert ends == {("server", 0, "exited"), ("server", 1, "exited"), ("client", 0, "exited")}


# Several command lines of one host.

STATE = """
import decimal, logging, os, random, sys, threading, time
number = int(sys.argv[1])
logging.basicConfig(format=f"of {number}: %(message)s")
decimal.getcontext().prec = 5 + number
os.__dict__.setdefault("marks", []).append(number)
thread = threading.Thread(target=time.sleep, args=(0.5,))
thread.start()
time.sleep(1)
logging.warning("hello")
if os.fork() == 0:
    print("child of", os.getppid(), os.marks)
    sys.exit(5)
print("its child", os.waitstatus_to_exitcode(os.wait()[1]), os.getppid())
print(os.marks, decimal.Decimal(1) / 3, os.getpid(), random.random(), os.urandom(4).hex())
thread.join()
sys.exit(number)
"""

SERVE = """
import os, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *args: sys.exit(print("stopped")))
with socket.create_server(("", 80)) as server:
    while True:
        with server.accept()[0] as connection:
            connection.sendall(connection.recv(100) + b" for %d" % os.getpid())
"""

ASK = """
import socket
for number in range(20):
    with socket.create_connection(("a", 80)) as connection:
        connection.sendall(b"%d" % number)
        print(connection.recv(100))
"""

LINES = """
[world]
quiet = "1s"

[link]
latency = "5ms"
loss = "3%"

[hosts.a]
run = ["state.py 1", "state.py 2", "serve.py"]

[hosts.b]
run = "ask.py"
start = "100ms"
"""


def test_command_lines_of_one_host_have_nothing_of_each_other(tmp_path: Path) -> None:
    for name, text in (("state.py", STATE), ("serve.py", SERVE), ("ask.py", ASK), ("world.toml", LINES)):
        (tmp_path / name).write_text(text)
    report = tmp_path / "report.json"
    words = [sys.executable, "-m", "catenet", "run", "world.toml", "--json", str(report), "--isolation"]
    apart = subprocess.run([*words, "process"], cwd=tmp_path, text=True, capture_output=True, timeout=100, check=False)
    found = json.loads(report.read_text())
    assert apart.returncode == 1, apart.stderr
    said = "\n".join([line for line in apart.stdout.splitlines() if " | " in line])
    for number, precise in ((1, "0.333333"), (2, "0.3333333")):
        assert f"of {number}: hello" in said + apart.stderr
        assert f"child of {999 + number} [{number}]" in said
        assert f"[{number}] {precise} {999 + number} " in said
    assert said.count("its child 5 1") == 2 and "stopped" in said
    ends = {(row["host"], row["name"], row["exit_status"]) for row in found["processes"]}
    assert {("a", "state.py", 1), ("a", "state.py", 2), ("a", "serve.py", 0), ("b", "ask.py", 0)} <= ends
    (tmp_path / "state.py").write_text("import sys; sys.exit(int(sys.argv[1]))")
    traces = []
    for isolation in ("process", "shared"):
        subprocess.run([*words, isolation], cwd=tmp_path, capture_output=True, timeout=100, check=False)
        traces.append(json.loads(report.read_text())["trace_sha256"])
    assert traces[0] == traces[1]
