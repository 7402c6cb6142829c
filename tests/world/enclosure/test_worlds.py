"""A world that others' code runs, as pytest: hosts with processes of their own are closed, their caller is not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.world.enclosure.test_doorkeeper import BY_C

from catenet.world.world import World

PROGRAM = """
import os, time
def say(who):
    print(who, c("socket")(2, 1, 0), c("socket")(1, 1, 0), c("kill")(VICTIM, 0, 0), c("kill")(1, 0, 0), flush=True)
say("host")
if os.fork() == 0:
    say("child")
    if os.fork() == 0:
        say("grandchild")
        os._exit(0)
    os.wait()
    os._exit(0)
os.wait()
time.sleep(10)
"""


def test_hosts_are_closed_and_their_children_also_after_a_reboot(tmp_path: Path) -> None:
    lines: list[str] = []
    (tmp_path / "program.py").write_text(BY_C + PROGRAM.replace("VICTIM", str(os.getpid())))
    with World(output=lambda host, stream, line: lines.append(line), directory=tmp_path, isolation="process") as world:
        host = world.host("one")
        host.run("program.py")
        world.at(2, host.crash)
        world.at(3, host.restart)
        world.run(5)
    expected = [f"{who} -1 -1 -1 -1" for who in ("host", "child", "grandchild")]
    assert lines == expected * 2
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        listener.accept()[0].close()
