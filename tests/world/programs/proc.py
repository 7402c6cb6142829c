"""What programs find below /proc about themselves, their children and their sockets, compared with what they did."""

from __future__ import annotations

import glob
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

PYTHON = sys.executable


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def fields(pid: object) -> list[str]:
    """What stands behind the name in /proc/PID/stat."""
    return read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def status(pid: object) -> dict[str, str]:
    return {
        name: value.strip()
        for name, _, value in (line.partition(":") for line in read(f"/proc/{pid}/status").splitlines())
    }


def outcome(call: Any, *args: Any) -> Any:
    try:
        return call(*args)
    except OSError as error:
        return type(error).__name__, error.errno


def itself() -> None:
    pid = os.getpid()
    print(os.readlink("/proc/self") == str(pid), read("/proc/self/comm") == read(f"/proc/{pid}/comm"))
    print(read("/proc/self/cmdline").split("\0")[1:], fields("self")[1:4] == fields(pid)[1:4])
    own = fields("self")
    print(own[0], int(own[2]) == os.getpgrp(), int(own[3]) == os.getsid(0), len(own))
    found = status(pid)
    print(
        found["Pid"] == found["Tgid"] == str(pid),
        found["State"],
        found["Threads"],
        found["Uid"].split()[0] == str(os.getuid()),
    )
    began = float(own[19]) / os.sysconf("SC_CLK_TCK")
    print(
        0 <= float(read("/proc/uptime").split()[0]) - began < 60,
        abs(float(read("/proc/uptime").split()[0]) - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5,
    )
    booted = next(int(line.split()[1]) for line in read("/proc/stat").splitlines() if line.startswith("btime"))
    print(
        abs(booted + time.clock_gettime(time.CLOCK_BOOTTIME) - time.time()) < 5,
        read("/proc/sys/kernel/hostname").strip() == socket.gethostname(),
    )
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, print)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])
    now = status("self")
    print(
        [bool(int(now[name], 16) >> number - 1 & 1) for name, number in (("SigIgn", 10), ("SigCgt", 12), ("SigBlk", 1))]
    )
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    print(status("self")["Threads"], len(os.listdir("/proc/self/task")), fields("self")[17])
    event.set()
    thread.join()
    print("PATH" in dict(each.partition("=")[::2] for each in read("/proc/self/environ").split("\0")))
    print(len(read(f"/proc/{pid}/maps")) > 100, os.readlink(f"/proc/{pid}/cwd") == os.getcwd())
    print(os.path.realpath("/proc/self/exe") == os.path.realpath(PYTHON), os.path.isdir(f"/proc/{pid}"))
    with open(os.open("/proc/self/stat", os.O_RDONLY), "rb") as file:
        print(file.read().startswith(b"%d (" % pid))
    print(outcome(open, "/proc/4000000/stat"))
    print(outcome(os.listdir, "/proc/4000000"), outcome(os.stat, "/proc/4000000"), os.path.exists("/proc/1/stat"))


def children() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        own = fields("self")
        print(
            int(own[1]) == os.getppid(),
            os.readlink("/proc/self") == str(os.getpid()),
            read("/proc/self/cmdline") == read(f"/proc/{os.getppid()}/cmdline"),
            flush=True,
        )
        os.read(reader, 1)
        os._exit(4)
    with subprocess.Popen(
        [PYTHON, "-c", "import sys; print(1, flush=True); sys.stdin.read()", "word"], stdin=-1, stdout=-1
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        print(read(f"/proc/{process.pid}/cmdline").split("\0")[1:], fields(process.pid)[1] == str(os.getpid()))
        process.stdin.close()
    here = {each.rpartition("/")[2] for each in glob.glob("/proc/[0-9]*")}
    print({str(pid), str(os.getpid()), "1"} <= here, str(process.pid) in here, str(pid) in os.listdir("/proc"))
    os.write(writer, b"x")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    print(status(pid)["State"], fields(pid)[0], int(fields(pid)[1]) == os.getpid(), read(f"/proc/{pid}/cmdline") == "")
    os.waitpid(pid, 0)
    print(os.path.exists(f"/proc/{pid}"), outcome(os.kill, 1, 0) in (None, ("PermissionError", 1)))


def rows(table: str, port: int) -> list[list[str]]:
    """Rows of a table of /proc/net with a port of ours, without what the kernel alone knows."""
    found = [line.split() for line in read(f"/proc/net/{table}").splitlines()[1:]]
    return [
        [row[1].partition(":")[0], row[2].partition(":")[0], row[3]] for row in found if row[1].endswith(f":{port:04X}")
    ]


def sockets() -> None:
    for family, address, suffix in ((socket.AF_INET, "127.0.0.1", ""), (socket.AF_INET6, "::1", "6")):
        with socket.create_server((address, 0), family=family) as server:
            port = server.getsockname()[1]
            print(rows(f"tcp{suffix}", port))
            with socket.create_connection(server.getsockname()[:2]) as client, server.accept()[0] as connection:
                print(sorted(rows(f"tcp{suffix}", port)), rows(f"tcp{suffix}", client.getsockname()[1]))
                link = os.readlink(f"/proc/self/fd/{connection.fileno()}")
                inode = link[len("socket:[") : -1]
                print(
                    link.startswith("socket:["),
                    any(inode in line.split() for line in read(f"/proc/net/tcp{suffix}").splitlines()),
                )
                client.close()
                connection.recv(1)
                time.sleep(0.05)
                print(sorted(row[2] for row in rows(f"tcp{suffix}", port)))
            with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
                datagrams.bind((address, 0))
                print(rows(f"udp{suffix}", datagrams.getsockname()[1]))
    reader, writer = os.pipe()
    print(
        os.readlink(f"/proc/self/fd/{reader}") == os.readlink(f"/proc/self/fd/{writer}"),
        os.readlink(f"/proc/{os.getpid()}/fd/{reader}")[:6],
    )
    print(
        {"0", "1", "2", str(reader), str(writer)} <= set(os.listdir("/proc/self/fd")),
        os.path.exists(f"/proc/self/fd/{reader}"),
    )
    print(
        any(line.split()[0] == "lo:" for line in read("/proc/net/dev").splitlines()),
        "1 01 80 10 80" in read("/proc/net/if_inet6"),
    )


if __name__ == "__main__":
    for each in (itself, children, sockets):
        print(each.__name__, flush=True)
        each()
