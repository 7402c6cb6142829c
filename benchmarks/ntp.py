"""`python -m benchmarks ntp`: requests for the time over loopback, beside chronyd and ntpd.

Everything runs in a network namespace, because ntpd knows no port but 123, and without CAP_SYS_TIME: nothing sets a
clock. What counts is the server's processor time for an answer: it is one process of Python that asks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import trustme
from tests.ntp.chrony import UNPRIVILEGED, chronyd
from tests.peers import environment

from benchmarks.harness import Column, Contender, Failed, Report, Sample, Table, interleave
from benchmarks.netns import Namespace
from benchmarks.serving import LOAD_CPU, Running, find, running

OURS = [sys.executable, "-m", "catenet"]
LOAD = [sys.executable, str(Path(__file__).parent / "programs" / "ntp_load.py")]
HOST = "127.0.0.1"
WINDOW = 32
LIMIT = 60
KEY = "000102030405060708090a0b0c0d0e0f"
COLUMNS = [
    Column("rate", "answers a second"),
    Column("cpu", "server's CPU, µs an answer", 1),
]
Command = Callable[[Path, str], list[str]]


def _catenet(loop: str) -> Command:
    def command(folder: Path, kind: str) -> list[str]:
        words = [*OURS, "serve", "ntp", "-q", "--stratum", "1", "--loop", loop, "--listen", f"ntp://{HOST}:123"]
        if kind == "key":
            words += ["--keys", str(folder / "keys")]
        if kind == "nts":
            words += ["--nts", "--cert", str(folder / "cert.pem"), "--key", str(folder / "key.pem")]
        return words

    return command


def _chronyd(folder: Path, kind: str) -> list[str]:
    words = ["local stratum 1", "allow", "bindaddress 127.0.0.1", f"keyfile {folder}/keys"]
    if kind == "nts":
        words += [f"ntsserverkey {folder}/key.pem", f"ntsservercert {folder}/cert.pem", "ntsprocesses 1"]
    find("chronyd")
    return chronyd(folder, *words)


def _ntpd(folder: Path, kind: str) -> list[str]:
    lines = [f"keys {folder}/keys.ntpd", "trustedkey 2", "disable ntp", "restrict 127.0.0.1"]
    if kind == "nts":
        lines += [
            "nts enable",
            f"nts cert {folder}/cert.pem",
            f"nts key {folder}/key.pem",
            f"nts cookie {folder}/cookies",
        ]
    (folder / "ntp.conf").write_text("\n".join(lines) + "\n")
    return [*UNPRIVILEGED, find("ntpd"), "-n", "-c", str(folder / "ntp.conf")]


SERVERS: dict[str, Command] = {
    "catenet, uvloop": _catenet("uvloop"),
    "catenet, asyncio": _catenet("asyncio"),
    "chronyd": _chronyd,
    "ntpd (ntpsec)": _ntpd,
}
TABLES = {
    "plain": "Plain requests",
    "key": "Requests with an AES-CMAC MAC (RFC 8573)",
    "nts": "Requests protected by NTS (RFC 8915)",
}


def run(*, quick: bool = False, repetitions: int | None = None, only: str | None = None) -> Report:
    """Measure all tables."""
    rounds = repetitions or (1 if quick else 5)
    seconds = 0.5 if quick else 2.0
    with tempfile.TemporaryDirectory(prefix="catenet-bench-ntp-") as name, Namespace() as namespace:
        folder = Path(name)
        _write_secrets(folder)
        tables = []
        for kind, title in TABLES.items():
            rows = [
                Contender(shown, partial(_measure, namespace, folder, command, kind, seconds))
                for shown, command in SERVERS.items()
                if only is None or only in shown
            ]
            tables.append(Table(title, COLUMNS, rows))
            interleave(rows, rounds)
    summary = f"One client over loopback, {WINDOW} requests at a time, for {seconds:g} s."
    return Report("ntp", summary, tables, {"chronyd": _version("chronyd"), "ntpd": _version("ntpd")}, rounds)


def _write_secrets(folder: Path) -> None:
    (folder / "keys").write_text(f"2 AES128 HEX:{KEY}\n")
    (folder / "keys.ntpd").write_text(f"2 AES-128 {KEY}\n")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = authority.issue_cert(HOST)
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(one.bytes() for one in issued.cert_chain_pems))


def _measure(namespace: Namespace, folder: Path, command: Command, kind: str, seconds: float) -> Sample:
    inside = ["ip", "netns", "exec", namespace.name]
    ask = partial(_load, inside, folder, kind)
    words = [*inside, *command(folder, kind)]
    with running(words, {}, lambda: ask(0.05, 1)[0] > 0, log=folder / "log", cwd=folder) as process:
        before = process.processor()
        answers, taken = ask(seconds, WINDOW)
        spent = process.processor() - before - _establishing(process, ask, kind)
    if not answers:
        raise Failed("no answers")
    return {"rate": answers / taken, "cpu": spent / answers * 1e6}


def _establishing(process: Running, ask: Callable[[float, int], tuple[int, float]], kind: str) -> float:
    """Processor time that goes into keys, which each run gets first."""
    if kind != "nts":
        return 0.0
    before = process.processor()
    ask(0.0, 1)
    return process.processor() - before


def _load(inside: list[str], folder: Path, kind: str, seconds: float, window: int) -> tuple[int, float]:
    file = {"plain": [], "key": [str(folder / "keys")], "nts": [str(folder / "ca.pem")]}[kind]
    words = [*inside, "taskset", "-c", str(LOAD_CPU), *LOAD, HOST, str(seconds), str(window), kind, *file]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=LIMIT)
    if done.returncode:
        raise OSError(done.stderr.strip()[-200:])
    found = json.loads(done.stdout)
    return found["answers"], found["seconds"]


def _version(name: str) -> str:
    done = subprocess.run([find(name), "--version"], env=environment(), capture_output=True, text=True)
    return (done.stdout + done.stderr).splitlines()[0].strip().partition(" (+")[0]
