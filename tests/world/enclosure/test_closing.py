"""A closed process gets nowhere: by no system call, as nobody and as root, and where namespaces are forbidden."""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.world.enclosure.outside import Outside, outside

HERE = Path(__file__).parent
WAYS = 150
"""There are more; fewer means that the list was not read."""


def as_somebody(situation: str) -> list[str]:
    """The command that executes another one in a situation (`situation.py`)."""
    return [] if situation == "here" else [sys.executable, str(HERE / "situation.py"), situation]


def try_all(situation: str, place: Outside) -> dict[str, Any]:
    """Let a closed process try its ways out and return what came of it."""
    with socket.create_connection(("127.0.0.1", place.port)) as connection, socket.socket(socket.AF_UNIX) as listener:
        place.tcp.setblocking(True)
        peer = place.tcp.accept()[0]
        place.tcp.setblocking(False)
        listener.bind(str(place.folder / "socket.inherited"))
        listener.listen()
        network, folder = os.open("/proc/self/ns/net", os.O_RDONLY), os.open("/", os.O_RDONLY)
        mine, standard_input = socket.socketpair()
        with peer, mine, standard_input, socket.socket() as passed:
            socket.send_fds(mine, [b"take"], [passed.fileno()])
            inherited = [network, folder, connection.fileno(), listener.fileno()]
            done = subprocess.run(
                [
                    *as_somebody(situation),
                    *(sys.executable, str(HERE / "ways_by_calls.py")),
                    json.dumps({**place.facts(), "inherited": inherited}),
                ],
                stdin=standard_input,
                stdout=subprocess.PIPE,
                pass_fds=inherited,
                timeout=120,
                check=True,
            )
            os.close(network)
            os.close(folder)
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(10)  # nothing came by the descriptor that was handed down, and it is closed by all but us
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "situation",
    ["here", *(pytest.param(name, marks=pytest.mark.root) for name in ("nobody", "container", "container-nobody"))],
)
def test_no_system_call_leads_out(situation: str) -> None:
    with outside() as place:
        found = try_all(situation, place)
        assert {name: what for name, what in found["ways"].items() if what.startswith("OPEN")} == {}
        assert len(found["ways"]) > WAYS
        assert place.visitors() == []
        assert "a filter of system calls" in found["closed"], found["why"]
        if situation == "nobody":
            assert "a network namespace" in found["closed"], found["why"]
        if situation.startswith("container"):
            assert "a network namespace" not in found["closed"]


def test_without_closing_the_same_ways_are_open() -> None:
    """Or the test above would show nothing."""
    program = (
        "import sys; sys.argv[1:] = [sys.argv[1]]; import ways_by_calls as ways\n"
        "names = ['a_new_connection', 'a_datagram', 'a_unix_socket', 'an_abstract_socket', 'half_a_pair', 'fork',"
        " 'bash', 'system_of_c', 'another_thread']\n"
        "[ways.ways[name]() for name in names]"
    )
    with outside() as place:
        facts = json.dumps({**place.facts(), "inherited": []})
        subprocess.run([sys.executable, "-c", program, facts], cwd=HERE, timeout=120, check=True)
        came = set()
        while new := place.visitors():
            came |= {each.partition(" ")[0] for each in new}
        assert came == {"tcp", "udp", "unix", "hidden", "datagrams"}


def test_descriptors_in_messages() -> None:
    """How the test above hands one over: it would get there."""
    one, other = socket.socketpair()
    with one, other, socket.socket() as passed:
        socket.send_fds(one, [b"take"], [passed.fileno()])
        message, ancillary, _, _ = other.recvmsg(9, socket.CMSG_SPACE(4))
        number = array.array("i", ancillary[0][2])[0]
        os.close(number)
        assert message == b"take"
