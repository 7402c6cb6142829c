"""SIGPIPE's default action, once a program has asked for it: the process ends, as a shell shows it with 128 + 13."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from catenet.world import World
from catenet.world.engine.errors import ProcessFailed

sys.path.insert(0, str(Path(__file__).parent))
from scenarios import connection

KINDS = ["tcp", "local", "pipe"]


def write_to_nobody(kind: str) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if kind == "pipe":
        reading, writing = os.pipe()
        os.close(reading)
        os.write(writing, b"x")
        return
    one, other = connection(4) if kind == "tcp" else socket.socketpair()
    one.shutdown(socket.SHUT_WR)
    try:
        one.send(b"x", socket.MSG_NOSIGNAL)
    except BrokenPipeError:
        one.send(b"x")
    other.close()


@pytest.mark.parametrize("kind", KINDS)
def test_writing_to_nobody_ends_a_simulated_process(kind: str) -> None:
    with World() as world:
        world.host("host").run(lambda: write_to_nobody(kind))
        with pytest.raises(ProcessFailed, match=f"status {128 + signal.SIGPIPE}$"):
            world.run(10)


@pytest.mark.parametrize("kind", KINDS)
def test_sigpipe_ends_the_process_on_the_kernel_too(kind: str) -> None:
    result = subprocess.run([sys.executable, __file__, kind], timeout=60, check=False)
    assert result.returncode == -signal.SIGPIPE


def test_a_wakeup_descriptor_that_nobody_reads_signals_nobody() -> None:
    handled: list[int] = []

    def run() -> None:
        one, other = socket.socketpair()
        one.setblocking(False)
        other.close()
        signal.signal(signal.SIGPIPE, lambda number, frame: handled.append(number))
        signal.set_wakeup_fd(one.fileno())
        signal.raise_signal(signal.SIGPIPE)

    with World() as world:
        world.host("host").run(run)
        world.run(10)
        assert [process.status for process in world.processes] == [0]
    assert handled == [signal.SIGPIPE]


if __name__ == "__main__":
    write_to_nobody(sys.argv[1])
