"""Multicast groups between two hosts, with socat at the other end; and several listeners on one host."""

import subprocess

import pytest
from tests.cli.relaying import CATENET
from tests.peers import tool

GROUPS = ["239.1.2.3", "[ff02::7]"]


@pytest.fixture
def wire(namespaces):
    """Two namespaces with a wire between them."""
    ends = namespaces(), namespaces()
    first, second = (end.name for end in ends)
    veth = ["ip", "link", "add", "eth0", "netns", first, "type", "veth", "peer", "name", "eth0", "netns", second]
    subprocess.run(veth, check=True)
    for number, end in enumerate(ends, 1):
        end.run("ip", "address", "add", f"10.78.0.{number}/24", "dev", "eth0")
        end.run("ip", "-6", "address", "add", f"fe80::{number}/64", "dev", "eth0", "nodad")
        end.run("ip", "link", "set", "eth0", "up")
        end.run("ip", "route", "add", "default", "dev", "eth0")
    return ends


def begun(child):
    """A listener of ours that is in its group."""
    assert child.stdout.readline().startswith("serving relay on mcast://")
    return child


@pytest.mark.root
@pytest.mark.parametrize("group", GROUPS)
def test_ours_sends_and_hears_and_hears_itself_not(wire, group):
    here, there = wire
    words = [f"mcast://{group}:5000", "--interface", "eth0"]
    heard = [begun(end.start(*CATENET, "listen", *words, stdin=subprocess.DEVNULL)) for end in (here, here, there)]
    done = there.run(*CATENET, "connect", *words, input="hello\n")
    assert done.stdout == ""
    assert [child.stdout.readline() for child in heard] == ["hello\n"] * 3
    alone = here.run(*CATENET, "connect", *words, "--no-loopback", input="far\n")
    assert alone.stdout == "" and heard[2].stdout.readline() == "far\n"
    here.run(*CATENET, "connect", *words, input="last\n")
    assert heard[0].stdout.readline() == "last\n"


@pytest.mark.root
def test_socat_hears_ours_and_ours_hears_socat(wire):
    here, there = wire
    options = "UDP4-RECV:5000,ip-add-membership=239.1.2.3:eth0"
    peer = there.start(tool("socat"), "-u", options, "-")
    while "01:00:5e" not in there.run("ip", "maddr", "show", "dev", "eth0").stdout.replace("01:00:5e:00:00:01", ""):
        pass
    there.wait_for_udp(5000)
    here.run(*CATENET, "connect", "mcast://239.1.2.3:5000", "--interface", "eth0", input="from ours\n")
    assert peer.stdout.readline() == "from ours\n"
    ours = begun(here.start(*CATENET, "listen", "mcast://239.1.2.3:5001", "--interface", "eth0", stdin=subprocess.PIPE))
    there.run(tool("socat"), "-u", "-", "UDP4-DATAGRAM:239.1.2.3:5001", input="from socat\n")
    assert ours.stdout.readline() == "from socat\n"


@pytest.mark.root
@pytest.mark.parametrize(("hops", "arrives"), [(None, False), ("3", True)])
def test_hops(wire, hops, arrives):
    """What goes to a group has one hop, as nobody knows how far it would get."""
    here, there = wire
    ours = begun(there.start(*CATENET, "listen", "mcast://239.1.2.3:5000", "--hex", stdin=subprocess.DEVNULL))
    capture = there.start(tool("tcpdump"), "-i", "eth0", "-c", "1", "-v", "-n", "udp port 5000")
    while "listening" not in capture.stdout.readline():
        pass
    words = [] if hops is None else ["--ttl", hops]
    here.run(*CATENET, "connect", "mcast://239.1.2.3:5000", *words, input="x")
    assert f"ttl {hops or 1}" in capture.stdout.readline()
    ours.terminate()
