"""Network namespaces of our own: no benchmark's packet leaves them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness import Failed, Unavailable

_serial = itertools.count(1)


def require_root() -> None:
    """Raise Unavailable unless namespaces and TUN devices can be made."""
    if os.geteuid() != 0:
        raise Unavailable("run as root (network namespaces)")
    if shutil.which("ip") is None:
        raise Unavailable("apt-get install iproute2")
    if not Path("/dev/net/tun").exists():
        raise Unavailable("modprobe tun (/dev/net/tun)")


def command(*words: str) -> str:
    """Run a command to its end; Failed with its own words when it fails."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise Failed(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


class Namespace:
    """A network namespace with loopback up that forwards; the context's end kills its processes and removes it."""

    def __init__(self) -> None:
        self.name = f"cnbench{os.getpid()}-{next(_serial)}"
        self.processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Namespace:
        require_root()
        command("ip", "netns", "add", self.name)
        try:
            self.ip("link", "set", "lo", "up")
            self.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        except Failed:
            command("ip", "netns", "del", self.name)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            stop(process)
        # Processes that a contender has moved or left behind in the namespace.
        for pid in command("ip", "netns", "pids", self.name).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        command("ip", "netns", "del", self.name)

    def ip(self, *words: str) -> str:
        """Run `ip` in the namespace."""
        return command("ip", "-n", self.name, *words)

    def run(self, *words: str) -> str:
        """Run a command in the namespace to its end."""
        return command("ip", "netns", "exec", self.name, *words)

    def start(self, *words: str, **options: object) -> subprocess.Popen[str]:
        """Start a command in the namespace; it dies with the namespace."""
        process: subprocess.Popen[str] = subprocess.Popen(  # type: ignore[call-overload]
            ["ip", "netns", "exec", self.name, *words],
            text=True,
            stdin=subprocess.DEVNULL,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        self.processes.append(process)
        return process

    def tun(self, name: str, address: str, mode: str = "tun", *flags: str) -> None:
        """Make a persistent TUN or TAP device with the kernel's address on it."""
        self.ip("tuntap", "add", name, "mode", mode, *flags)
        self.ip("addr", "add", address, "dev", name)
        self.ip("link", "set", name, "up")


def join(left: Namespace, right: Namespace, subnet: str = "10.78.0") -> None:
    """Join two namespaces by a veth pair: .1 left, .2 right."""
    left.ip("link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", right.name)
    for namespace, host in ((left, 1), (right, 2)):
        namespace.ip("addr", "add", f"{subnet}.{host}/24", "dev", "veth0")
        namespace.ip("link", "set", "veth0", "up")


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that we started, gently, then not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def wait_until(
    condition: Callable[[], bool], what: str, service: subprocess.Popen[str] | None = None, seconds: float = 20.0
) -> None:
    """Wait for a condition; Failed when it does not come true or the service that it waits for has ended."""
    end = time.monotonic() + seconds
    while not condition():
        if service is not None and service.poll() is not None:
            words = (service.stderr.read() if service.stderr else "").strip().splitlines() or ["no word"]
            raise Failed(f"{what} ended with status {service.returncode}: {words[-1]}")
        if time.monotonic() > end:
            raise Failed(f"{what} did not come up in {seconds:.0f} s")
        time.sleep(0.05)


def processor_seconds(pids: Sequence[int]) -> float:
    """User and system time spent so far by processes and their living descendants."""
    tick = os.sysconf("SC_CLK_TCK")
    total, pending = 0.0, list(pids)
    while pending:
        pid = pending.pop()
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += (int(fields[11]) + int(fields[12])) / tick
        pending += [int(child) for child in children]
    return total
