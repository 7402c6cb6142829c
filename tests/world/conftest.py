"""Worlds for tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catenet.world import World

PROGRAMS = Path(__file__).parent / "programs"


class Internet:
    """A lossy world of a server and a client whose lines are kept."""

    def __init__(self, seed: int = 1) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.world = World(
            seed, directory=PROGRAMS, output=lambda host, stream, line: self.lines.append((host, stream, line))
        )
        self.server = self.world.host("server")
        self.client = self.world.host("client")
        for name in ("server", "client"):
            self.world.link(name, latency="15ms", loss="1%", reorder="0.5%")

    def url(self, version: int, port: int = 80, scheme: str = "http") -> str:
        """URL of the server by its address of one version."""
        address = self.address(version)
        return f"{scheme}://{f'[{address}]' if version == 6 else address}:{port}"

    def address(self, version: int) -> str:
        """The server's address of one version."""
        return "10.0.0.1" if version == 4 else "fd00::1"

    def printed(self, host: str, stream: str = "stdout") -> list[str]:
        """Lines that a host has printed."""
        return [line for name, kind, line in self.lines if (name, kind) == (host, stream)]

    def run(self, until: float = 600.0) -> None:
        """Run until the clients have ended."""
        self.world.run(until)
        assert all(process.status == 0 for process in self.world.processes if not process.daemon), self.lines


@pytest.fixture
def internet() -> Iterator[Internet]:
    """Two hosts, 30 ms apart, 2 % loss, 1 % reordering."""
    net = Internet()
    with net.world:
        yield net


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def version(request: pytest.FixtureRequest) -> int:
    """Version of IP."""
    return int(request.param)
