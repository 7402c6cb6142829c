"""`python -m benchmarks http`: a server of HTTP on one processor beside its peers, the load on the other.

What counts is the processor time of a request, because wall rates depend on what else the machine does. Every row is
measured with heads and paths that are always the same, and with a browser's, of which path, Cookie and Referer change.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.peers import environment

from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, Unavailable, interleave, progress
from benchmarks.http.servers import PROGRAMS, Site, start
from benchmarks.serving import LOAD_CPU, Running, find, start_all

SAME = Column("same", "same heads: server's CPU, us", 1)
VARIED = Column("varied", "varied heads: server's CPU, us", 1)
RATE = Column("rate", "same heads: requests/s")
SHOWN = {"catenet": "catenet, pure Python", "asyncio": "catenet, pure, without uvloop", "compiled": "catenet, compiled"}
SHOWN |= {"files": "catenet serve http, pure", "files, compiled": "catenet serve http, compiled"}
FILES = ("files", "files, compiled", "nginx", "nginx, files kept open")
FILE_COUNT = 1000
"""Files of 10 KiB, of which heads that vary ask for another one each time."""
ALL = ("catenet", "asyncio", "compiled", "uvicorn", "uvicorn, h11", "granian", "hypercorn", "aiohttp", "nginx")
ASGI = ("catenet", "asyncio", "compiled", "uvicorn", "granian", "hypercorn")
HTTP2 = ("catenet", "compiled", "granian", "hypercorn", "nginx")
SOCKETS = ("catenet", "compiled", "uvicorn", "granian", "hypercorn", "aiohttp")

HEADS = """\
wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0"
wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
wrk.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
wrk.headers["Accept-Language"] = "en-GB,en;q=0.9"
"""
CHANGES = """\
local asked, n = {}, 0
init = function()
  local place = wrk.path:match("^/%a+/")
  local names = place == "/small/" and FILES or 20000
  for i = 1, 20000 do
    wrk.headers["Cookie"] = "session=" .. (i * 7919) .. "; theme=dark"
    wrk.headers["Referer"] = "http://localhost/from/" .. (i - 1)
    asked[i] = wrk.format("GET", place .. (i % names) .. "?page=" .. (i % 97))
  end
end
request = function()
  n = n % 20000 + 1
  return asked[n]
