import json
import re
import signal
import sys

import pytest

from catenet.cli import main

CATENET = [sys.executable, "-m", "catenet"]


@pytest.fixture
def bridge(namespaces, tmp_path):
    """Start a bridge between two namespaces; ends it and returns them with a function for the figures."""
    left, right = namespaces(), namespaces()
    started = []

    def start(*options):
        child = left.start(
            *CATENET, "bridge", f"l@{left.name}", f"r@{right.name}",
            "--left", "10.9.0.1/24", "--left", "fd09::1/64", "--right", "10.9.0.2/24", "--right", "fd09::2/64",
            "--json", str(tmp_path / "figures.json"), *options,
        )  # fmt: skip
        started.append(child)
        assert child.stdout.readline() == "bridge between l and r is up\n"

        def stop():
            child.send_signal(signal.SIGTERM)
            assert child.wait(10) == 0
            return json.loads((tmp_path / "figures.json").read_text())

        return stop

    return left, right, start


SENDER = """
import socket, sys, time
family, peer, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with socket.socket(family, socket.SOCK_DGRAM) as user:
    for number in range(count):
        user.sendto(number.to_bytes(4, "big"), (peer, 7000))
        time.sleep(0.001)
"""

RECEIVER = """
import socket, sys
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as user:
    user.bind(("::", 7000))
    user.settimeout(1.5)
    print("ready", flush=True)
    got = []
    try:
        while True:
            got.append(int.from_bytes(user.recv(100), "big"))
    except TimeoutError:
        print(len(got), len(set(got)), sum(1 for a, b in zip(got, got[1:]) if b < a))
"""


@pytest.mark.root
@pytest.mark.parametrize(("family", "peer"), [(2, "10.9.0.2"), (10, "fd09::2")])
def test_datagrams_meet_loss_duplication_and_reordering(bridge, family, peer):
    left, right, start = bridge
    stop = start("--loss", "10%", "--duplicate", "10%", "--reorder", "10%", "--latency", "20ms", "--seed", "1")
    receiver = right.start(sys.executable, "-c", RECEIVER)
    assert receiver.stdout.readline() == "ready\n"
    left.run(sys.executable, "-c", SENDER, str(family), peer, "400")
    got, different, out_of_order = map(int, receiver.communicate(timeout=20)[0].split())
    assert 320 < different < 400
    assert got > different
    assert out_of_order > 10
    rightward, leftward = stop()
    assert (rightward["from"], rightward["to"]) == ("l", "r")
    assert rightward["drops"]["loss"] > 20
    assert leftward["from"] == "r"


TRANSFER_SERVER = """
import hashlib, socket
with socket.create_server(("::", 7001), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
    print("ready", flush=True)
    with listener.accept()[0] as peer:
        digest, size = hashlib.sha256(), 0
        while data := peer.recv(65536):
            digest.update(data)
            size += len(data)
        print(size, digest.hexdigest())
"""

TRANSFER_CLIENT = """
import hashlib, random, socket, sys
data = random.Random(3).randbytes(3_000_000)
with socket.create_connection((sys.argv[1], 7001), timeout=30) as peer:
    peer.sendall(data)
print(len(data), hashlib.sha256(data).hexdigest())
"""


@pytest.mark.root
@pytest.mark.parametrize("peer", ["10.9.0.2", "fd09::2"])
def test_the_kernel_s_tcp_gets_through_with_its_bytes_intact(bridge, peer):
    left, right, start = bridge
    stop = start("--loss", "1%", "--corrupt", "1%", "--reorder", "2%", "--latency", "5ms", "--rate", "50Mbit")
    server = right.start(sys.executable, "-c", TRANSFER_SERVER)
    assert server.stdout.readline() == "ready\n"
    sent = left.run(sys.executable, "-c", TRANSFER_CLIENT, peer, timeout=60).stdout
    assert server.communicate(timeout=30)[0] == sent
    assert stop()[0]["corrupted"] > 5


MISTAKES = [
    (["a", "b", "--loss", "200%"], "--loss: '200%' is not from 0 to 1 (0% to 100%)"),
    (["a", "b", "--latency", "5 parsecs"], "--latency: unknown unit of time 'parsecs'"),
    (["a@nowhere-at-all", "b"], "no network namespace 'nowhere-at-all'; make it with: ip netns add nowhere-at-all"),
    (["a" * 16, "b"], "a device name has 1 to 15 characters"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_are_one_line(capsys, words, message):
    assert main(["bridge", *words]) == 2
    shown = capsys.readouterr().err
    assert re.fullmatch(r"catenet: [^\n]*\n", shown)
    assert message in shown
