"""`python -m benchmarks tftp`: one file by TFTP over loopback, our server and client beside others', in every pairing.

Server and client have a processor each. A client that gets a file writes to /dev/null; its start counts, so that the
file is large.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.peers import environment

from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave
from benchmarks.serving import LOAD_CPU, compiled_command, find, running

LIMIT = 120
NOTE = "tftpd-hpa serves each transfer by a process of another group, whose processor time is not seen here."
COLUMNS = [
    Column("rate", "MB/s"),
    Column("server", "server's CPU, s a GB", 2),
    Column("client", "client's CPU, s a GB", 2),
]
ServerCommand = Callable[[Path, int], list[str]]
ClientCommand = Callable[[int, int, int], list[str]]


def _pure() -> list[str]:
    return [sys.executable, "-m", "catenet"]


def _catenet_server(folder: Path, port: int, *, ours: Callable[[], list[str]] = _pure) -> list[str]:
    may = ["--upload", "--overwrite"]
    return [*ours(), "serve", "tftp", str(folder), *may, "--listen", f"tftp://127.0.0.1:{port}", "-q"]


def _atftpd(folder: Path, port: int) -> list[str]:
    words = ["--daemon", "--no-fork", "--port", str(port), "--bind-address", "127.0.0.1", "--user", "root.root"]
    return [find("atftpd"), *words, "--logfile", "-", str(folder)]


def _tftpd_hpa(folder: Path, port: int) -> list[str]:
    return [find("in.tftpd"), "-L", "-4", "-a", f"127.0.0.1:{port}", "-u", "root", "-c", "-s", str(folder)]


def _catenet_client(port: int, block: int, window: int, *, ours: Callable[[], list[str]] = _pure) -> list[str]:
    asked = ["--tftp-blksize", str(block), "--tftp-windowsize", str(window)]
    return [*ours(), "get", "-s", f"tftp://127.0.0.1:{port}/file", "-o", "/dev/null", *asked]


def _atftp(port: int, block: int, window: int) -> list[str]:
    asked = ["--option", f"blksize {block}", "--option", f"windowsize {window}"]
    return [find("atftp"), *asked, "-g", "-r", "file", "-l", "/dev/null", "127.0.0.1", str(port)]


def _tftp_hpa(port: int, block: int, window: int) -> list[str]:
    return [find("tftp"), "-m", "octet", "127.0.0.1", str(port), "-c", "get", "file", "/dev/null"]


def _curl(port: int, block: int, window: int) -> list[str]:
    return [find("curl"), "-sS", "--tftp-blksize", str(block), f"tftp://127.0.0.1:{port}/file", "-o", "/dev/null"]


def _catenet_put(port: int, block: int, window: int, *, ours: Callable[[], list[str]] = _pure) -> list[str]:
    asked = ["--tftp-blksize", str(block), "--tftp-windowsize", str(window)]
    return [*ours(), "put", "-s", "file", f"tftp://127.0.0.1:{port}/new", *asked]


def _atftp_put(port: int, block: int, window: int) -> list[str]:
    asked = ["--option", f"blksize {block}", "--option", f"windowsize {window}"]
    return [find("atftp"), *asked, "-p", "-l", "file", "-r", "new", "127.0.0.1", str(port)]


SERVERS: dict[str, ServerCommand] = {
    "catenet": _catenet_server, "compiled": partial(_catenet_server, ours=compiled_command), "atftpd": _atftpd,
    "tftpd-hpa": _tftpd_hpa,
}  # fmt: skip
CLIENTS: dict[str, ClientCommand] = {
    "catenet": _catenet_client, "compiled": partial(_catenet_client, ours=compiled_command), "atftp": _atftp,
    "tftp-hpa": _tftp_hpa, "curl": _curl,
}  # fmt: skip
UPLOADERS: dict[str, ClientCommand] = {
    "catenet": _catenet_put, "compiled": partial(_catenet_put, ours=compiled_command), "atftp": _atftp_put,
}  # fmt: skip
WINDOWED = [
    ("catenet", "catenet"), ("catenet", "atftp"), ("atftpd", "catenet"), ("atftpd", "atftp"),
    ("compiled", "compiled"), ("compiled", "atftp"), ("atftpd", "compiled"),
]  # fmt: skip
SINGLE = [
    *WINDOWED, ("catenet", "curl"), ("atftpd", "curl"), ("tftpd-hpa", "curl"), ("tftpd-hpa", "catenet"),
    ("tftpd-hpa", "atftp"),
]  # fmt: skip
TABLES: list[tuple[int, int, int, list[tuple[str, str]]]] = [
    (1468, 32, 256, WINDOWED),
    (8192, 8, 256, WINDOWED),
    (1468, 1, 16, SINGLE),
    (512, 1, 8, [*SINGLE, ("tftpd-hpa", "tftp-hpa")]),
]
"""Block, window, megabytes, pairings of server and client."""
UPLOADS: list[tuple[int, int, int, list[tuple[str, str]]]] = [
    (1468, 32, 256, WINDOWED),
    (8192, 8, 256, WINDOWED),
    (1468, 1, 16, [*WINDOWED, ("tftpd-hpa", "catenet"), ("tftpd-hpa", "atftp")]),
]


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 5)
    with tempfile.TemporaryDirectory(prefix="catenet-bench-tftp-") as name:
        folder = Path(name)
        tables = []
        for uploads, (block, window, megabytes, pairs) in [
            *((False, t) for t in TABLES),
            *((True, t) for t in UPLOADS),
        ]:
            size = (megabytes // 8 if quick else megabytes) << 20
            words = "{1} to {0}" if uploads else "{0} to {1}"
            rows = [
                Contender(words.format(*pair), partial(_measure, *pair, block, window, size, folder, uploads=uploads))
                for pair in pairs
                if only is None or only in pair
            ]
            title = f"{'Uploads, b' if uploads else 'B'}locks of {block}, windows of {window}, {size >> 20} MB"
            note, columns = "" if pairs is WINDOWED else NOTE, "client to server" if uploads else "server to client"
            tables.append(Table(title, COLUMNS, rows, note, columns))
            interleave(rows, rounds)
    versions = {"atftp": _version("atftp", "-V"), "tftp-hpa": _version("tftp", "-V"), "curl": _version("curl", "-V")}
    return Report("tftp", "One file over loopback.", tables, versions, rounds)


def _measure(
    server: str, client: str, block: int, window: int, size: int, folder: Path, *, uploads: bool = False
) -> Sample:
    served = folder / str(size)
    served.mkdir(exist_ok=True)
    file = served / "file"
    if not file.exists():
        file.write_bytes(os.urandom(1 << 20) * (size >> 20))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    asked = (UPLOADERS if uploads else CLIENTS)[client](port, block, window)
    command = ["taskset", "-c", str(LOAD_CPU), *asked]
    words, log = SERVERS[server](served, port), folder / "log"
    with running(words, {}, partial(_answers, port), log=log, cwd=folder) as process:
        before, used = process.processor_of_all(), os.times()
        begun = time.monotonic()
        try:
            done = subprocess.run(command, env=environment(), capture_output=True, timeout=LIMIT, cwd=served)
        except subprocess.TimeoutExpired:
            raise Failed(f"not ended in {LIMIT} s") from None
        seconds, after = time.monotonic() - begun, os.times()
        spent = process.processor_of_all() - before
    if uploads:
        stored = served / "new"
        if not stored.exists() or stored.stat().st_size != size:
            raise Failed("stored what was not sent")
        stored.unlink()
    if done.returncode:
        raise Failed(done.stderr.decode(errors="replace").strip()[-200:] or f"status {done.returncode}")
    own = after.children_user + after.children_system - used.children_user - used.children_system
    return {"rate": size / seconds / 1e6, "server": spent / size * 1e9, "client": own / size * 1e9}


def _answers(port: int) -> bool:
    """Whether a server says that a file is not there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        try:
            sock.sendto(b"\0\1none\0octet\0", ("127.0.0.1", port))
            return sock.recv(1024)[:2] == b"\0\5"
        except OSError:
            return False


def _version(name: str, option: str) -> str:
    try:
        done = subprocess.run([find(name), option], env=environment(), capture_output=True, text=True)
    except Unavailable:
        return "not installed"
    return (done.stdout + done.stderr).splitlines()[0].strip()
