"""The kernel's TCP, with every congestion control it has, to Catenet's over a link that does everything wrong."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Namespace

PROGRAMS = Path(__file__).parent / "programs"
FAULTS = {
    "loss": ["--loss", "2%"],
    "reorder": ["--reorder", "3%"],
    "duplicate": ["--duplicate", "3%"],
    "corrupt": ["--corrupt", "1%"],
    "all": ["--loss", "1%", "--reorder", "1%", "--duplicate", "1%", "--corrupt", "0.5%", "--jitter", "2ms"],
}
SERVERS = {"4": "10.9.0.2", "6": "fd09::2"}
ALGORITHMS = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()

pytestmark = [pytest.mark.root, pytest.mark.peer("iperf3", "ping", "curl"), pytest.mark.slow(150)]


@pytest.fixture
def path(namespaces: Callable[[], Namespace], tmp_path: Path) -> Iterator[Callable[..., Namespace]]:
    """Make client -- faulty bridge -- router -- Catenet host, and return the client's namespace."""
    bridges: list[subprocess.Popen[bytes]] = []

    def make(faults: list[str], program: list[str]) -> Namespace:
        client, router = namespaces(), namespaces()
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            router.run("sh", "-c", f"echo 1 > /proc/sys/{key.replace('.', '/')}")
        words = ["--address", "10.9.0.2/24", "--address", "fd09::2/64", *program]
        host = router.start(sys.executable, "-m", "catenet", "run", "--net", "tun", *words, cwd=tmp_path)
        ends = [f"left@{client.name}", f"right@{router.name}", "--latency", "2ms", "--seed", "1", *faults]
        for side, number in (("--left", 1), ("--right", 2)):
            ends += [side, f"10.8.0.{number}/24", side, f"fd08::{number}/64"]
        bridges.append(subprocess.Popen([sys.executable, "-m", "catenet", "bridge", *ends], stdout=subprocess.DEVNULL))
        _retry(lambda: client.run("ip", "route", "add", "10.9.0.0/24", "via", "10.8.0.2"))
        _retry(lambda: client.run("ip", "-6", "route", "add", "fd09::/64", "via", "fd08::2"))
        assert host.stdout is not None
        printed = ""
        for line in host.stdout:
            printed += line
            if "serving" in line or "listening" in line:
                break
        else:
            raise AssertionError(f"the program has ended: {printed}")
        for version, address in SERVERS.items():
            _retry(lambda v=version, a=address: client.run("ping", f"-{v}", "-c1", "-W1", a))
        return client

    yield make
    for bridge in bridges:
        bridge.terminate()
        bridge.wait(10)


def _retry(action: Callable[[], object]) -> None:
    for _ in range(40):
        try:
            action()
        except subprocess.CalledProcessError:
            time.sleep(0.2)
        else:
            return
    action()


@pytest.mark.parametrize("version", SERVERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_bytes_arrive_intact_both_ways(
    path: Callable[..., Namespace], version: str, fault: str, tmp_path: Path
) -> None:
    content = hashlib.shake_128(b"catenet").digest(2_000_000)
    (tmp_path / "file").write_bytes(content)
    client = path(FAULTS[fault], [str(PROGRAMS / "put_get_server.py"), "8080"])
    url = f"http://[{SERVERS[version]}]:8080" if version == "6" else f"http://{SERVERS[version]}:8080"
    for word in ("file", "copy"):
        got = client.run("curl", "-sS", "--max-time", "60", "-o", str(tmp_path / "got"), f"{url}/{word}")
        assert (tmp_path / "got").read_bytes() == content, got.stderr
        client.run("curl", "-sS", "--max-time", "60", "-T", str(tmp_path / "got"), f"{url}/copy")
        (tmp_path / "got").unlink()
    assert (tmp_path / "copy").read_bytes() == content


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("options", [[], ["-R"], ["--bidir"]], ids=["in", "out", "both"])
def test_every_congestion_control_of_the_kernel(
    path: Callable[..., Namespace], algorithm: str, options: list[str]
) -> None:
    client = path(FAULTS["all"], [str(PROGRAMS / "iperf3_server.py")])
    for version, address in SERVERS.items():
        words = ["iperf3", f"-{version}", "-J", "-c", address, "-t", "2", "-C", algorithm, *options]
        report = json.loads(client.run(*words, timeout=60, check=False).stdout)
        assert "error" not in report, report["error"]
        assert report["end"]["sum_received"]["bytes"] > 100_000
