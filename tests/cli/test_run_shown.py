"""What `catenet run` shows and where: figures alone on standard output, quiet runs, timestamps, tables."""

import json
import re
from datetime import datetime, timedelta

import pytest
from tests.cli.test_hostile_names import on_terminal
from tests.cli.test_run import CATENET, catenet, catenet_here

from catenet.wire.pcapng import read_pcapng

WORLD = """
[hosts.server]
run = "server.py"
[hosts.client]
run = "client.py"
start = "1s"
latency = "250ms"
[[events]]
at = "1.5s"
pause = "server"
for = "1s"
"""
SERVER = """
import socket, sys
with socket.create_server(("", 7)) as listener:
    while True:
        with listener.accept()[0] as peer:
            print("accepted", file=sys.stderr, flush=True)
"""
CLIENT = """
import datetime, socket
socket.create_connection(("server", 7)).close()
print("at", datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"), flush=True)
"""
LAST = re.compile(r"\d+\.\d+ s of the world's time .*; seed 0")


@pytest.fixture
def folder(tmp_path):
    for name, text in {"world.toml": WORLD, "server.py": SERVER, "client.py": CLIENT}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_figures_stand_alone_on_standard_output(folder):
    done = catenet("run", "world.toml", "--json", "-", "--tables", cwd=folder)
    assert done.returncode == 0
    figures = json.loads(done.stdout)
    assert {process["end"] for process in figures["processes"]} == {"exited", "stopped"}
    lines = done.stderr.splitlines()
    for shown in ("client | at ", "server | accepted", "world  | 1.500 s: ", "hosts", "processes"):
        assert sum(line.startswith(shown) for line in lines) == 1, shown
    assert LAST.fullmatch(lines[-1])


@pytest.mark.parametrize("several", [["--seeds", "1..2"], ["--check"]])
def test_so_they_do_for_several_runs(folder, several):
    done = catenet("run", "world.toml", "--json", "-", *several, cwd=folder)
    assert done.returncode == 0
    assert ("seeds_run" if several[0] == "--seeds" else "check") in json.loads(done.stdout)


def test_quiet_is_what_programs_print(folder):
    done = catenet_here("run", "-q", "world.toml", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "server | accepted\n")
    assert re.fullmatch(r"client \| at \S+\n", done.stdout)
    done = catenet_here("run", "-q", "world.toml", "--tables", "--json", "-", cwd=folder)
    assert json.loads(done.stdout)
    assert sorted(line[:10] for line in done.stderr.splitlines()) == ["client | a", "server | a"]


def test_quiet_hides_no_error(folder):
    (folder / "waits.py").write_text("import socket\nsocket.create_server(('', 7)).accept()\n")
    done = catenet_here("run", "-q", "waits.py", cwd=folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("deadlock: ")


@pytest.mark.parametrize("isolation", ["process", "shared"])
def test_timestamps_are_the_time_of_the_day_in_the_world(folder, isolation):
    done = catenet("run", "world.toml", "--timestamps", "--isolation", isolation, cwd=folder)
    assert done.returncode == 0
    begun = datetime.fromisoformat("2025-01-01T00:00:00Z")
    found = re.search(r"^client \| (\S+)Z at (\S+)\+00:00$", done.stdout, re.MULTILINE)
    assert found[1] == found[2] == "2025-01-01T00:00:01.500000"
    (event,) = re.findall(r"^world  \| (\S+) 1\.500 s: ", done.stdout, re.MULTILINE)
    assert datetime.fromisoformat(event) == begun + timedelta(seconds=1.5)
    # Its machine sleeps when the last segment of the handshake comes; the client sends again.
    assert "server | 2025-01-01T00:00:02.950000Z accepted\n" in done.stderr


def test_tables_are_shown_on_a_terminal_or_when_asked_for(folder):
    tables = re.compile(r"^(hosts|processes) *$", re.MULTILINE)
    done = catenet_here("run", "world.toml", cwd=folder)
    assert not tables.search(done.stdout) and LAST.fullmatch(done.stdout.splitlines()[-1])
    done = catenet_here("run", "world.toml", "--tables", cwd=folder)
    assert tables.findall(done.stdout) == ["hosts", "processes"]
    for several in ([], ["--check"]):
        shown = on_terminal([*CATENET, "run", "world.toml", *several], folder).decode().replace("\r\n", "\n")
        assert tables.findall(re.sub(r"\x1b\[[0-9;]*m|[^\n]*\x1b\[K", "", shown.replace("\r", ""))) == [
            "hosts",
            "processes",
        ], shown


@pytest.mark.parametrize("option", ["--timestamps", "--tables"])
def test_on_the_kernel_there_are_none(folder, option):
    done = catenet_here("run", "--net", "kernel", option, "client.py", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"catenet: {option} goes with --net sim or tun")


def test_a_capture_of_one_host(folder):
    done = catenet_here("run", "-q", "world.toml", "--pcap", "some.pcapng", "--pcap-host", "client", cwd=folder)
    assert done.returncode == 0
    assert {one.interface_name for one in read_pcapng((folder / "some.pcapng").read_bytes())} == {"client/eth0"}
    for words, message in (
        (["--pcap", "x", "--pcap-host", "cleint"], "--pcap-host: unknown host 'cleint'; did you mean 'client'?"),
        (["--pcap-host", "client"], "--pcap-host goes with --pcap"),
        (["--check", "--pcap-host", "client"], "--pcap-host goes with a single run; --check makes several"),
    ):
        done = catenet_here("run", "world.toml", *words, cwd=folder)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"catenet: {message}\n")
        assert not (folder / "x").exists()
