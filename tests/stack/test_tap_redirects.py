"""Redirects between our stack and the kernel's, on one bridge: each takes what the other sends."""

import sys
import time

import pytest

from .test_tap import PROGRAM, wait_for

pytestmark = [pytest.mark.root, pytest.mark.peer("ping")]

FAR = {4: "10.77.0.1", 6: "fd77::1"}
VERSIONS = pytest.mark.parametrize("version", [4, 6])

CALLER = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
user = socket.socket(family, socket.SOCK_DGRAM)
user.settimeout(60)
for number in range(20):
    user.sendto(b"%d" % number, (sys.argv[1], 7))
    assert user.recv(100) == b"%d" % number
    time.sleep(0.05)
print("done")
"""

ECHO = """
import socket
user = socket.create_server(("::", 7), family=socket.AF_INET6, dualstack_ipv6=True)  # so that one can wait for it
user = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
user.bind(("::", 7))
print("up", flush=True)
while True:
    user.sendto(*user.recvfrom(100))
"""


def bridge(hub, other):
    """A bridge in `hub` (number 1) that `other` (number 3) is on; behind that are the far addresses."""
    hub.run("ip", "link", "add", "br0", "type", "bridge")
    hub.run("ip", "link", "add", "port", "type", "veth", "peer", "name", "eth0", "netns", other.name)
    hub.run("ip", "link", "set", "port", "master", "br0", "up")
    hub.run("ip", "link", "set", "br0", "up")
    for namespace, device, number in ((hub, "br0", 1), (other, "eth0", 3)):
        namespace.run("ip", "address", "add", f"10.9.0.{number}/24", "dev", device)
        namespace.run("ip", "address", "add", f"fd09::{number}/64", "dev", device, "nodad")
        namespace.run("ip", "address", "add", f"fe80::{number}/64", "dev", device, "nodad")
    other.run("ip", "link", "set", "eth0", "up")
    for far in FAR.values():
        other.run("ip", "address", "add", far, "dev", "lo")
    echo = other.start(sys.executable, "-c", ECHO)
    assert echo.stdout.readline() == "up\n"


def counter(namespace, name):
    """A counter of the kernel, of either version of IP."""
    found = 0
    for path in ("/proc/net/snmp6", "/proc/net/snmp"):
        text = namespace.run("cat", path).stdout
        if path.endswith("6"):
            found += sum(int(line.split()[1]) for line in text.splitlines() if line.split()[0] == name)
            continue
        lines = text.splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            group = names.split(":")[0]
            table = dict(zip(names.split()[1:], values.split()[1:], strict=True))
            found += sum(int(value) for key, value in table.items() if group + key == name)
    return found


def link_local(hub):
    """The address that our host has made for itself, by which it is a router to others (RFC 4861 6.1.2)."""
    for _ in range(20):
        hub.run("ping", "-c2", "-i0.2", "-W1", "ff02::1%br0", check=False)
        for line in hub.run("ip", "-6", "neighbour", "show", "dev", "br0").stdout.splitlines():
            if line.startswith("fe80") and "02:00:0a:09:00:02" in line:
                return line.split()[0]
    raise AssertionError("no link-local address answers")


@VERSIONS
def test_ours_takes_the_kernels(namespaces, tmp_path, version):
    hub, other = namespaces(), namespaces()
    bridge(hub, other)
    gateway, words = ("10.9.0.1", "10.9.0.2/24") if version == 4 else ("fe80::1", "fd09::2/64")
    hub.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
    hub.run("ip", "route", "add", "10.77.0.0/16", "via", "10.9.0.3")
    hub.run("ip", "-6", "route", "add", "fd77::/16", "via", "fe80::3", "dev", "br0")
    (tmp_path / "caller.py").write_text(CALLER)
    command = ["-m", "catenet", "run", "--net", "tun", "--bridge", "br0", "--address", words, "--gateway", gateway]
    done = hub.run(sys.executable, *command, str(tmp_path / "caller.py"), FAR[version], cwd=tmp_path, timeout=60)
    assert "done" in done.stdout
    sent = counter(hub, "IcmpOutRedirects") + counter(hub, "Icmp6OutRedirects")
    assert 1 <= sent <= 3
    forwarded = counter(hub, "IpForwDatagrams") + counter(hub, "Ip6OutForwDatagrams")
    assert forwarded <= 5  # the first few of twenty: the others went straight


@VERSIONS
def test_the_kernel_takes_ours(namespaces, version):
    hub, other = namespaces(), namespaces()
    bridge(hub, other)
    hub.run("ip", "tuntap", "add", "tap0", "mode", "tap")
    hub.run("ip", "link", "set", "tap0", "master", "br0", "up")
    words = ["tap0", "10.9.0.2/24", "fd09::2/64", "10.77.0.0/16=10.9.0.3", "fd77::/16=fe80::3"]
    child = hub.start(sys.executable, str(PROGRAM), *words, stdin=-1)
    assert child.stdout.readline() == "up\n"
    wait_for(hub, "10.9.0.2")
    wait_for(hub, "fd09::2")
    hub.run("ip", "route", "add", "10.77.0.0/16", "via", "10.9.0.2")
    hub.run("ip", "-6", "route", "add", "fd77::/16", "via", link_local(hub), "dev", "br0")
    # Not a datagram socket: Linux believes redirects for IPv6 about those only when they are bound to a device.
    hub.run("ping", "-c3", "-i0.2", "-W2", FAR[version])
    for _ in range(20):
        way = hub.run("ip", "route", "get", FAR[version]).stdout
        if f"via {'10.9.0.3' if version == 4 else 'fe80::3'} " in way:
            return
        time.sleep(0.1)
    raise AssertionError(way)
