"""Commands in backquotes: what reaches the stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from catenet.testing.packetdrill.shell import run_commands


class Recorder:
    def __init__(self) -> None:
        self.sysctls: list[tuple[str, str]] = []
        self.routes: list[dict[str, str]] = []
        self.mtus: list[int] = []
        self.qdiscs: list[tuple[str, bool]] = []
        self.forgotten = 0
        self.files: list[tuple[str, int]] = []
        self.notes: list[str] = []

    def set_sysctl(self, name: str, value: str) -> None:
        self.sysctls.append((name, value))

    def set_route(self, metrics: dict[str, str]) -> None:
        self.routes.append(metrics)

    def set_link_mtu(self, mtu: int) -> None:
        self.mtus.append(mtu)

    def set_qdisc(self, kind: str, full: bool) -> None:
        self.qdiscs.append((kind, full))

    def forget_metrics(self) -> None:
        self.forgotten += 1

    def make_file(self, path: str, size: int) -> None:
        self.files.append((path, size))

    def note(self, text: str) -> None:
        self.notes.append(text)


def did(text: str, directory: Path = Path("/nowhere")) -> Recorder:
    recorder = Recorder()
    run_commands(text, directory, recorder)
    return recorder


def test_sysctl_with_several_settings_arithmetic_and_both_separators() -> None:
    text = 'sysctl -q net.ipv4.tcp_rmem="4096 540000 $((15*1024*(1024)))" net/ipv4/tcp_ecn=1 # why'
    assert did(text).sysctls == [("net.ipv4.tcp_rmem", "4096 540000 15728640"), ("net.ipv4.tcp_ecn", "1")]


def test_set_sysctls_over_continued_lines() -> None:
    text = "./set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0 \\\n  /proc/sys/net/ipv4/tcp_min_tso_segs=10"
    assert did(text).sysctls == [("net.ipv4.tcp_timestamps", "0"), ("net.ipv4.tcp_min_tso_segs", "10")]


def test_echo_into_proc() -> None:
    assert did("echo 7 > /proc/sys/net/ipv4/tcp_x; sysctl -w net.ipv4.tcp_y=1 && true").sysctls == [
        ("net.ipv4.tcp_x", "7"),
        ("net.ipv4.tcp_y", "1"),
    ]


def test_shell_files_are_read_beside_the_script(tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "defaults.sh").write_text("#!/bin/bash\nsysctl -q net.ipv4.tcp_sack=0\n. ./more.sh\n")
    (tmp_path / "common" / "more.sh").write_text("sysctl -q net.ipv4.tcp_dsack=0 > /dev/null 2>&1\n")
    (tmp_path / "feature").mkdir()
    found = did("../common/defaults.sh\n/tmp/sysctl_restore_${PPID}.sh", tmp_path / "feature")
    assert found.sysctls == [("net.ipv4.tcp_sack", "0"), ("net.ipv4.tcp_dsack", "0")]


def test_missing_shell_files() -> None:
    found = did("./common/defaults.sh")
    assert ("net.ipv4.tcp_congestion_control", "cubic") in found.sysctls
    assert "usual defaults" in found.notes[0]
    with pytest.raises(ValueError, match="no such file"):
        did("./setup.sh")


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("ip route change 192.0.2.0/24 dev tun0 advmss 900 mtu lock 1400", {"advmss": "900", "mtu": "lock 1400"}),
        ("ip -6 ro replace 2001:db8::/32 dev tun0 initcwnd 20 features ecn", {"initcwnd": "20", "features": "ecn"}),
        ("ip route change default via 10.0.0.1 dev tun0", {}),
    ],
)
def test_route_metrics(text: str, metrics: dict[str, str]) -> None:
    assert did(text).routes == [metrics]


def test_link_files_and_everything_else() -> None:
    found = did(
        "ip link set dev tun0 mtu 9000\n/bin/dd bs=1 count=5 if=/dev/zero of=/tmp/zeros status=none\n"
        "tc qdisc add dev tun0 root pfifo\nnstat | grep TcpExtX > /dev/null\nrm -f /tmp/zeros\nfrobnicate\n"
        "tc qdisc delete dev tun0 root 2>/dev/null ; tc qdisc replace dev tun0 root fq flow_limit 200\n"
        "tc qdisc add dev tun0 root pfifo limit 0\n"
        "tc class show dev tun0\nsysctl -q net.x=1 || ip tcp_metrics flush all &> /dev/null"
    )
    assert found.qdiscs == [("pfifo", False), ("", False), ("fq", False), ("pfifo", True)]
    assert found.forgotten == 1
    assert found.mtus == [9000]
    assert found.files == [("/tmp/zeros", 5)]
    assert [note.split(":")[0] for note in found.notes] == [
        "skipped",
        "skipped",
        "skipped, unknown command",
        "skipped",
    ]
    assert found.sysctls == [("net.x", "1")]


def test_bad_arithmetic_is_the_scripts_error() -> None:
    with pytest.raises(ValueError, match="cannot calculate"):
        did('sysctl -q net.ipv4.x="$((1 + os))"')
