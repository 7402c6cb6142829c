"""Our DHCPv4 client and a real server (dnsmasq) on a bridge: renewal, a server that restarts, a lease that runs out."""

import re
import sys
import time

import pytest

pytestmark = [pytest.mark.root, pytest.mark.peer("dnsmasq", "ping"), pytest.mark.slow(300), pytest.mark.timeout(300)]

PROGRAM = """
import socket, time
print("ready", flush=True)
for _ in range(200):
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as user:
            user.connect(("fd05::1", 9))
            print("own", user.getsockname()[0], flush=True)
            break
    except OSError:
        time.sleep(0.2)
time.sleep(600)
"""


@pytest.fixture
def bridged(namespace):
    namespace.run("ip", "link", "add", "br0", "type", "bridge")
    namespace.run("ip", "addr", "add", "10.5.0.1/24", "dev", "br0")
    namespace.run("ip", "addr", "add", "fd05::1/64", "dev", "br0", "nodad")
    namespace.run("ip", "link", "set", "br0", "up")
    return namespace


class Dnsmasq:
    """A real DHCP server and router advertiser on br0."""

    def __init__(self, namespace, folder, lease="2m", first=50, last=60):
        self.namespace, self.folder = namespace, folder
        self.start(lease, first, last)

    def start(self, lease="2m", first=50, last=60):
        self.log = self.folder / "dnsmasq.log"
        self.process = self.namespace.start(
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=br0", "--bind-interfaces",
            f"--dhcp-range=10.5.0.{first},10.5.0.{last},{lease}", "--dhcp-authoritative", "--enable-ra",
            "--dhcp-range=fd05::,ra-only,64,120", "--ra-param=br0,4,120",
            f"--dhcp-leasefile={self.folder / 'leases'}", "--log-dhcp", f"--log-facility={self.log}",
            f"--pid-file={self.folder / 'pid'}", "--user=root",
        )  # fmt: skip
        self.until("DHCP, IP range|started")

    def until(self, pattern, seconds=90, count=1):
        """Wait until the log has so many lines of a kind; returns them."""
        for _ in range(seconds * 10):
            text = self.log.read_text() if self.log.exists() else ""
            found = re.findall(f".*(?:{pattern}).*", text)
            if len(found) >= count:
                return found
            time.sleep(0.1)
        raise AssertionError(f"no {pattern!r} in: {text}")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.unlink()


def host(namespace, folder):
    """Our station, which asks the network for its addresses."""
    (folder / "program.py").write_text(PROGRAM)
    words = ["-m", "catenet", "run", "--net", "tun", "--bridge", "br0", str(folder / "program.py")]
    child = namespace.start(sys.executable, *words)
    for line in child.stdout:
        if "ready" in line:
            return child
    raise AssertionError("the program has ended")


def answers(namespace, address):
    return namespace.run("ping", "-c1", "-W2", address, check=False).returncode == 0


def soon(namespace, address):
    """Whether it answers when probing is over (RFC 5227 2.1: some seconds)."""
    return any(answers(namespace, address) or time.sleep(0.2) for _ in range(20))


def test_a_lease_is_got_and_renewed(bridged, tmp_path):
    """dnsmasq's shortest lease is two minutes: renewal is due after one (RFC 2131 4.4.5)."""
    server = Dnsmasq(bridged, tmp_path)
    host(bridged, tmp_path)
    (given,) = server.until("DHCPACK")[:1]
    asked = len(server.until("DHCPDISCOVER"))
    address = re.search(r"10\.5\.0\.\d+", given)[0]
    assert soon(bridged, address)
    renewed = server.until("DHCPACK", count=2)
    assert address in renewed[1]
    assert len(server.until("DHCPDISCOVER")) == asked  # renewed, not got anew
    assert answers(bridged, address)


def test_a_server_that_knows_nothing_of_us_says_no_and_we_begin_anew(bridged, tmp_path):
    server = Dnsmasq(bridged, tmp_path)
    host(bridged, tmp_path)
    address = re.search(r"10\.5\.0\.\d+", server.until("DHCPACK")[0])[0]
    server.stop()
    (tmp_path / "leases").unlink(missing_ok=True)
    server.start(first=80, last=90)  # the network was renumbered meanwhile
    server.until("DHCPNAK")
    fresh = re.search(r"10\.5\.0\.\d+", server.until("DHCPACK")[0])[0]
    assert fresh != address
    assert soon(bridged, fresh)
    bridged.run("ip", "neigh", "flush", "dev", "br0")
    assert not answers(bridged, address)


def test_a_lease_that_nobody_renews_runs_out(bridged, tmp_path):
    server = Dnsmasq(bridged, tmp_path)
    host(bridged, tmp_path)
    address = re.search(r"10\.5\.0\.\d+", server.until("DHCPACK")[0])[0]
    assert soon(bridged, address)
    server.stop()
    began = time.monotonic()
    while answers(bridged, address):
        assert time.monotonic() - began < 200
        time.sleep(1)
    assert time.monotonic() - began > 60  # not before its time


def test_addresses_of_both_versions_from_one_server(bridged, tmp_path):
    """Router advertisements of a real router: SLAAC with duplicate detection, then reachable by that address."""
    Dnsmasq(bridged, tmp_path)
    for line in host(bridged, tmp_path).stdout:
        if "own fd05:" in line:
            break
    assert soon(bridged, line.split()[-1])
