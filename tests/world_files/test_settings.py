"""Settings of a host's stack, from world files, the command line and Python: names of Linux, values with units."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from catenet.cli import main
from catenet.stack.settings import Settings
from catenet.stack.sysctl import SETTINGS, find
from catenet.world import World
from catenet.world.engine.runner import build_world
from catenet.world.scenario.settings import apply_settings, parse_assignments
from catenet.world.scenario.worldfile import WorldFileError, parse_world


def test_every_setting_has_its_row_and_takes_its_default() -> None:
    fields = [field.name for field in dataclasses.fields(Settings)]
    assert sorted(SETTINGS) == sorted(fields)
    for name, setting in SETTINGS.items():
        assert apply_settings({name: setting.default}) == Settings(), name
        shown = setting.default
        text = " ".join(map(str, shown)) if isinstance(shown, tuple) else str(shown)
        assert apply_settings({setting.kernel or name: text}) == Settings(), name
        assert find(setting.kernel.replace(".", "/") or name) is setting
        assert setting.meaning and len(setting.meaning) < 90


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux for a reference")
def test_names_are_those_of_the_kernel() -> None:
    newer = {"tcp_rcvbuf_low_rtt", "tcp_comp_sack_rtt_percent"}
    hidden = {"min_pmtu", "mtu_expires"}  # of the first namespace only
    here = Path("/proc/sys")
    for name, setting in SETTINGS.items():
        if setting.kernel and name not in newer | hidden:
            path = setting.kernel.replace("conf.all", "conf/all").replace(".", "/")
            assert (here / path).exists(), name


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tcp_mtu_probing", 2, 2),
        ("net.ipv4.tcp_mtu_probing", "1", 1),
        ("net/ipv4/tcp_mtu_probing", "1", 1),
        ("tcp_sack", False, 0),
        ("tcp_rmem", "4096 131072 6291456", (4096, 131072, 6291456)),
        ("tcp_rmem", "4KiB\t128KiB\n6MiB", (4096, 131072, 6291456)),
        ("tcp_wmem", [1, "2kB", 3.0], (1, 2000, 3)),
        ("ip_local_port_range", "1024,1030", (1024, 1030)),
        ("tcp_fin_timeout", "2min", 120),
        ("tcp_invalid_ratelimit", "1.5s", 1500),
        ("tcp_rto_min_us", "5ms", 5000),
        ("tcp_comp_sack_delay_ns", "1ms", 1_000_000),
        ("ipfrag_time", "500ms", 0.5),
        ("wmem_default", "1MiB", 1 << 20),
        ("tcp_pacing_ss_ratio", "150%", 150),
        ("icmp_msgs_burst", "10 packets", 10),
        ("tcp_fastopen", "0x403", 0x403),
        ("tcp_congestion_control", "bbr", "bbr"),
        ("default_qdisc", "fq", "fq"),
        ("tcp_fastopen_key", "a1-b2-c3-d4,1-2-3-4", "a1-b2-c3-d4,1-2-3-4"),
        ("net.ipv4.neigh.default.gc_thresh3", 5, 5),
    ],
)
def test_values_are_read_in_their_units(name: str, value: object, expected: object) -> None:
    setting = find(name)
    assert setting is not None
    assert getattr(apply_settings({name: value}), setting.name) == expected


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("tcp_mtu_probe", 1, "unknown setting 'tcp_mtu_probe'; did you mean 'tcp_mtu_probing'?"),
        ("net.ipv4.tcp_mem", 1, "unknown setting 'net.ipv4.tcp_mem'; did you mean 'tcp_wmem'?"),
        ("tcp_mtu_probing", 3, "tcp_mtu_probing: 3 is not from 0 to 2"),
        ("tcp_mtu_probing", "yes", "tcp_mtu_probing: 'yes' is not a number"),
        ("tcp_mtu_probing", 0.5, "tcp_mtu_probing: 0.5 is not a whole number"),
        ("tcp_mtu_probing", None, "tcp_mtu_probing: None is not a number"),
        ("tcp_mtu_probing", [1], "tcp_mtu_probing: [1] is not a number"),
        ("tcp_rmem", "4096", "tcp_rmem: '4096' is not 3 numbers; write for example '4096 131072 6291456'"),
        ("tcp_rmem", 4096, "tcp_rmem: 4096 is not 3 numbers; write for example '4096 131072 6291456'"),
        ("tcp_rmem", "1 2 -3", "tcp_rmem: '-3' is not from 1 to 2147483647 B"),
        ("tcp_rmem", "1 2 3Kib", "tcp_rmem: unknown unit of size 'Kib' in '3Kib'; did you mean 'KiB'?"),
        ("tcp_fin_timeout", "60 sec", "tcp_fin_timeout: unknown unit of time 'sec' in '60 sec'; did you mean 's'?"),
        ("tcp_congestion_control", "cubik", "'cubik' is not one of reno, cubic, bbr; did you mean 'cubic'?"),
        ("tcp_congestion_control", 1, "tcp_congestion_control: 1 is not a text"),
        ("tcp_fastopen_key", "secret", "'secret' is no key"),
        ("ip_local_port_range", "2000 1000", "has its first port behind its last"),
        ("ip_default_ttl", float("nan"), "is not from 1 to 255"),
    ],
)
def test_mistakes_name_the_setting_and_what_would_be_right(name: str, value: object, says: str) -> None:
    with pytest.raises(ValueError) as error:
        apply_settings({name: value})
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def world_of(text: str) -> dict[str, Settings]:
    plan = parse_world(text.encode(), Path("world.toml"))
    world = World()
    build_world(plan, world, print)
    return {name: host.stack.settings for name, host in world.hosts.items()}


def test_a_world_file_sets_all_hosts_and_one() -> None:
    settings = world_of("""
        [settings]
        tcp_sack = false
        net.ipv4.tcp_fin_timeout = "30s"
        [hosts.a]
        [hosts.a.settings]
        net.ipv4.tcp_fin_timeout = 5
        net.core.somaxconn = 7
        [hosts.b]
        settings = { tcp_ecn = 1 }
        [[networks]]
        name = "one"
        [[networks]]
        name = "two"
        [routers.r]
        networks = ["one", "two"]
        [routers.r.settings]
        ip_default_ttl = 9
    """)
    assert settings["a"] == Settings(tcp_sack=0, tcp_fin_timeout=5, somaxconn=7)
    assert settings["b"] == Settings(tcp_sack=0, tcp_fin_timeout=30, tcp_ecn=1)
    assert settings["r"] == Settings(tcp_sack=0, tcp_fin_timeout=30, ip_default_ttl=9, ip_forward=1)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("[hosts.a]\n[hosts.a.settings]\ntcp_sak = 1", 3, "did you mean 'tcp_sack'?"),
        ("[hosts.a]\n[settings]\n\nnet.ipv4.tcp_sack = 5", 4, "tcp_sack: 5 is not from 0 to 1"),
        ("settings = 1\n[hosts.a]", 1, "settings must be a table"),
        ("[hosts.a]\nsettings = 'tcp_sack=1'", 2, "settings must be a table"),
        ("[hosts.a]\n[hosts.a.setings]", 2, "did you mean 'settings'?"),
    ],
)
def test_mistakes_in_a_world_file_have_their_line(text: str, line: int, says: str) -> None:
    with pytest.raises(WorldFileError) as error:
        world_of(text)
    assert str(error.value).startswith(f"world.toml:{line}: ") and says in str(error.value)


def test_assignments_are_for_all_hosts_or_for_one() -> None:
    words = ["tcp_sack=0", "net.ipv4.tcp_ecn=1", "a.tcp_sack=1", "a.b.net.ipv4.tcp_rmem=1 2 3", "a.b.tcp_ecn=0"]
    assert parse_assignments(words, ["a", "a.b"]) == {
        "": {"tcp_sack": "0", "net.ipv4.tcp_ecn": "1"},
        "a": {"tcp_sack": "1"},
        "a.b": {"net.ipv4.tcp_rmem": "1 2 3", "tcp_ecn": "0"},
    }
    for word, says in (
        ("tcp_sack", "'tcp_sack' is no NAME=VALUE"),
        ("=1", "no NAME=VALUE"),
        ("alic.tcp_sack=1", "unknown host 'alic'; did you mean 'alice'?"),
        ("alice.tcp_sak=1", "unknown setting 'tcp_sak'; did you mean 'tcp_sack'?"),
        ("tcp_sack=2", "tcp_sack: '2' is not from 0 to 1"),
        ("net.ipv4.tcp_sak=1", "unknown setting 'net.ipv4.tcp_sak'"),
    ):
        with pytest.raises(ValueError) as error:
            parse_assignments([word], ["alice", "bob"])
        assert says in str(error.value)


PROGRAM = """
import socket
sock = socket.socket()
print(socket.gethostname(), sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL), sock.getsockopt(1, socket.SO_SNDBUF))
"""
WORLD = """
[settings]
ip_default_ttl = 10
[hosts.a]
run = "show.py"
[hosts.b]
run = "show.py"
[hosts.b.settings]
tcp_wmem = "4096 32768 65536"
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "show.py").write_text(PROGRAM)
    (folder / "world.toml").write_text(WORLD)
    command = [sys.executable, "-m", "catenet", "run", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=100)


