"""The textbook's programs, each on the kernel's sockets and in a lossy world, unmodified."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

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
            Program("server", ["-m", "http.server", "{port}", "--directory", str(TEXTBOOK)], server=True),
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


@pytest.mark.parametrize("name", SCENARIOS)
def test_on_the_kernel(name: str) -> None:
    check(SCENARIOS[name], on_kernel(SCENARIOS[name]), {"ann": "127.0.0.1"})
