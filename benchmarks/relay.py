"""`python -m benchmarks relay`: one connection through a relay, beside socat and ncat.

A sender writes to the relay, the relay to a receiver; both are threads of this process with large buffers. What counts
is the relay's processor time for a gigabyte, because the rate depends on what else the machine does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave

CHUNK = 1 << 20
WAIT = 20.0
COLUMNS = [
    Column("cpu", "relay's CPU, s a GB", 2),
    Column("rate", "MB/s"),
    Column("memory", "largest resident size, MB"),
]
OURS = [sys.executable, "-m", "catenet"]

Command = Callable[[int, int, Path], list[str]]


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 5)
    size = (128 << 20) if quick else (1 << 30)
    with tempfile.TemporaryDirectory(prefix="catenet-bench-relay-") as name:
        folder = Path(name)
        tables = [_table(title, commands, size, folder, only) for title, commands in TABLES.items()]
        for table in tables:
            interleave(table.contenders, rounds)
    return Report(
        "relay",
        f"One connection of {size >> 20} MB through a relay on this machine.",
        tables,
        {name: _version(name) for name in ("socat", "ncat")},
        rounds,
    )


def _catenet(loop: str, *words: str) -> Command:
    def command(port: int, behind: int, folder: Path) -> list[str]:
        urls = [word.format(port=port, behind=behind, folder=folder) for word in words]
        return [*OURS, "listen", *urls, "--loop", loop]

    return command


def _socat(listens: str) -> Command:
    def command(port: int, behind: int, folder: Path) -> list[str]:
        return ["socat", "-b262144", listens.format(port=port, folder=folder), f"TCP:127.0.0.1:{behind}"]

    return command


def _ncat(*options: str) -> Command:
    def command(port: int, behind: int, folder: Path) -> list[str]:
        words = [option.format(folder=folder) for option in options]
        return ["ncat", "-l", "127.0.0.1", str(port), *words, "--sh-exec", f"ncat 127.0.0.1 {behind}"]

    return command


TABLES: dict[str, dict[str, Command]] = {
    "TCP to TCP": {
        "catenet, uvloop": _catenet("uvloop", "tcp://127.0.0.1:{port}", "tcp://127.0.0.1:{behind}"),
        "catenet, asyncio": _catenet("asyncio", "tcp://127.0.0.1:{port}", "tcp://127.0.0.1:{behind}"),
        "socat, buffer of 256 KiB": _socat("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr"),
        "ncat, a second one behind it": _ncat(),
    },
    "Unix socket to TCP": {
        "catenet, uvloop": _catenet("uvloop", "unix:{folder}/relay.sock", "tcp://127.0.0.1:{behind}"),
        "catenet, asyncio": _catenet("asyncio", "unix:{folder}/relay.sock", "tcp://127.0.0.1:{behind}"),
        "socat, buffer of 256 KiB": _socat("UNIX-LISTEN:{folder}/relay.sock,unlink-early"),
    },
    "TCP to TCP, a link of 50 ms": {
        "catenet, uvloop": _catenet(
            "uvloop", "tcp://127.0.0.1:{port}", "tcp://127.0.0.1:{behind}", "--latency", "50ms"
        ),
    },
}


def _table(title: str, commands: dict[str, Command], size: int, folder: Path, only: str | None) -> Table:
    rows = [
        Contender(name, partial(_measure, command, size, folder, "Unix" in title))
        for name, command in commands.items()
        if only is None or only in name
    ]
    return Table(title, COLUMNS, rows)


def _measure(command: Command, size: int, folder: Path, is_unix: bool) -> Sample:
    with socket.create_server(("127.0.0.1", 0)) as listener, _relay(command, listener, folder, is_unix) as relay:
        process, address = relay
        received: list[int] = []
        receiving = threading.Thread(target=_receive, args=(listener, received))
        receiving.start()
        sock = _connect(address)
        started = _started(process.pid)
        begun = time.monotonic()
        memory = _send(sock, size, process.pid)
        receiving.join(WAIT * 10)
        spent = time.monotonic() - begun
        used = _end(process) - started
    if received != [size]:
        raise Failed(f"{received} bytes of {size} came through")
    return {"cpu": used / size * 1e9, "rate": size / spent / 1e6, "memory": memory}


@contextlib.contextmanager
def _relay(
    command: Command, listener: socket.socket, folder: Path, is_unix: bool
) -> Iterator[tuple[subprocess.Popen[bytes], tuple[str, int] | str]]:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    words = command(port, listener.getsockname()[1], folder)
    if shutil.which(words[0]) is None:
        raise Unavailable(f"apt install {words[0]}")
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"{folder}/relay.sock" if is_unix else ("127.0.0.1", port)
    try:
        yield process, address
    finally:
        process.kill()
        process.wait()
        Path(f"{folder}/relay.sock").unlink(missing_ok=True)


def _connect(address: tuple[str, int] | str) -> socket.socket:
    end = time.monotonic() + WAIT
    while True:
        sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        try:
            sock.connect(address)
        except OSError:
            sock.close()
            if time.monotonic() > end:
                raise Failed("it does not listen") from None
            time.sleep(0.05)
        else:
            return sock


def _send(sock: socket.socket, size: int, pid: int) -> float:
    """Send so many bytes, and see the end of the other direction; returns how large the relay has been, in MB."""
    data = bytes(CHUNK)
    with sock:
        for _ in range(size // CHUNK):
            sock.sendall(data)
        memory = _memory(pid)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(WAIT * 10)
        while sock.recv(1024):
            pass
    return memory


def _receive(listener: socket.socket, received: list[int]) -> None:
    buffer = bytearray(CHUNK)
    count = 0
    sock = listener.accept()[0]
    with sock:
        while got := sock.recv_into(buffer):
            count += got
    received.append(count)


def _memory(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return float("nan")
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(found[0]) / 1024 if found else float("nan")


def _started(pid: int) -> float:
    """Processor time of a process until now: to start is not to relay."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end(process: subprocess.Popen[bytes]) -> float:
    """Processor time of the relay and of what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)  # Popen would reap it, and its figures with it
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def _version(program: str) -> str:
    if shutil.which(program) is None:
        return "not installed"
    done = subprocess.run([program, "-V" if program == "socat" else "--version"], capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    return next((line for line in lines if "ersion" in line), "unknown").strip() + f" on {os.uname().release}"
