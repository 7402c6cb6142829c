"""catenet resolve where programs run: on hosts of a world, behind a TUN device; with our own servers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from tests import commands
from tests.peers import program

from catenet.cli import main
from catenet.world import World

CATENET = [sys.executable, "-m", "catenet"]
ROOT = """\
$ORIGIN .
$TTL 3600
. SOA ns.root. hostmaster.root. 1 3600 900 604800 300
. NS ns.root.
ns.root. A 10.0.0.1
ns.root. AAAA fd00::1
example. NS ns.example.
example. NS dead.example.
ns.example. A 10.0.0.2
dead.example. A 10.0.0.99
"""
TOP = """\
$ORIGIN example.
$TTL 3600
@ SOA ns hostmaster 1 3600 900 604800 300
@ NS ns
ns A 10.0.0.2
www A 192.0.2.1
other CNAME www.leaf
leaf NS ns.leaf
ns.leaf AAAA fd00::3
"""
LEAF = """\
$ORIGIN leaf.example.
$TTL 60
@ SOA ns hostmaster.example. 1 3600 900 604800 300
@ NS ns
ns AAAA fd00::3
www A 192.0.2.3
""" + "".join(f'long TXT "{"x" * 200}{number}"\n' for number in range(20))
HINTS = ". 3600 NS ns.root.\nns.root. 3600 A 10.0.0.1\nns.root. 3600 AAAA fd00::1\n"


def files(folder: Path) -> None:
    for name, text in (("root", ROOT), ("top", TOP), ("leaf", LEAF), ("hints", HINTS)):
        (folder / f"{name}.zone").write_text(text)


def run_world(folder: Path, seed: int, *words: str) -> tuple[int | None, list[str]]:
    """Status and lines of `catenet resolve` on a host of a world with three name servers."""
    files(folder)
    lines: list[tuple[str, str]] = []
    with World(seed, output=lambda host, stream, line: lines.append((host, line))) as world:
        for name in ("root", "top", "leaf", "user"):
            world.host(name)
            world.link(name, latency="15ms", loss="5%")
        for name in ("root", "top", "leaf"):
            listen = "--listen udp+tcp://0.0.0.0:53 --listen udp+tcp://[::]:53"
            zone = folder / f"{name}.zone"
            world.hosts[name].run(f"-m catenet serve dns --no-recursive --zone {zone} {listen}", daemon=True)
        world.hosts["user"].run(f"-m catenet resolve {' '.join(words)}", start=0.5)
        world.run(600)
        (user,) = [process for process in world.processes if not process.daemon]
        return user.status, [line for host, line in lines if host == "user"]


@pytest.mark.parametrize("seed", range(2))
def test_a_trace_in_a_world_goes_from_host_to_host_over_both_versions(tmp_path: Path, seed: int) -> None:
    words = ["other.example", "--trace", "--root-hints", str(tmp_path / "hints.zone"), "+time=1", "+tries=9", "--json"]
    status, lines = run_world(tmp_path, seed, *words)
    assert status == 0, lines
    answer = json.loads(lines[-1])
    assert [step.get("referral") or step.get("alias") for step in answer["trace"]] == [
        "example.", "www.leaf.example.", "leaf.example.", None,
    ]  # fmt: skip
    assert answer["answer"][-1]["data"] == "192.0.2.3"
    assert answer["server"] == "udp://[fd00::3]:53"


@pytest.mark.parametrize("server", ["10.0.0.3", "fd00::3", "leaf"])
def test_questions_and_transfers_in_a_world(tmp_path: Path, server: str) -> None:
    words = ["+short", f"@{server}", "+time=1", "+tries=9", "www.leaf.example", "long.leaf.example", "TXT"]
    status, lines = run_world(tmp_path, 3, *words)
    assert (status, lines[0], len(lines)) == (0, "192.0.2.3", 21)


def test_a_world_file_runs_it(tmp_path: Path) -> None:
    files(tmp_path)
    (tmp_path / "world.toml").write_text(
        "[hosts.ns]\n"
        'run = "-m catenet serve dns --no-recursive --zone top.zone --listen udp+tcp://0.0.0.0:53"\n'
        "[hosts.user]\n"
        'run = "-m catenet resolve www.example @ns +tries=9 +time=1"\nstart = "1s"\n'
    )
    done = commands.run(
        [*CATENET, "run", "world.toml", "--for", "60s"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert re.search(r"user +\| www\.example\. +3600 +IN +A +192\.0\.2\.1", done.stdout), done.stdout + done.stderr


def test_our_own_server_over_all_transports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files(tmp_path)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    schemes = "udp+tcp", "tls", "https", "http"
    listen = [word for scheme in schemes for word in ("--listen", f"{scheme}://127.0.0.1:0")]
    words = ["serve", "dns", "--no-recursive", "--zone", "leaf.zone", "--cert", "server.pem", *listen]
    child = commands.Popen([*CATENET, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stderr is not None
        ready = child.stderr.readline()
        urls = dict(re.findall(r"([\w+]+)://([\d.:]+)", ready))
        servers = [f"udp://{urls['udp+tcp']}", f"tcp://{urls['udp+tcp']}"]
        servers += [f"{scheme}://{urls[scheme]}" for scheme in schemes[1:]]
        for server in servers:
            trust = ["--ca", str(tmp_path / "ca.pem")] if server.startswith(("tls", "https")) else []
            question = ["+short", f"@{server}", *trust, "www.leaf.example", "long.leaf.example", "TXT"]
            for extra in ([], ["+https-get"] if server.startswith("https") else []):
                assert main(["resolve", *question, *extra]) == 0
                output = capsys.readouterr().out.splitlines()
                assert (output[0], len(output)) == ("192.0.2.3", 21), server
        assert main(["resolve", "leaf.example", "AXFR", f"@{servers[0]}", "+short"]) in (0, 1)
    finally:
        child.terminate()
        child.communicate(timeout=20)


@pytest.mark.root
@pytest.mark.peer("dnsmasq")
def test_behind_a_tun_device_dnsmasq_is_asked(namespace, tmp_path: Path) -> None:
    """The program runs on our stack; the server on the kernel's, behind the device."""
    assert program("dnsmasq")
    for address in ("10.99.0.1/24", "fd99::1/64"):
        namespace.run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    namespace.start(
        "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=53", "--user=root",
        "--listen-address=10.99.0.1", "--listen-address=fd99::1", "--bind-interfaces", "--local-ttl=77",
        "--address=/www.example/192.0.2.1",
        *[f"--txt-record=long.example,{'x' * 200}{number}" for number in range(20)],
    )  # fmt: skip
    wait = namespace.run("dig", "+short", "+tries=20", "+time=1", "@10.99.0.1", "www.example").stdout
    assert wait == "192.0.2.1\n"
    for server in ("10.99.0.1", "fd99::1"):
        done = namespace.run(
            *CATENET, "run", "--net", "tun", "--address", "10.9.0.2/24", "--address", "fd09::2/64",
            "-m", "catenet", "resolve", "+short", f"@{server}", "www.example", "long.example", "TXT",
            check=False, timeout=60,
        )  # fmt: skip
        lines = [line.partition("| ")[2] for line in done.stdout.splitlines() if line.startswith("host")]
        assert done.returncode == 0, done.stdout + done.stderr
        assert (lines[0], len([line for line in lines if "xxx" in line])) == ("192.0.2.1", 20), lines[-2:]
