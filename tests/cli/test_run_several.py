"""`catenet run` for many seeds, and twice with the same one."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from catenet.cli import Parser, main
from catenet.cli.run import register
from catenet.cli.running.folder import state_folder
from catenet.cli.running.options import command_line, replay_line

pytestmark = pytest.mark.slow(9)

SERVER = """
    import socket
    with socket.create_server(("", 7)) as listener:
        while True:
            with listener.accept()[0] as peer:
                while data := peer.recv(1000):
                    peer.sendall(data)
    """

CLIENT = """
    import os, random, socket, sys
    with socket.create_connection(("server", 7)) as peer:
        peer.sendall(os.environ["STATE_DIRECTORY"].encode())  # its name is the same in both runs
        peer.recv(1000)
        if "CATENET_CHECK" in os.environ and sys.argv[1] == "noisy":
            peer.sendall(b"another")
            peer.recv(7)
    drawn = random.randrange(6)
    print("drew", drawn, len(os.environ) if sys.argv[1] == "talks" else "")
    sys.exit(drawn == 5)
    """

WORLD = """
    [link]
    latency = "10ms"
    loss = "5%"
    [hosts.server]
    run = "server.py"
    service = true
    [hosts.client]
    run = "client.py KIND"
    start = "1s"
    """


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "server.py").write_text(textwrap.dedent(SERVER))
    (tmp_path / "client.py").write_text(textwrap.dedent(CLIENT))
    for kind in ("quiet", "noisy", "talks"):
        (tmp_path / f"{kind}.toml").write_text(textwrap.dedent(WORLD).replace("KIND", kind))
    return tmp_path


def catenet(folder: Path, *words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["run", *words])
    return status, out.getvalue(), err.getvalue()


def test_seeds_stop_at_the_first_that_fails_and_say_how_to_see_it(folder: Path) -> None:
    status, out, err = catenet(folder, "--seeds", "6..11", "--jobs", "2", "--json", "found.json", "quiet.toml")
    assert status == 1, out + err
    *_, reason, replay = out.splitlines()
    assert reason == "seed 8 failed: client: client.py ended with status 1"
    assert replay == "replay: catenet run quiet.toml --seed 8"
    assert "client | drew 5" in out
    assert json.loads((folder / "found.json").read_text()) == {
        "seeds_run": 3,
        "failed": [
            {
                "seed": 8,
                "reason": "client: client.py ended with status 1",
                "replay": "catenet run quiet.toml --seed 8",
            }
        ],
    }
    words = shlex.split(replay)[2:]
    again = subprocess.run([sys.executable, "-m", "catenet", *words], cwd=folder, capture_output=True, text=True)
    assert again.returncode == 1
    shown = [line for line in out.splitlines() if line.startswith(("client |", "│"))]
    assert [line for line in again.stdout.splitlines() if line.startswith(("client |", "│"))] == shown


def test_seeds_that_all_run_well(folder: Path) -> None:
    status, out, err = catenet(folder, "quiet.toml", "--seeds", "1..2", "--json", "-")
    assert (status, json.loads(out)) == (0, {"seeds_run": 2, "failed": []})
    assert err.splitlines()[-1] == "2 seeds, 1 to 2: no run failed"


def test_two_runs_in_different_surroundings_are_the_same(folder: Path) -> None:
    status, out, err = catenet(folder, "--check", "--seed", "3", "--json", "found.json", "quiet.toml")
    assert status == 0, out + err
    figures = json.loads((folder / "found.json").read_text())
    assert figures["check"] == {"same": True, "first_difference": None}
    assert out.splitlines()[-1] == f"two runs, the same packets and lines: trace {figures['trace_sha256']}"
    assert "client | drew" in out


def test_the_first_packet_that_differs_is_named(folder: Path) -> None:
    status, out, err = catenet(folder, "--check", "--json", "found.json", "--seed", "1", "noisy.toml")
    assert status == 3, out + err
    found = json.loads((folder / "found.json").read_text())["check"]
    assert not found["same"]
    number, time = found["first_difference"]["packet"], found["first_difference"]["time"]
    assert out.splitlines()[-1] == f"first difference: packet {number} at {time:.6f} s, client"
    assert number > 6 and 1 < time < 2


def test_the_first_line_that_differs_is_shown(folder: Path) -> None:
    status, out, err = catenet(folder, "--check", "talks.toml", "--seed", "1")
    assert status == 3, out + err
    *_, title, first, second = out.splitlines()
    assert title == "first difference in the output: line 1"
    assert first.startswith("  client | drew") and second.startswith("  client | drew") and first != second


def test_a_mistake_is_the_commands_own_and_no_failing_seed(folder: Path) -> None:
    (folder / "wrong.toml").write_text("[hosts.a]\nrum = 'x.py'\n")
    for option in (["--seeds", "1..5"], ["--check"]):
        status, out, err = catenet(folder, *option, "wrong.toml")
        assert (status, out) == (2, "")
        assert len(err.splitlines()) == 1 and "rum" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "5"], "'5' is no range of seeds, as 1..100"),
        (["--seeds", "5..4"], "there is no seed in 5..4"),
        (["--seeds", "1..4", "--jobs", "0"], "'0' is no number of runs"),
        (["--jobs", "2"], "--jobs goes with --seeds"),
        (["--seeds", "1..4", "--check"], "--check goes with one seed; see --seed"),
        (["--seeds", "1..4", "--seed", "1"], "--seed and --seeds do not go together"),
        (["--check", "--net", "kernel"], "--check goes with --net sim"),
        (["--seeds", "1..4", "--pcap", "x"], "--pcap goes with a single run; --seeds makes several"),
        (["--check", "--plot", "x"], "--plot goes with a single run; --check makes several"),
    ],
)
def test_options_that_do_not_go_together(folder: Path, words: list[str], message: str) -> None:
    status, out, err = catenet(folder, *words, "quiet.toml")
    assert (status, out) == (2, "")
    assert message in err


def test_the_runs_get_the_options_that_were_given() -> None:
    parser = Parser(prog="catenet run")
    register(parser)
    given = ["--for", "1500ms", "--set", "a.ttl=3", "--set", "ttl=9", "--address", "10.0.0.1/8", "--grpc"]
    for command in (["world.toml"], ["x y.py", "--seed", "9"], ["-m", "http.server", "80"]):
        args = parser.parse_args(["--seeds", "1..9", "--jobs", "3", "--json", "x", "-v", *given, *command])
        words = command_line(args, "--seed=4")
        read = parser.parse_args(words[words.index("run") + 1 :])
        assert (read.seeds, read.jobs, read.json, read.seed) == (None, None, None, 4)
        assert (read.duration, read.settings, read.address, read.grpc) == (1.5, given[3:6:2], ["10.0.0.1/8"], True)
        assert read.command == command
        line = shlex.split(replay_line(args, 4))
        assert line[:2] == ["catenet", "run"]
        assert ("--seed" in line[:4]) is False
        assert line[-2:] == ["--seed", "4"] if command == ["world.toml"] else line[-len(command) :] == command


def test_the_folder_of_a_run_has_the_same_name_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with state_folder("world.toml", 1) as folder:
        (folder / "host").mkdir()
        with state_folder("world.toml", 1) as another, state_folder("world.toml", 2) as other:
            assert len({folder.name, another.name, other.name}) == 3
    assert list(tmp_path.iterdir()) == []
    folder.mkdir()
    (folder / "left").write_text("by a run that was killed")
    with state_folder("world.toml", 1) as again:
        assert again == folder and list(again.iterdir()) == []
    folder.symlink_to(tmp_path)  # somebody else's doing
    with state_folder("world.toml", 1) as safe:
        assert safe == another
