"""The textbook's programs, each on the kernel's sockets and in a lossy world, unmodified."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from catenet.link.properties import LinkProperties
from catenet.wire.address import format_address
from catenet.world import World

pytestmark = pytest.mark.slow(10)

TEXTBOOK = Path(__file__).parents[2] / "examples" / "textbook"


@dataclass
class Program:
    """One program of a scenario; `{server}` and `{port}` stand for where the server is."""

    host: str
    words: Sequence[str]
    start: float = 0.0
    server: bool = False


@dataclass
class Scenario:
    """Programs that talk to each other, and what must be seen: per host, lines in any order among others."""

    programs: Sequence[Program]
    seen: dict[str, Sequence[str]]


def chat(server: str) -> Scenario:
    return Scenario(
        [
            Program("server", [server, "{port}"], server=True),
            Program("ann", ["chat_client.py", "{server}", "{port}", "ann", "--say", "hello", "--seconds", "4"], 0.5),
            Program("ben", ["chat_client.py", "{server}", "{port}", "ben", "--say", "hi all", "--seconds", "3"], 1.0),
        ],
        {"ann": ["ben: hi all"], "ben": ["ann: hello"]},
    )


SCENARIOS = {
    "resolve": Scenario([Program("ann", ["resolve.py", "-4", "localhost"])], {"ann": ["IPv4 127.0.0.1 0"]}),
    "resolve a service": Scenario([Program("ann", ["resolve.py", "-6", "::1", "http"])], {"ann": ["IPv6 ::1 80"]}),
    "upper": Scenario(
        [
            Program("server", ["upper_server.py", "{port}", "2"]),
            Program("ann", ["upper_client.py", "{server}", "{port}", "good", "morning"], 0.5),
            Program("ben", ["upper_client.py", "{server}", "{port}", "x" * 3000], 0.6),
        ],
        {"ann": ["GOOD", "MORNING"], "ben": ["X" * 3000]},
    ),
    "fetch": Scenario(
        [
            Program(
                "server", ["-m", "http.server", "{port}", "--bind", "::", "--directory", str(TEXTBOOK)], server=True
            ),
            Program("ann", ["fetch.py", "{server}", "{port}", "/chat_room.py"], 1.0),
        ],
        {"ann": ["HTTP/1.0 200 OK", "class Room:"]},
    ),
    "udp": Scenario(
        [
            Program("server", ["udp_server.py", "{port}"], server=True),
            Program("ann", ["udp_client.py", "{server}", "{port}", "where am I", "and now"], 0.5),
        ],
        {"ann": ["where am I from {ann}", "and now from {ann}"]},
    ),
    "select": chat("chat_select.py"),
    "poll": chat("chat_poll.py"),
    "epoll": chat("chat_epoll.py"),
}


def free_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        return int(probe.getsockname()[1])


def on_kernel(scenario: Scenario) -> dict[str, str]:
    """Run every program as a process of its own on loopback; return what each host printed."""
    fill = {"server": "127.0.0.1", "port": str(free_port())}
    began, children = time.monotonic(), []
    try:
        for program in sorted(scenario.programs, key=lambda one: one.start):
            time.sleep(max(0.0, began + program.start - time.monotonic()))
            words = [word.format(**fill) if "{" in word else word for word in program.words]
            child = subprocess.Popen(
                [sys.executable, *words], cwd=TEXTBOOK, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            children.append((program, child))
        printed = {program.host: child.communicate(timeout=30)[0] for program, child in children if not program.server}
        assert {program.host: child.returncode for program, child in children if not program.server} == dict.fromkeys(
            printed, 0
        ), printed
    finally:
        for _, child in children:
            child.kill()
            child.communicate()
    return printed


def check(scenario: Scenario, printed: dict[str, str], addresses: dict[str, str]) -> None:
    for host, lines in scenario.seen.items():
        for line in lines:
            assert line.format(**addresses) in printed[host].splitlines(), printed


def on_a_lossy_world(scenario: Scenario, server: str = "server") -> tuple[dict[str, str], World]:
    """Run every program on a host of its own in a simulated internet; return what each host printed."""
    printed: dict[str, list[str]] = {}
    world = World(seed=1, output=lambda host, _, line: printed.setdefault(host, []).append(line), directory=TEXTBOOK)
    for program in scenario.programs:
        fill = {"server": server, "port": "7000"}
        words = [word.format(**fill) if "{" in word else word for word in program.words]
        host = world.host(program.host, link=LinkProperties(latency=0.03, loss=0.02, reorder=0.01))
        host.run(shlex.join(words), start=program.start, daemon=program.server)
    with world:
        world.run(until=300.0)
    return {host: "\n".join(lines) for host, lines in printed.items()}, world


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("version", [4, 6])
def test_in_a_lossy_world(name: str, version: int) -> None:
    scenario = SCENARIOS[name]
    server = {4: "10.0.0.1", 6: "fd00::1"}[version]
    printed, world = on_a_lossy_world(scenario, server)
    own = next(format_address(a) for a in world.addresses("ann") if len(a) == {4: 4, 6: 16}[version])
    check(scenario, printed, {"ann": own})


@pytest.mark.parametrize("name", SCENARIOS)
def test_on_the_kernel(name: str) -> None:
    check(SCENARIOS[name], on_kernel(SCENARIOS[name]), {"ann": "127.0.0.1"})


@pytest.mark.parametrize("group", ["239.7.7.7", "ff02::7:7:7"])
def test_multicast_chat_in_a_world(group: str) -> None:
    """Three members hear each other without a server; a fourth, on another group, hears nothing."""
    members = {name: [group, "--say", f"I am {name}", "--seconds", "10"] for name in ("ann", "ben", "cy")}
    members["dan"] = ["239.9.9.9", "--seconds", "12"]
    scenario = Scenario([Program(name, ["multicast_chat.py", name, *words]) for name, words in members.items()], {})
    printed, _ = on_a_lossy_world(scenario)
    for hearer in ("ann", "ben", "cy"):
        for speaker in ("ann", "ben", "cy"):
            assert f"{speaker}: I am {speaker}" in printed[hearer].splitlines()
    assert "dan" not in printed


def test_names_of_a_world_resolve_for_both_families() -> None:
    scenario = Scenario([Program("ann", ["resolve.py", "ann"]), Program("ben", ["resolve.py", "-4", "ann", "7"])], {})
    printed, world = on_a_lossy_world(scenario)
    both = [("IPv6" if len(a) == 16 else "IPv4", format_address(a)) for a in world.addresses("ann")]
    assert sorted(printed["ann"].splitlines()) == sorted(f"{kind} {text} 0" for kind, text in both)
    assert printed["ben"].splitlines() == [f"{kind} {text} 7" for kind, text in both if kind == "IPv4"]


def test_addresses_are_the_hosts_own() -> None:
    printed, world = on_a_lossy_world(Scenario([Program("ann", ["addresses.py"])], {}))
    for address in world.addresses("ann"):
        assert f" {format_address(address)}/" in printed["ann"], printed
    assert "127.0.0.1/8" in printed["ann"]


def test_addresses_and_names_on_the_kernel() -> None:
    printed = on_kernel(Scenario([Program("ann", ["addresses.py"])], {}))
    assert "127.0.0.1" in printed["ann"]