def test_the_command_line_has_the_last_word(tmp_path: Path) -> None:
    done = run(tmp_path, "--set", "ip_default_ttl=20", "world.toml", "--set", "b.net.ipv4.ip_default_ttl=30")
    assert done.returncode == 0, done.stderr
    lines = [line.split("| ", 1)[1] for line in done.stdout.splitlines() if "| " in line]
    assert sorted(lines) == ["a 20 16384", "b 30 32768"]
    done = run(tmp_path, "--set", "host.ip_default_ttl=7", "show.py")
    assert "host 7 16384" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "tcp_sak=1", "show.py"], "--set: unknown setting 'tcp_sak'; did you mean 'tcp_sack'?"),
        (["--set", "c.tcp_sack=1", "world.toml"], "--set: unknown host 'c'"),
        (["--set", "tcp_sack=1", "--net", "kernel", "show.py"], "--set is for Catenet's own stack"),
        (["--set", "tcp_sack=9", "--net", "tun", "--address", "10.9.0.2/24", "show.py"], "'9' is not from 0 to 1"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 2
    assert says in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.root
def test_settings_hold_on_a_tun_device(tmp_path: Path, namespace: Any) -> None:
    (tmp_path / "show.py").write_text(PROGRAM)
    words = ["--net", "tun", "--address", "10.9.0.2/24", "--set", "ip_default_ttl=33", str(tmp_path / "show.py")]
    assert "host 33 16384" in namespace.run(sys.executable, "-m", "catenet", "run", *words).stdout


def test_the_list_of_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["settings"]
    assert [row["name"] for row in rows] == list(SETTINGS)
    assert main(["settings", "--json", "tcp_*mem"]) == 0
    first, second = json.loads(capsys.readouterr().out)["settings"]
    assert (first["name"], first["kernel"], first["default"]) == (
        "tcp_rmem",
        "net.ipv4.tcp_rmem",
        [4096, 131072, 6291456],
    )
    assert (second["unit"], second["minimum"]) == ("B", 1)
    assert main(["settings", "congestion"]) == 0
    assert "reno, cubic, bbr" in capsys.readouterr().out
    assert main(["settings", "tcp_sakc"]) == 2
    assert capsys.readouterr().err == "catenet: no setting 'tcp_sakc'; did you mean 'tcp_sack'?\n"


def test_a_host_keeps_its_settings_when_it_restarts() -> None:
    world = World()
    host = world.host("a", settings={"net.ipv4.tcp_sack": 0})
    host.restart()
    assert host.stack.settings.tcp_sack == 0
    with pytest.raises(ValueError, match="did you mean 'tcp_sack'"):
        world.host("b", settings={"tcp_sakc": 0})
    assert "b" not in world.hosts
