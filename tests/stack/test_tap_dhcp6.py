"""Our DHCPv6 client and dnsmasq on a bridge; dhclient and dhcpcd, and our servers of both versions on a TAP device."""

import re
import sys
import time
from pathlib import Path

import pytest
from tests.peers import environment, tool

pytestmark = [pytest.mark.root, pytest.mark.slow(60), pytest.mark.timeout(240)]

CLIENT = """
import time
print("ready", flush=True)
for line in open("/etc/resolv.conf"):
    print(line.strip(), flush=True)
time.sleep(600)
"""
SERVER = Path(__file__).parent / "programs" / "dhcp_server.py"


def until(what, seconds=60):
    """What comes of a condition as soon as it holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


def text_of(path):
    return path.read_text(errors="replace") if path.exists() else ""


# Our client.


def dnsmasq(namespace, folder, *options):
    namespace.run("ip", "link", "add", "br0", "type", "bridge")
    namespace.run("ip", "addr", "add", "fd05::1/64", "dev", "br0", "nodad")
    namespace.run("ip", "link", "set", "br0", "up")
    log = folder / "dnsmasq.log"
    namespace.start(
        "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=br0", "--bind-interfaces",
        "--enable-ra", "--ra-param=br0,4,120", f"--dhcp-leasefile={folder / 'leases'}", "--log-dhcp",
        f"--log-facility={log}", f"--pid-file={folder / 'pid'}", "--user=root",
        "--dhcp-option=option6:dns-server,[fd05::53]", "--dhcp-option=option6:domain-search,home.example",
        "--log-debug", *options,
    )  # fmt: skip
    until(lambda: re.search("started", text_of(log)))
    return log


def host(namespace, folder):
    (folder / "program.py").write_text(CLIENT)
    words = ["-m", "catenet", "run", "--net", "tun", "--bridge", "br0", str(folder / "program.py")]
    child = namespace.start(sys.executable, *words)
    lines = []
    for line in child.stdout:
        lines.append(line)
        if "search" in line:
            break
    return child, "".join(lines)


@pytest.mark.peer("dnsmasq", "ping")
def test_an_address_from_dnsmasq_and_its_renewal(namespace, tmp_path):
    """dnsmasq's shortest lease is two minutes: renewal is due after one."""
    log = dnsmasq(namespace, tmp_path, "--dhcp-range=fd05::50,fd05::60,64,2m")
    _, told = host(namespace, tmp_path)
    assert "nameserver fd05::53" in told
    assert "home.example" in told
    given = until(lambda: re.search(r"DHCPREPLY\(br0\) (fd05::[0-9a-f]+)", text_of(log)))[1]
    until(lambda: namespace.run("ping", "-c1", "-W1", given, check=False).returncode == 0)
    until(lambda: "DHCPRENEW" in text_of(log) and len(re.findall(rf"DHCPREPLY\(br0\) {given}", text_of(log))) >= 2, 120)


@pytest.mark.peer("dnsmasq")
def test_name_servers_alone_from_dnsmasq(namespace, tmp_path):
    log = dnsmasq(namespace, tmp_path, "--dhcp-range=fd05::,ra-stateless,64,2m")
    _, told = host(namespace, tmp_path)
    assert "nameserver fd05::53" in told
    assert "DHCPINFORMATION-REQUEST" in text_of(log)
    assert "DHCPSOLICIT" not in text_of(log)


# Our servers.


class Served:
    """Our servers behind the TAP device tap9, and a namespace in which a client of others runs."""

    def __init__(self, namespace, folder, lifetime):
        self.namespace, self.folder = namespace, folder
        namespace.run("ip", "tuntap", "add", "tap9", "mode", "tap")
        namespace.run("ip", "link", "set", "tap9", "up")
        self.log = folder / "server.log"
        self.server = namespace.start(sys.executable, str(SERVER), "tap9", str(lifetime), stdout=self.log.open("w"))
        until(lambda: "up" in text_of(self.log))
        until(lambda: "tentative" not in namespace.run("ip", "-6", "addr", "show", "dev", "tap9").stdout)

    def lines(self):
        return text_of(self.log).split("\n")

    def addresses(self):
        return re.findall(r"inet6? (fd09::5[0-9a-f]|10\.9\.0\.5\d)/", self.namespace.run("ip", "addr").stdout)


def dhclient(served, version, *words):
    """Runs with a script of its own that sets and removes the address, and writes down what it was told."""
    script = served.folder / "script"
    script.write_text(
        "#!/bin/sh\nenv | grep -E '^(reason|new_|old_)' >> $told; echo >> $told\n"
        'case $reason in BOUND*) test -n "$new_ip6_address" && ip addr add $new_ip6_address/128 dev tap9\n'
        'test -n "$new_ip_address" && ip addr add $new_ip_address/24 dev tap9;;\n'
        'RELEASE*|EXPIRE*) test -n "$old_ip6_address" && ip addr del $old_ip6_address/128 dev tap9\n'
        'test -n "$old_ip_address" && ip addr del $old_ip_address/24 dev tap9;; esac\nexit 0\n'
    )
    script.chmod(0o755)
    folder = served.folder
    return [
        tool("dhclient"), f"-{version}", "-sf", str(script), "-lf", str(folder / f"leases{version}"),
        "-pf", str(folder / f"pid{version}"), "-cf", "/dev/null", "-e", f"told={folder / 'told'}", *words, "tap9",
    ]  # fmt: skip


@pytest.mark.parametrize("version", [4, 6])
def test_dhclient_gets_renews_and_releases_an_address(namespace, tmp_path, version):
    served = Served(namespace, tmp_path, lifetime=24)
    words = dhclient(served, version, "-1", "-d")
    client = namespace.start(*words, env=environment(), stdout=(tmp_path / "client.log").open("w"))
    until(served.addresses)
    told = text_of(tmp_path / "told")
    for expected in {4: ("routers=10.9.0.1", "10.9.0.53"), 6: ("fd09::53", "home.example")}[version]:
        assert expected in told
    renewal = {4: "v4 3 -> 5", 6: "v6 5 -> 7"}[version]
    until(lambda: served.lines().count(renewal) >= (2 if version == 4 else 1))
    client.terminate()
    client.wait(20)
    namespace.run(*dhclient(served, version, "-r"), env=environment())
    until(lambda: f"v{version} {7 if version == 4 else 8}" in text_of(served.log))


def test_dhcpcd_gets_addresses_of_both_versions(namespace, tmp_path):
    """It keeps files in fixed places, which are the test's own here."""
    served = Served(namespace, tmp_path, lifetime=600)
    config = tmp_path / "dhcpcd.conf"
    config.write_text("duid\nnoipv6rs\nia_na\nscript /bin/true\n")
    own = "mount -t tmpfs none /var/lib && mount -t tmpfs none /run && mkdir /run/dhcpcd && exec "
    command = f"{own}{tool('dhcpcd')} -f {config} -B -d tap9"
    log = tmp_path / "client.log"
    client = namespace.start("sh", "-c", command, env=environment(), stdout=log.open("w"))
    found = until(lambda: len(served.addresses()) >= 2 and served.addresses())
    assert {":" in address for address in found} == {True, False}
    client.terminate()
    client.wait(20)
    lines = served.lines()
    assert {"v4 3 -> 5", "v6 1 -> 7"} <= set(lines) or {"v4 3 -> 5", "v6 3 -> 7"} <= set(lines)
