import json
import socket
import sys

import pytest
from tests import commands

from catenet.cli import main

CATENET = [sys.executable, "-m", "catenet"]


def test_addrs_shows_this_machine_s_loopback(capsys):
    assert main(["addrs", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    names = {name for _, name in socket.if_nameindex()}
    assert set(rows) == names
    loopback = next(row for row in rows.values() if "LOOPBACK" in row["flags"])
    shown = next(one for one in loopback["addresses"] if one["address"] == "127.0.0.1")
    assert (shown["prefix_length"], shown["version"], shown["scope"]) == (8, 4, "host")
    assert loopback["mtu"] >= 16384
    assert main(["addrs"]) == 0
    assert "127.0.0.1/8" in capsys.readouterr().out


def test_a_line_for_each_address(capsys):
    assert main(["addrs", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert main(["addrs", "-1"]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert [line.split()[:3] for line in out.splitlines()] == [
        [row["name"], f"{one['address']}/{one['prefix_length']}", one["scope"]]
        for row in rows
        for one in row["addresses"]
    ]
    assert "127.0.0.1/8 host" in out
    assert main(["addrs", "-1", "--json"]) == 2


@pytest.mark.root
def test_addrs_agrees_with_the_ip_command(namespace):
    namespace.run("ip", "link", "add", "v0", "mtu", "1280", "type", "veth", "peer", "name", "v1")
    namespace.run("ip", "addr", "add", "192.0.2.7/25", "dev", "v0")
    namespace.run("ip", "addr", "add", "2001:db8::7/64", "dev", "v0", "nodad")
    namespace.run("ip", "link", "set", "v0", "up")
    ours = json.loads(namespace.run(*CATENET, "addrs", "--json").stdout)
    theirs = json.loads(namespace.run("ip", "-j", "addr").stdout)
    assert [(row["index"], row["name"], row["mtu"]) for row in ours] == [
        (row["ifindex"], row["ifname"], row["mtu"]) for row in theirs
    ]
    for our, their in zip(ours, theirs, strict=True):
        # The command says NO-CARRIER for what is up and not RUNNING.
        assert set(our["flags"]) - {"RUNNING"} == set(their["flags"]) - {"NO-CARRIER", "M-DOWN"}
        assert [(a["address"], a["prefix_length"], a["scope"]) for a in our["addresses"]] == [
            (a["local"], a["prefixlen"], a["scope"]) for a in their["addr_info"]
        ]
        assert our["hardware"] in (their["address"], "")


def test_addrs_inside_a_simulated_host_shows_that_host_s(tmp_path):
    (tmp_path / "world.toml").write_text(
        "[hosts.a]\nrun = '-m catenet addrs --json'\naddress = ['10.7.7.7/24', 'fd07::7/64']\nmtu = 1300\n"
    )
    words = [*CATENET, "run", tmp_path / "world.toml"]
    done = commands.run(words, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    printed = "\n".join(line[8:] for line in done.stdout.splitlines() if line.startswith("a     | "))
    rows = {row["name"]: row for row in json.loads(printed)}
    assert rows["eth0"]["mtu"] == 1300
    assert [(one["address"], one["prefix_length"], one["scope"]) for one in rows["eth0"]["addresses"]] == [
        ("10.7.7.7", 24, "global"),
        ("fd07::7", 64, "global"),
        ("fe80::7", 64, "link"),
    ]
    assert rows["lo"]["addresses"][0]["scope"] == "host"
