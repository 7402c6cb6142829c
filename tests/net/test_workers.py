"""Several processes behind the same addresses: they share, are replaced, drain, and start again on a change."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from catenet.net.target import parse_target
from catenet.net.workers import run_loop, stop_event

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from line_echo import LineCore
from catenet.net import serve
from catenet.net.workers import run_loop, run_workers, stop_event

class Teller(LineCore):
    def _receive_line(self, line):
        if line == b"die":
            os._exit(7)
        super()._receive_line(b"%d" % os.getpid() if line == b"who" else line)

async def main(placement):
    stop = stop_event()
    server = await serve(Teller, placement.urls, reuse_port=placement.reuse_port, shared=placement.shared)
    os.write(1, f"serving lines on {', '.join(server.urls)}\\n".encode())  # one write: they share the pipe
    await stop.wait()
    await server.drain(STUCK or 5)
    return 0

STUCK = float(os.environ.get("STUCK", "0"))
watch = [Path(sys.argv[2])] if sys.argv[2] else []
work = lambda placement: run_loop(main(placement), os.environ["LOOP"])
sys.exit(run_workers(work, sys.argv[3:], workers=int(sys.argv[1]), watch=watch, suffixes=(".txt",)))
"""


@contextlib.contextmanager
def serving(*urls, workers=2, watch="", loop="asyncio", **environment):
    """A running program; yields it and the URLs that all of its workers say."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(workers), str(watch), *urls],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "LOOP": loop, **environment},
        start_new_session=True,
    )
    try:
        yield process, told(process, max(workers, 1))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def told(process, count):
    lines = {process.stdout.readline() for _ in range(count)}
    assert len(lines) == 1, "all workers listen on the same"
    return lines.pop().removeprefix("serving lines on ").strip().split(", ")


def connect(url):
    target = parse_target(url)
    if target.unix:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(target.unix)
    else:
        sock = socket.create_connection((target.host, target.port))
    return sock


def ask(url, line=b"who"):
    with connect(url) as sock:
        sock.sendall(line + b"\n")
        return sock.makefile("rb").readline().strip()


def stop(process, signo=signal.SIGTERM):
    process.send_signal(signo)
    return process.wait(20)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "auto"])
def test_workers_share_ports_and_sockets(tmp_path, loop):
    unix = f"unix:{tmp_path}/s"
    urls = ["tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://localhost:0", unix]
    with serving(*urls, loop=loop) as (process, found):
        assert len(found) == 4 and all(parse_target(url).port for url in found[:3]) and found[3] == unix
        for url in found:
            seen = set()
            while len(seen) < 2:
                seen.add(ask(url))
            assert int(seen.pop()) != process.pid
        assert stop(process) == 0
        assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_drains(workers):
    with serving("tcp://127.0.0.1:0", workers=workers) as (process, (url,)), connect(url) as sock:
        sock.sendall(b"hello\n")
        lines = sock.makefile("rb")
        assert lines.readline() == b"hello\n"
        assert stop(process) == 0
        assert lines.read() == b"bye\n"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("group", [True, False], ids=["from a terminal", "of the supervisor"])
def test_a_second_interrupt_ends_at_once(workers, group):
    """A client that does not close holds up the drain; a terminal interrupts supervisor and workers alike."""
    with serving("tcp://127.0.0.1:0", workers=workers, STUCK="3600") as (process, (url,)), connect(url) as sock:
        sock.sendall(b"hello\n")
        lines = sock.makefile("rb")
        assert lines.readline() == b"hello\n"
        interrupt = os.killpg if group else os.kill
        interrupt(process.pid, signal.SIGINT)
        assert lines.readline() == b"bye\n"
        assert process.poll() is None
        interrupt(process.pid, signal.SIGINT)
        assert process.wait(20) == 130


def test_a_worker_that_dies_is_replaced():
    with serving("tcp://127.0.0.1:0") as (process, (url,)):
        pids = set()
        while len(pids) < 2:
            pids.add(ask(url))
        assert ask(url, b"die") == b""
        assert "ended with status 7, starting it again" in process.stderr.readline()
        assert told(process, 1) == [url]
        while ask(url) in pids:
            time.sleep(0.01)
        assert stop(process) == 0


def test_workers_end_with_a_supervisor_that_is_killed():
    with serving("tcp://127.0.0.1:0") as (process, (url,)):
        workers = set()
        while len(workers) < 2:
            workers.add(int(ask(url)))
        process.kill()
        process.wait(20)
        deadline = time.monotonic() + 30
        while any(map(is_running, workers)):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_files_that_change_start_it_again(tmp_path):
    (tmp_path / "a.txt").write_text("1")
    with serving("tcp://127.0.0.1:0", workers=1, watch=tmp_path) as (process, (url,)):
        before = ask(url)
        (tmp_path / "a.py").write_text("not watched")
        (tmp_path / "b.txt").write_text("2")
        assert "files have changed" in process.stderr.readline()
        assert told(process, 1) == [url]
        assert ask(url) != before
        assert stop(process) == 0


def test_what_cannot_be_listened_on(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken, serving(workers=1) as (process, _):
        assert stop(process) == 0
        url = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        for urls, complaint in {
            (f"unix:{tmp_path}/no/s",): "No such file",
            ("tcp://a..b:0",): "is no name of a host",
            ("tcp://[::1]:0", f"unix:{tmp_path}"): "in use",
        }.items():
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, "2", "", *urls],
                capture_output=True,
                text=True,
                timeout=60,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), "LOOP": "asyncio"},
            )
            assert f"BindError: {urls[-1]}: " in done.stderr and complaint in done.stderr, url


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_signals_are_given_back_to_who_had_them(loop):
    async def main():
        stop_event()
        raise OSError("cannot listen")

    def mine(number, frame):
        pass

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(OSError, match="cannot listen"):
            run_loop(main(), loop)
        assert [signal.getsignal(number) for number in numbers] == [before[0], mine]
    finally:
        signal.signal(signal.SIGTERM, before[1])
