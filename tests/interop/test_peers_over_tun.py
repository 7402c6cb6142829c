"""Real peers against an unmodified program on Catenet's stack behind a TUN device, both IP versions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.interop.tun_host import ADDRESSES, start_behind_tun

if TYPE_CHECKING:
    from tests.conftest import Namespace

PROGRAMS = Path(__file__).parent / "programs"

pytestmark = [pytest.mark.root, pytest.mark.peer("iperf3", "ping", "traceroute", "nmap"), pytest.mark.slow(60)]


class Host:
    """A Catenet host behind a TUN device in a namespace, running an iperf3 server written in Python."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self.program = start_behind_tun(namespace, PROGRAMS / "iperf3_server.py")
        for address in ADDRESSES:
            self._await_answer(address)

    def _await_answer(self, address: str) -> None:
        for _ in range(50):
            if self.namespace.run("ping", "-c1", "-W1", address, check=False).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(f"{address} does not answer")

    def iperf3(self, address: str, *options: str) -> dict[str, float]:
        """Run the real iperf3 client; return bytes received per direction."""
        done = self.namespace.run("iperf3", "-J", "-c", address, "-t", "2", *options, timeout=40, check=False)
        report = json.loads(done.stdout)
        assert "error" not in report, report["error"]
        return {
            key: value["bytes"] for key, value in report["end"].items() if key.startswith("sum_") and "bytes" in value
        }


@pytest.fixture
def host(namespace: Namespace) -> Iterator[Host]:
    yield Host(namespace)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("options", [(), ("-R",), ("--bidir",), ("-P", "4"), ("-l", "1", "-t", "1")])
def test_iperf3(host: Host, address: str, options: tuple[str, ...]) -> None:
    moved = host.iperf3(address, *options)
    assert moved["sum_received"] > 1000
    if "--bidir" in options:
        assert moved["sum_received_bidir_reverse"] > 1000


@pytest.mark.parametrize("size", [0, 1, 56, 1452, 1453, 1472, 1473, 9000, 65507])
def test_ping_of_every_size(host: Host, size: int) -> None:
    for address in ADDRESSES:
        done = host.namespace.run("ping", "-c", "2", "-i", "0.1", "-W", "5", "-s", str(size), address, check=False)
        assert "2 received" in done.stdout, done.stdout


def test_traceroute_arrives(host: Host) -> None:
    for address in ADDRESSES:
        for method in ([], ["-I"], ["-T", "-p", "5201"]):
            done = host.namespace.run("traceroute", "-n", "-w", "2", "-q", "1", *method, address, timeout=100)
            assert f" 1  {address}" in done.stdout, done.stdout


def test_survives_nmap(host: Host) -> None:
    """A service and operating system scan sends what no well-meaning peer does; afterwards the server still serves."""
    for options in (["-sS"], ["-sV", "--version-light"], ["-O"], ["-sX"], ["-sU"]):
        for address in ADDRESSES:
            version = ["-6"] if ":" in address else []
            if version and "-O" in options:
                continue  # nmap needs an Ethernet neighbour for its IPv6 scan, and a TUN device has none
            ports = "5201" if "-sV" in options else "1-100,5201"
            words = ["nmap", "-n", "-Pn", "-T5", "--max-retries", "1", *version, *options, "-p", ports, address]
            host.namespace.run(*words, timeout=100)
    assert host.program.poll() is None
    for address in ADDRESSES:
        assert host.iperf3(address)["sum_received"] > 1000


def test_the_kernels_congestion_controls(host: Host) -> None:
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    for algorithm in available:
        assert host.iperf3(ADDRESSES[0], "-C", algorithm, "-t", "1")["sum_received"] > 1000, algorithm
