"""Our Ethernet against the kernel's: ARP, neighbour discovery, pings and echoes over a TAP device in a namespace."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "tap_host.py"

pytestmark = pytest.mark.root

ECHO = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
data = bytes(range(256)) * 400
with socket.create_connection((sys.argv[1], 7), timeout=60) as stream:
    stream.settimeout(60)
    got = b""
    for at in range(0, len(data), 1024):
        stream.sendall(data[at : at + 1024])
        while len(got) < at + 1024:
            got += stream.recv(65536)
    stream.shutdown(socket.SHUT_WR)
    assert stream.recv(1) == b""
assert got == data
with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
    datagrams.settimeout(60)
    datagrams.connect((sys.argv[1], 7))
    for size in (0, 1472, 9000, 60000):
        datagrams.send(bytes(size))
        assert datagrams.recv(65536) == bytes(size)
"""


@pytest.fixture
def lan(namespace):
    """A namespace whose kernel has tap0, with our host 10.9.0.2, fd09::2 on the other end."""
    namespace.run("ip", "tuntap", "add", "tap0", "mode", "tap")
    namespace.run("ip", "address", "add", "10.9.0.1/24", "dev", "tap0")
    namespace.run("ip", "address", "add", "fd09::1/64", "dev", "tap0", "nodad")
    namespace.run("ip", "link", "set", "tap0", "up")
    child = namespace.start(sys.executable, str(PROGRAM), "tap0", "10.9.0.2/24", "fd09::2/64", stdin=subprocess.PIPE)
    assert child.stdout.readline() == "up\n"
    return namespace


def wait_for(namespace, target):
    """Ping until duplicate detection is over."""
    for _ in range(20):
        if namespace.run("ping", "-c1", "-W1", target, check=False).returncode == 0:
            return
        time.sleep(0.2)
    raise AssertionError(f"{target} does not answer")


@pytest.mark.peer("ping")
@pytest.mark.parametrize("target", ["10.9.0.2", "fd09::2"])
def test_the_kernel_finds_and_pings_us(lan, target):
    wait_for(lan, target)
    for size in ("0", "1400", "30000"):
        lan.run("ping", "-c2", "-i0.2", "-W2", "-s", size, target)
    (neighbour,) = [
        entry
        for entry in json.loads(lan.run("ip", "-json", "neighbour", "show", "dev", "tap0").stdout)
        if entry["dst"] == target
    ]
    assert neighbour["lladdr"] == "02:00:0a:09:00:02"


@pytest.mark.peer("ping")
@pytest.mark.parametrize("target", ["10.9.0.2", "fd09::2"])
def test_the_kernels_sockets_talk_to_ours(lan, target):
    wait_for(lan, target)
    lan.run(sys.executable, "-c", ECHO, target, timeout=60)


@pytest.mark.peer("ping")
def test_our_link_local_address_answers(lan):
    """Made by autoconfiguration, found by everyone's group; the kernel answers itself too, often first."""
    for _ in range(40):
        lan.run("ping", "-c1", "-W1", "ff02::1%tap0", check=False)
        neighbours = json.loads(lan.run("ip", "-json", "-6", "neighbour", "show", "dev", "tap0").stdout)
        found = [entry["dst"] for entry in neighbours if entry.get("lladdr") == "02:00:0a:09:00:02"]
        if any(dst.startswith("fe80") for dst in found):
            break
        time.sleep(0.2)
    else:
        raise AssertionError(f"no link-local neighbour of ours among {neighbours}")
    wait_for(lan, next(dst for dst in found if dst.startswith("fe80")) + "%tap0")


@pytest.mark.peer("ping")
def test_an_address_that_the_kernel_has_is_left_to_it(namespace):
    namespace.run("ip", "tuntap", "add", "tap0", "mode", "tap")
    namespace.run("ip", "address", "add", "10.9.0.1/24", "dev", "tap0")
    namespace.run("ip", "link", "set", "tap0", "up")
    child = namespace.start(sys.executable, str(PROGRAM), "tap0", "10.9.0.1/24", stdin=subprocess.PIPE)
    assert child.stdout.readline() == "up\n"
    assert child.stdout.readline() == "AddressConflict\n"
    neighbours = json.loads(namespace.run("ip", "-json", "-4", "neighbour", "show", "dev", "tap0").stdout)
    assert not any(entry["dst"] == "10.9.0.1" for entry in neighbours)
    assert namespace.run("ping", "-c1", "-W2", "10.9.0.1").returncode == 0