end
"""


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 7)
    seconds = 1 if quick else 2
    with tempfile.TemporaryDirectory(prefix="catenet-bench-http-") as name:
        folder = Path(name)
        _prepare(folder)
        tables = _measure(folder, rounds, seconds, only)
    packages = ("uvicorn", "granian", "hypercorn", "aiohttp", "starlette", "uvloop", "httptools")
    return Report(
        "http",
        "A server of HTTP with one worker on one processor, wrk or h2load on the other. 32 connections over "
        "HTTP/1.1, 4 with 32 streams each over HTTP/2. uvicorn has uvloop and httptools where nothing else is said.",
        tables,
        {package: importlib.metadata.version(package) for package in packages},
        rounds,
    )


def _prepare(folder: Path) -> None:
    import trustme

    certificate = trustme.CA().issue_cert("localhost", "127.0.0.1")
    (folder / "server.pem").write_bytes(certificate.private_key_and_cert_chain_pem.bytes())
    (folder / "key.pem").write_bytes(certificate.private_key_pem.bytes())
    for name, size, count in (
        ("body", 10_240, 1),
        ("file", 1 << 20, 1),
        ("small", 10_240, FILE_COUNT),
        ("json", 32, 1),
    ):
        (folder / "www" / name).mkdir(parents=True)
        for number in range(count):
            (folder / "www" / name / str(number)).write_bytes(bytes(range(32)) * (size // 32))
    (folder / "same.lua").write_text(HEADS)
    (folder / "varied.lua").write_text(HEADS + CHANGES.replace("FILES", str(FILE_COUNT)))


def _measure(folder: Path, rounds: int, seconds: int, only: str | None) -> list[Table]:
    kinds: list[tuple[str, str, str, str, tuple[str, ...]]] = [
        ("Small JSON, HTTP/1.1", "app", "wrk", "/json/0", ALL),
        ("10 KiB, HTTP/1.1", "app", "wrk", "/body/0", ALL),
        ("Files of 10 KiB, HTTP/1.1", "app", "wrk", "/small/0", FILES),
        ("1 MiB of a file, HTTP/1.1", "app", "wrk", "/file/0", ALL),
        ("Small JSON, HTTP/1.1 over TLS", "app", "wrk tls", "/json/0", ALL),
        ("Small JSON, HTTP/2", "app", "h2load", "/json/0", HTTP2),
        ("1 MiB of a file, HTTP/2", "app", "h2load", "/file/0", HTTP2),
        ("WebSocket, 100 bytes and their echo", "app", "sockets", "/ws", SOCKETS),
        ("Small JSON by Starlette, HTTP/1.1", "starlette", "wrk", "/json/0", ASGI),
    ]
    tables = []
    for app in ("app", "starlette"):
        with contextlib.ExitStack() as stack:
            wanted = list(dict.fromkeys((*ALL, *FILES))) if app == "app" else list(ASGI)
            running = start_all(wanted, SHOWN, only, partial(start, site=Site(folder, app)), stack)
            for title, of, load, path, names in kinds:
                if of != app:
                    continue
                progress(title)
                rows = [
                    Contender(SHOWN.get(name, name), _asked(running[name], folder, load, path, seconds))
                    for name in names
                    if name in running
                ]
                interleave(rows, rounds)
                columns = [SAME, RATE] if load == "sockets" else [SAME, VARIED, RATE]
                tables.append(Table(title, columns, rows, first="server"))
    return tables


def _asked(running: Running | str, folder: Path, load: str, path: str, seconds: int) -> Callable[[], Sample]:
    def measure() -> Sample:
        if isinstance(running, str):
            raise Unavailable(running)
        sample: Sample = {}
        for key in ("same", "varied"):
            if load == "sockets" and key == "varied":
                break
            before = running.processor()
            count = _LOADS[load](running, folder, path, key, seconds)
            spent = running.processor() - before
            if not count:
                raise Failed("no request was answered")
            sample[key] = 1e6 * spent / count
            if key == "same":
                sample["rate"] = count / seconds
        return sample

    return measure


def _output(*words: str) -> str:
    done = subprocess.run(
        ["timeout", "30", "taskset", "-c", str(LOAD_CPU), *words],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    if done.returncode:
        raise Failed(" ".join((done.stdout + done.stderr).split()[-20:]))
    return done.stdout


def _by_wrk(running: Running, folder: Path, path: str, heads: str, seconds: int, scheme: str = "http") -> int:
    url = f"{scheme}://127.0.0.1:{running.ports[scheme]}{path}"
    said = _output(find("wrk"), "-t1", "-c32", f"-d{seconds}", "-s", str(folder / f"{heads}.lua"), url)
    if "Non-2xx" in said:
        raise Failed("answers other than 200")
    found = re.search(r"(\d+) requests in", said)
    return int(found[1]) if found else 0


def _by_wrk_tls(running: Running, folder: Path, path: str, heads: str, seconds: int) -> int:
    return _by_wrk(running, folder, path, heads, seconds, "https")


def _by_h2load(running: Running, folder: Path, path: str, heads: str, seconds: int) -> int:
    words = [find("h2load"), "-c4", "-m32", "-D", str(seconds), "-H", "user-agent: Mozilla/5.0 (X11; Linux x86_64)"]
    base = f"http://127.0.0.1:{running.ports['h2c']}"
    if heads == "varied":
        uris = folder / f"uris-{path.split('/')[1]}-{running.ports['http']}"
        uris.write_text(
            "".join(f"{base}/{path.split('/')[1]}/{number}?page={number % 97}\n" for number in range(20_000))
        )
        words += ["-i", str(uris)]
    else:
        words.append(base + path)
    found = re.search(r"(\d+) succeeded", _output(*words))
    return int(found[1]) if found else 0


def _by_sockets(running: Running, folder: Path, path: str, heads: str, seconds: int) -> int:
    program = str(PROGRAMS / "sockets.py")
    return int(_output(sys.executable, program, str(running.ports["http"]), "32", str(seconds)))


_LOADS: dict[str, Callable[[Running, Path, str, str, int], int]] = {
    "wrk": _by_wrk,
    "wrk tls": _by_wrk_tls,
    "h2load": _by_h2load,
    "sockets": _by_sockets,
}
