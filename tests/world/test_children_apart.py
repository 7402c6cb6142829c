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
