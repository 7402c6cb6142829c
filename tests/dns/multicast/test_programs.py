"""Programs that offer and find services: in a world, and on Linux beside python-zeroconf."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests import commands

pytestmark = pytest.mark.slow(45)

HERE = Path(__file__).parent
WORLD = """
[link]
latency = "1ms"

[hosts.a]
run = "{here}/offer.py Printer printer 8"

[hosts.b]
run = "{here}/offer.py Printer printer 8"

[hosts.c]
run = "{here}/find.py _printer._sub._http._tcp 2"
start = "200ms"
"""


def test_in_a_world(tmp_path):
    world = tmp_path / "services.toml"
    world.write_text(WORLD.format(here=HERE))
    words = [sys.executable, "-m", "catenet", "run", str(world)]
    done = commands.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split("| ", 1)[1] for line in done.stdout.splitlines() if "| " in line and line[0] in "abc"]
    offered = sorted(line.split(" on ")[0] for line in lines if line.startswith("offers"))
    assert offered == ["offers Printer", "offers Printer (2)"]
    assert sorted(line.split(" on ")[1] for line in lines if line.startswith("offers")) == [
        "printer-2.local.",
        "printer.local.",
    ]
    said = " 8080 {'path': b'/', 'flag': None}"
    for name in ("Printer printer", "Printer (2) printer"):
        for kind in ("found", "gone"):
            assert [one for one in lines if one.startswith(f"{kind} {name}") and one.endswith(said)], (kind, name)
    assert lines.count("addresses True ['_http._tcp']") == 2


PEER = """
import socket, sys
from zeroconf import ServiceBrowser, ServiceInfo, Zeroconf

role, address = sys.argv[1:3]
zeroconf = Zeroconf()


class Listener:
    def add_service(self, zeroconf, kind, name):
        info = zeroconf.get_service_info(kind, name)
        print("found", name, info.server, info.port, info.properties, address in info.parsed_addresses(), flush=True)

    def update_service(self, zeroconf, kind, name):
        pass

    def remove_service(self, zeroconf, kind, name):
        print("gone", name, flush=True)


if role == "offer":
    info = ServiceInfo(
        "_http._tcp.local.", "Printer._http._tcp.local.", addresses=[socket.inet_aton(address)], port=81,
        properties={"a": "b"}, server="other.local.",
    )
    zeroconf.register_service(info, allow_name_change=True)
    print("offers", info.name, flush=True)
else:
    ServiceBrowser(zeroconf, "_http._tcp.local.", Listener())
sys.stdin.readline()
zeroconf.close()
"""


@pytest.fixture
def wire(namespaces):
    """Two namespaces with a wire between them."""
    pytest.importorskip("zeroconf")
    ends = namespaces(), namespaces()
    first, second = (end.name for end in ends)
    veth = ["ip", "link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second]
    commands.run(veth, check=True)
    for number, end in enumerate(ends, 1):
        end.run("ip", "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
        end.run("ip", "-6", "address", "add", f"fd77::{number}/64", "dev", "eth0", "nodad")
        end.run("ip", "link", "set", "eth0", "up")
        end.run("ip", "route", "add", "default", "dev", "eth0")
    end = time.monotonic() + 60
    while any("tentative" in one.run("ip", "-6", "address").stdout for one in ends) and time.monotonic() < end:
        time.sleep(0.1)
    return ends


def until(child, text):
    """The lines of a program up to one that begins with this."""
    lines = []
    for line in child.stdout:
        lines.append(line.rstrip())
        if line.startswith(text):
            return lines
    raise AssertionError(f"no line {text!r} in {lines}")


@pytest.mark.root
def test_zeroconf_finds_ours(wire):
    here, there = wire
    peer = there.start(sys.executable, "-c", PEER, "browse", "10.77.0.1", stdin=subprocess.PIPE)
    ours = here.start(sys.executable, str(HERE / "offer.py"), "Printer", "printer", "3")
    assert until(ours, "offers")[-1] == "offers Printer on printer.local."
    expected = "found Printer._http._tcp.local. printer.local. 8080 {b'path': b'/', b'flag': None} True"
    assert until(peer, "found")[-1] == expected
    assert until(peer, "gone")[-1] == "gone Printer._http._tcp.local."


@pytest.mark.root
@pytest.mark.parametrize("same_host", [False, True])
def test_ours_finds_zeroconf_and_leaves_it_its_name(wire, same_host):
    here, there = wire
    place = here if same_host else there
    address = "10.77.0.1" if same_host else "10.77.0.2"
    peer = place.start(sys.executable, "-c", PEER, "offer", address, stdin=subprocess.PIPE)
    assert until(peer, "offers")[-1] == "offers Printer._http._tcp.local."
    finder = there.start(sys.executable, str(HERE / "find.py"), "_http._tcp", "2")
    lines = until(finder, "addresses")
    assert lines == [
        "found Printer other.local. 81 {'a': b'b'}",
        "resolved Printer 81",
        "addresses True ['_http._tcp']",
    ]
    ours = here.start(sys.executable, str(HERE / "offer.py"), "Printer", "printer", "3")
    assert until(ours, "offers")[-1] == "offers Printer (2) on printer.local."
    assert until(finder, "found")[-1].startswith("found Printer (2) printer.local. 8080")
    assert until(finder, "gone")[-1].startswith("gone Printer (2)")
    peer.stdin.write("\n")
    peer.stdin.flush()
    assert until(finder, "gone")[-1].startswith("gone Printer other.local.")


@pytest.mark.root
def test_zeroconf_takes_another_name_than_ours(wire):
    here, there = wire
    ours = here.start(sys.executable, str(HERE / "offer.py"), "Printer", "printer", "20")
    until(ours, "offers")
    peer = there.start(sys.executable, "-c", PEER, "offer", "10.77.0.2", stdin=subprocess.PIPE)
    assert until(peer, "offers")[-1] == "offers Printer-2._http._tcp.local."


@pytest.mark.root
def test_two_of_ours_on_one_host(wire):
    here, _ = wire
    first = here.start(sys.executable, str(HERE / "offer.py"), "Printer", "printer", "6")
    until(first, "offers")
    second = here.start(sys.executable, str(HERE / "offer.py"), "Printer", "printer", "2", "8081")
    # One host, one name: the addresses are the same, so that is no conflict.
    assert until(second, "offers")[-1] == "offers Printer (2) on printer.local."
