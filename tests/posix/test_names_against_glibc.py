"""glibc is the oracle: the same calls with the same name servers, in a network namespace and in a world.

Compared are results, errors, and what the servers were asked, in order. glibc has a second for each silence, so its
part runs for all cases at once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.conftest import Namespace
from tests.posix.name_server_cases import CASES, Case

from catenet.wire.dns.resolv_conf import parse_resolv_conf
from catenet.world import World

pytestmark = pytest.mark.slow(60)

PROGRAMS = Path(__file__).parent / "programs"
CLIENT = ("10.0.0.1/24", "fd00::1/64")
CLOSED = ("10.0.0.98", "10.0.0.99")
SERVERS = ("10.0.0.53", "10.0.0.54", "10.0.0.55", "fd00::53")
HOSTS = "127.0.0.1 localhost\n::1 localhost\n10.0.0.1 client\nfd00::1 client\n"
GAI_CONF = """
label ::1/128 0
label ::/0 1
label ::ffff:0:0/96 4
label 2002::/16 2
label 2001::/32 5
label fc00::/7 13
label ::/96 3
label fec0::/10 11
label 3ffe::/16 12
precedence ::1/128 50
precedence ::/0 40
precedence ::ffff:0:0/96 35
precedence 2002::/16 30
precedence 2001::/32 5
precedence fc00::/7 3
precedence ::/96 1
precedence fec0::/10 1
precedence 3ffe::/16 1
"""
"""The table of RFC 6724 2.1; glibc's own is still that of RFC 3484."""
FILES = {"resolv.conf": "", "hosts": HOSTS, "nsswitch.conf": "hosts: files dns\n", "gai.conf": GAI_CONF}
AT_ONCE = 16


class Result(NamedTuple):
    """What a program got, and what the servers were asked."""

    outcome: Any
    queries: list[str]


def of_case(case: Case, log: list[str]) -> list[str]:
    """The queries of one case: those for names with its label, and for the address that it asks for."""
    address = case.call[1][0] if isinstance(case.call[1], tuple) else case.call[1]
    reverse = ".".join(reversed(str(address).split("."))) + ".in-addr.arpa"
    names = {key.split()[0] for key in case.script} | {reverse}
    return [line for line in log if case.label in line.split()[2].split(".") or line.split()[2] in names]


@pytest.fixture(scope="module")
def glibc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Result]]:
    """What glibc makes of all cases."""
    folder = tmp_path_factory.mktemp("glibc")
    namespace = Namespace(f"catenet-names-{os.getpid()}")
    try:
        namespace.create()
        _configure(namespace)
        script = {key: value for case in CASES for key, value in case.script.items()}
        (folder / "script.json").write_text(json.dumps(script))
        log = folder / "log"
        child = namespace.start(
            sys.executable, str(PROGRAMS / "scripted_server.py"), str(folder / "script.json"), str(log), *SERVERS
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "serving\n"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(lambda case: _ask_glibc(namespace, folder, case), CASES))
        lines = log.read_text().splitlines()
        yield {case.name: Result(outcome, of_case(case, lines)) for case, outcome in zip(CASES, outcomes, strict=True)}
    finally:
        namespace.close()


def _configure(namespace: Namespace) -> None:
    """A device with the client's addresses, and servers behind none: no device of two ends is needed."""
    namespace.run("ip", "tuntap", "add", "dev", "near", "mode", "tap")
    for address in CLIENT:
        namespace.run("ip", "address", "add", address, "dev", "near", *(["nodad"] if ":" in address else []))
    namespace.run("ip", "link", "set", "near", "up")
    for version in ("-4", "-6"):
        namespace.run("ip", version, "route", "add", "default", "dev", "near")
    for address in (*SERVERS, *CLOSED):
        length = 128 if ":" in address else 32
        namespace.run("ip", "address", "add", f"{address}/{length}", "dev", "lo")


def _ask_glibc(namespace: Namespace, folder: Path, case: Case) -> Any:
    """Run a call with files of its own in /etc, which nobody else sees: the mount namespace ends with the program."""
    own = folder / case.label
    own.mkdir()
    for name, text in {**FILES, "resolv.conf": case.resolv_conf}.items():
        (own / name).write_text(text)
    mounts = " && ".join(f"mount --bind '{own / name}' /etc/{name}" for name in FILES)
    arguments = [json.dumps(each) for each in case.arguments[1:]]
    program = [sys.executable, "-I", str(PROGRAMS / "ask_names.py"), case.arguments[0], *arguments]
    words = ["unshare", "-m", "sh", "-c", f'{mounts} && exec "$@"', "sh", *program]
    return json.loads(namespace.run(*words).stdout)


def ask_in_world(case: Case, folder: Path) -> Result:
    """The same on a host of a world."""
    (folder / "script.json").write_text(json.dumps(case.script))
    lines: list[str] = []
    with World(1, directory=PROGRAMS, output=lambda host, stream, line: lines.append(line)) as world:
        client = world.host("client", CLIENT)
        world.host("server", [*SERVERS, *CLOSED]).run(
            ["scripted_server.py", str(folder / "script.json"), str(folder / "log"), *SERVERS], daemon=True
        )
        client.use_name_servers(parse_resolv_conf(case.resolv_conf), _Hosts())
        arguments = [json.dumps(each) for each in case.arguments[1:]]
        client.run(["ask_names.py", case.arguments[0], *arguments], start=1.0)
        world.run(1000)
    lines.remove("serving")
    assert len(lines) == 1, lines
    return Result(json.loads(lines[0]), (folder / "log").read_text().splitlines())


class _Hosts:
    """The table of /etc/hosts above."""

    def addresses_of(self, name: str) -> list[bytes]:
        return [bytes((10, 0, 0, 1)), b"\xfd" + bytes(14) + b"\1"] if name == "client" else []

    def name_of(self, address: bytes) -> str | None:
        return "client" if address in self.addresses_of("client") else None

    def entries(self) -> Iterable[tuple[str, list[bytes]]]:
        return [("client", self.addresses_of("client"))]


@pytest.mark.root
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_names_are_found_as_glibc_finds_them(case: Case, glibc: dict[str, Result], tmp_path: Path) -> None:
    ours, theirs = ask_in_world(case, tmp_path), glibc[case.name]
    assert ours.outcome == theirs.outcome
    assert _in_turn(ours.queries) == _in_turn(theirs.queries)


def _in_turn(queries: list[str]) -> dict[tuple[str, str], list[str]]:
    """The queries of each type and transport, in order.

    A and AAAA are asked for at once, so a truncated answer to one brings TCP before the server has read the other's
    datagram: what comes first of different types or sockets is the machine's.
    """
    turns: dict[tuple[str, str], list[str]] = {}
    for query in queries:
        words = query.split()
        turns.setdefault((words[-1], words[1]), []).append(query)
    return turns
