"""`catenet ping` and `catenet trace`: in a world of two routers, and beside ping and traceroute on the kernel."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise

import pytest
from tests import commands
from tests.commands import CATENET

WORLD = """
[link]
latency = "5ms"

[[networks]]
name = "home"
address = ["10.1.0.0/24", "fd01::/64"]

[[networks]]
name = "transit"
address = ["10.2.0.0/24", "fd02::/64"]

[[networks]]
name = "far"
address = ["10.3.0.0/24", "fd03::/64"]

[routers.one]
networks = ["home", "transit"]

[routers.two]
networks = ["transit", "far"]

[hosts.client]
network = "home"
run = "catenet WORDS"

[hosts.server]
network = "far"
mtu = 1400
"""
ADDRESS = {4: "10.3.0.1", 6: "fd03::1"}
FIRST = {4: "10.1.0.2", 6: "fd01::2"}
SECOND = {4: "10.2.0.2", 6: "fd02::2"}
both = pytest.mark.parametrize("version", [4, 6])


def in_a_world(tmp_path, words):
    """Status and lines of one command on the client."""
    (tmp_path / "a.toml").write_text(WORLD.replace("WORDS", words))
    figures = tmp_path / "figures"
    done = commands.run(
        [*CATENET, "run", "a.toml", "--json", str(figures)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    status = json.loads(figures.read_text())["processes"][0]["exit_status"]
    return status, [line.partition("| ")[2] for line in done.stdout.splitlines() if line.startswith("client")]


@both
def test_ping_of_a_host_behind_two_routers(tmp_path, version):
    status, lines = in_a_world(tmp_path, f"ping -{version} -c 2 -i 100ms server")
    assert status == 0
    assert lines == [
        f"ping server ({ADDRESS[version]}): 56 bytes of data",
        f"64 bytes from {ADDRESS[version]}: seq=1 ttl=62 time=60.000 ms",
        f"64 bytes from {ADDRESS[version]}: seq=2 ttl=62 time=60.000 ms",
        "2 sent, 2 received, 0 errors, 0% lost, 0.160 s",
        "round trip min/avg/max/mdev = 60.000/60.000/60.000/0.000 ms",
    ]


@both
def test_ping_tells_what_routers_say(tmp_path, version):
    status, lines = in_a_world(tmp_path, f"ping -{version} -c 1 -t 1 --json server")
    [row] = json.loads(lines[0])["rows"]
    assert status == 1
    assert row == {"seq": 1, "from": FIRST[version], "error": "hop limit exceeded in transit"}
    status, lines = in_a_world(tmp_path, f"ping -{version} -c 2 -M -s 1452 --json server")
    rows = json.loads(lines[0])["rows"]
    assert status == 1
    assert rows[0] == {"seq": 1, "from": SECOND[version], "error": "packet too big: the path MTU is 1400"}
    assert rows[1] == {"seq": 2, "from": None, "error": "message too long: the path MTU is 1400"}


@both
def test_ping_of_nobody(tmp_path, version):
    nobody = {4: "10.3.0.99", 6: "fd03::99"}[version]
    status, lines = in_a_world(tmp_path, f"ping -c 2 -W 500ms --json {nobody}")
    facts = json.loads(lines[0])
    assert status == 1
    assert (facts["sent"], facts["received"], facts["rtt"], facts["rows"]) == (2, 0, None, [])


@both
@pytest.mark.parametrize("how", ["", "--icmp "])
def test_trace_finds_the_routers(tmp_path, version, how):
    status, lines = in_a_world(tmp_path, f"trace -{version} {how}server")
    assert status == 0
    assert lines == [
        f"trace to server ({ADDRESS[version]}), 30 hops at most",
        f" 1  one ({FIRST[version]})  20.000 ms  20.000 ms  20.000 ms",
        f" 2  two ({SECOND[version]})  40.000 ms  40.000 ms  40.000 ms",
        f" 3  server ({ADDRESS[version]})  60.000 ms  60.000 ms  60.000 ms",
    ]


@both
def test_trace_finds_the_path_mtu(tmp_path, version):
    status, lines = in_a_world(tmp_path, f"trace -{version} --mtu -n -q 1 --json server")
    facts = json.loads(lines[0])
    assert status == 0
    assert facts["mtu"] == 1400
    assert facts["reached"]
    seen = [(hop["hop"], (hop["probes"][0]["address"], hop["probes"][0].get("mtu"))) for hop in facts["hops"]]
    assert seen[:2] == [(1, (FIRST[version], None)), (2, (SECOND[version], None))]
    assert seen[-1] == (3, (ADDRESS[version], None))
    assert {each["mtu"] for hop in facts["hops"] for each in hop["probes"] if "mtu" in each} == {1400}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("ping -c 0 ::1", "--count: 1 or more"),
        ("ping -s 70000 ::1", "--size: 0 to 65507"),
        ("ping -t 256 ::1", "--ttl: 1 to 255"),
        ("ping -W 0 ::1", "--interval and --timeout: more than 0 s"),
        ("trace -f 9 -m 3 ::1", "--first and --max: 1 to 255, the first not behind the last"),
        ("trace -q 11 ::1", "--probes: 1 to 10"),
    ],
)
def test_a_mistake_is_one_line(words, complaint):
    done = commands.run([*CATENET, *words.split()], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, f"catenet: {complaint}\n")


@pytest.fixture
def path(namespaces):
    """Namespaces in a row: a client, two routers, a server behind a link with a smaller MTU."""
    row = [namespaces() for _ in range(4)]
    for number, (one, other) in enumerate(pairwise(row), 1):
        one.run("ip", "link", "add", "right", "type", "veth", "peer", "name", "left", "netns", other.name)
        for where, device, host in ((one, "right", 1), (other, "left", 2)):
            where.run("ip", "addr", "add", f"10.{number}.0.{host}/24", "dev", device)
            where.run("ip", "addr", "add", f"fd0{number}::{host}/64", "dev", device, "nodad")
            where.run("ip", "link", "set", device, "up", *(["mtu", "1400"] if number == 3 else []))
    for number, each in enumerate(row):
        for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            each.run("sysctl", "-qw", f"{name}=1")
        for name in ("net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"):  # one program after the other is told all
            each.run("sysctl", "-qw", f"{name}=0")
        for network in range(1, 4):
            if number < network - 1:
                each.run("ip", "route", "add", f"10.{network}.0.0/24", "via", f"10.{number + 1}.0.2")
                each.run("ip", "-6", "route", "add", f"fd0{network}::/64", "via", f"fd0{number + 1}::2")
            if number > network:
                each.run("ip", "route", "add", f"10.{network}.0.0/24", "via", f"10.{number}.0.1")
                each.run("ip", "-6", "route", "add", f"fd0{network}::/64", "via", f"fd0{number}::1")
    return row[0]


@pytest.mark.root
@pytest.mark.peer
@both
def test_on_the_kernel_it_sees_what_ping_and_traceroute_see(path, version):
    if not (shutil.which("ping") and shutil.which("traceroute")):
        pytest.skip("needs ping and traceroute")
    far = {4: "10.3.0.2", 6: "fd03::2"}[version]
    theirs = path.run("ping", f"-{version}", "-n", "-c", "2", "-i", "0.2", far).stdout
    ours = json.loads(path.run(*CATENET, "ping", "-c", "2", "-i", "200ms", "--json", far).stdout)
    heard = [(int(number), int(ttl)) for number, ttl in re.findall(r"icmp_seq=(\d+) ttl=(\d+)", theirs)]
    assert heard == [(row["seq"], row["ttl"]) for row in ours["rows"]]
    assert len(heard) == 2
    theirs = path.run("traceroute", f"-{version}", "-n", far).stdout
    hops = re.findall(r"^ *\d+ +([0-9a-f.:]+)", theirs, re.MULTILINE)
    for how in ([], ["--icmp"]):
        ours = json.loads(path.run(*CATENET, "trace", "-n", "--json", *how, far).stdout)
        assert [hop["probes"][0]["address"] for hop in ours["hops"]] == hops
        assert ours["reached"]
    assert len(hops) == 3
    ours = json.loads(path.run(*CATENET, "trace", "--mtu", "-q", "1", "-n", "--json", far).stdout)
    assert ours["mtu"] == 1400
    assert ours["reached"]
