import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests import commands

from catenet.cli import main
from catenet.wire.pcapng import read_pcapng

pytestmark = pytest.mark.slow(60)

CATENET = [sys.executable, "-m", "catenet"]
HISCORE = Path(__file__).parents[2] / "examples" / "hiscore"


def catenet(*words, cwd=None, env=None, timeout=60, real=False):
    return commands.run(
        [*CATENET, *map(str, words)],
        real=real,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def catenet_here(*words, cwd):
    """The same without a new interpreter, where nothing about the process matters."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([*map(str, words)])
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(words, status, *texts)


@pytest.fixture
def folder(tmp_path):
    """Write files given as name=text and return the folder."""

    def write(**files):
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(textwrap.dedent(text))
        return tmp_path

    return write


ECHO_SERVER = """
    import socket
    with socket.create_server(("", 7)) as listener:
        while True:
            with listener.accept()[0] as peer:
                while data := peer.recv(1000):
                    peer.sendall(data)
    """

ECHO_CLIENT = """
    import random, socket, sys
    with socket.create_connection(("server", 7)) as peer:
        data = random.randbytes(50_000)
        sent, received = 0, b""
        while len(received) < len(data):
            if sent < len(data):
                sent += peer.send(data[sent : sent + 1000])
            received += peer.recv(1000)
    print("same" if received == data else "different")
    """

ECHO_WORLD = """
    [link]
    latency = "10ms"
    loss = "2%"
    reorder = "2%"
    duplicate = "1%"
    corrupt = "1%"

    [hosts.server]
    run = "server.py"

    [hosts.client]
    run = "client.py"
    start = "1s"
    """


@pytest.fixture
def echo(folder):
    return folder(server__py=ECHO_SERVER, client__py=ECHO_CLIENT, world__toml=ECHO_WORLD)


def test_the_demo_keeps_every_acknowledged_score(tmp_path):
    files = ["--pcap", tmp_path / "a.pcapng", "--json", tmp_path / "a.json"]
    done = catenet("run", HISCORE / "world.toml", *files, real=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        "alice  | all 25 scores are in the database",
        "bob    | all 25 scores are in the database",
        "world  | 4.000 s: cut off: alice from everybody",
        "world  | 9.000 s: crash of server",
    ):
        assert line in done.stdout
    assert done.stderr == ""
    figures = json.loads((tmp_path / "a.json").read_text())
    statuses = [(p["name"], p["host"], p["exit_status"], p["end"]) for p in figures["processes"]]
    assert statuses == [
        ("server.py", "server", 137, "crashed"),
        ("alice.py", "alice", 0, "exited"),
        ("bob.py", "bob", 0, "exited"),
        ("server.py", "server", 0, "stopped"),
    ]
    assert figures["retransmitted_segments"] > 5
    assert figures["hosts"]["alice"]["drops"]["partition"] > 0
    captured = list(read_pcapng((tmp_path / "a.pcapng").read_bytes()))
    assert {packet.interface_name for packet in captured} == {"server/eth0", "alice/eth0", "bob/eth0"}
    hosts = figures["hosts"].values()
    assert len(captured) == sum(host["packets_sent"] + host["packets_received"] for host in hosts)


def run_echo(echo, *words, env=None):
    run = catenet if env else catenet_here
    done = run("run", "world.toml", "--json", "figures.json", *words, cwd=echo, **({"env": env} if env else {}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "client | same" in done.stdout
    figures = json.loads((echo / "figures.json").read_text())
    del figures["wall_seconds"]
    return figures


def test_the_same_seed_is_the_same_run_whatever_the_hash_seed(echo):
    runs = [run_echo(echo, env={"PYTHONHASHSEED": seed}) for seed in ("0", "1", "random")]
    assert runs[0] == runs[1] == runs[2]
    assert runs[0]["packets_dropped"] > 0
    other = run_echo(echo, "--seed", "2")
    assert other["trace_sha256"] != runs[0]["trace_sha256"]
    assert run_echo(echo, "--seed", "2") == other


def test_the_figures_have_the_promised_keys(echo):
    figures = run_echo(echo)
    assert {
        "virtual_seconds",
        "packets_sent",
        "packets_dropped",
        "retransmitted_segments",
        "trace_sha256",
        "hosts",
        "processes",
    } <= set(figures)
    assert re.fullmatch("[0-9a-f]{64}", figures["trace_sha256"])
    assert figures["packets_sent"] == sum(host["packets_sent"] for host in figures["hosts"].values())
    server = figures["processes"][0]
    assert (server["host"], server["end"]) == ("server", "stopped")


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("print('well')", 0),
        ("raise SystemExit(3)", 1),
        ("raise ValueError('bad')", 1),
        ("import asyncio\nasync def f(): await asyncio.sleep(3600)\nasyncio.run(f())", 0),
    ],
)
def test_the_exit_status_says_whether_all_ended_well(folder, program, status):
    where = folder(program__py=program)
    done = catenet_here("run", "program.py", cwd=where)
    assert done.returncode == status


def test_a_single_program_has_its_arguments_its_address_and_a_host(folder):
    where = folder(
        show__py="""
        import socket, sys
        print(sys.argv[1:], socket.gethostbyname(socket.gethostname()))
        """
    )
    done = catenet_here("run", "--address", "10.1.2.3/24", "show.py", "--seed", "x", cwd=where)
    assert "host  | ['--seed', 'x'] 10.1.2.3\n" in done.stdout
    assert done.returncode == 0


def test_a_module_runs_with_its_arguments(folder):
    where = folder(talk__py="import sys\nprint('I am', __name__, sys.argv[1:])")
    done = catenet_here("run", "--seed", "3", "-m", "talk", "--loud", "-x", cwd=where)
    assert "host  | I am __main__ ['--loud', '-x']\n" in done.stdout


def test_a_world_of_waiters_ends_with_a_report(folder):
    where = folder(
        wait__py="import socket\nsocket.create_server(('', 9)).accept()\n",
        world__toml="[hosts.a]\nrun = 'wait.py'\n[hosts.b]\nrun = 'wait.py'\n",
    )
    done = catenet_here("run", "world.toml", "--json", "-", cwd=where)
    assert done.returncode == 1
    for expected in ("deadlock", "a: wait.py", "b: wait.py", "accept"):
        assert expected in done.stderr
    assert '"deadlock"' in done.stdout


def test_programs_still_running_at_the_end_of_the_time_are_stopped_in_order(folder):
    where = folder(
        loop__py="""
        import signal, sys, time
        def stop(*_):
            print("bye")
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        while True:
            time.sleep(0.5)
        """
    )
    done = catenet_here("run", "--tables", "--for", "5s", "loop.py", "--", cwd=where)
    assert done.returncode == 0
    assert "host  | bye" in done.stdout
    assert "stopped" in done.stdout


BUSY = """
    import sys, time
    print("up", flush=True)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """


def test_ctrl_c_stops_programs_in_order_and_writes_the_files(folder):
    where = folder(busy__py=BUSY, world__toml="[hosts.a]\nrun = 'busy.py'\n[hosts.b]\nrun = 'busy.py'\n")
    words = [*CATENET, "run", "world.toml", "--json", "figures.json", "--pcap", "packets.pcapng"]
    with commands.Popen(words, cwd=where, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert {child.stdout.readline() for _ in range(2)} == {"a     | up\n", "b     | up\n"}
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "a     | interrupted" in out
    assert "b     | interrupted" in out
    assert "Traceback" not in err
    assert len(json.loads((where / "figures.json").read_text())["processes"]) == 2
    assert (where / "packets.pcapng").stat().st_size > 0


def test_a_crashed_client_that_is_to_come_back_is_waited_for(folder):
    where = folder(
        client__py="import time\nprint('up')\ntime.sleep(3)\nprint('done')\n",
        world__toml="[hosts.a]\nrun = 'client.py'\n[[events]]\nat = 1\ncrash = 'a'\nfor = 10\n",
    )
    done = catenet_here("run", "world.toml", "--json", "figures.json", cwd=where)
    assert done.returncode == 0
    assert done.stdout.count("a     | up") == 2
    assert json.loads((where / "figures.json").read_text())["virtual_seconds"] == pytest.approx(14)


def test_a_failing_program_is_restarted_when_the_world_says_so(folder):
    where = folder(
        flaky__py="""
        import os, pathlib, sys
        mark = pathlib.Path(os.environ["STATE_DIRECTORY"], "mark")
        if mark.exists():
            print("second life")
        else:
            mark.touch()
            sys.exit(4)
        """,
        world__toml="[hosts.a]\nrun = 'flaky.py'\nrestart = 'on-failure'\n",
    )
    done = catenet_here("run", "world.toml", "--tables", cwd=where)
    assert done.returncode == 0
    assert "a     | second life" in done.stdout
    assert "restarted" in done.stdout


def test_a_link_event_changes_a_link_and_ends(folder):
    where = folder(
        ping__py="""
        import socket, time
        user = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(4):
            began = time.monotonic()
            user.sendto(b"?", ("echo", 7))
            user.recv(10)
            print(f"{time.monotonic() - began:.3f}")
            time.sleep(2)
        """,
        echo__py="""
        import socket
        user = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        user.bind(("", 7))
        while True:
            data, peer = user.recvfrom(10)
            user.sendto(data, peer)
        """,
        world__toml="""
        [link]
        latency = "5ms"
        [hosts.echo]
        run = "echo.py"
        [hosts.user]
        run = "ping.py"
        [[events]]
        at = 1
        link = "user"
        latency = "105ms"
        for = 2
        [[events]]
        at = 3.1
        link = ["user", "echo"]
        latency = "50ms"
        for = 2
        """,
    )
    done = catenet_here("run", "world.toml", cwd=where)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"user  \| ([\d.]+)", done.stdout) == ["0.020", "0.220", "0.100", "0.020"]


MISTAKES = [
    (["sever.py"], "no program or world 'sever.py'; did you mean 'server.py'?"),
    (["world.toml", "x"], "a world takes no arguments, but got 'x'"),
    (["--net", "kernel", "world.toml"], "a world runs on --net sim; on the kernel's network start its programs"),
    (["--net", "kernel", "--pcap", "x", "server.py"], "--pcap goes with --net sim or tun"),
    (["--net", "tun", "world.toml"], "a world runs on --net sim; --net tun runs one program"),
    (["--net", "tun", "server.py"], "--net tun needs the host's address, as --address 10.9.0.2/24"),
    (["--net", "tun", "--address", "10.9.0.2/32", "server.py"], "has no second address for the kernel's end"),
    (["--uvloop", "server.py"], "--uvloop goes with --net kernel"),
    (["--address", "10.9.0.2/24", "world.toml"], "--address and --mtu go with a single program"),
    (["--mtu", "3", "server.py"], "mtu must be from 68 to 65535, not 3"),
    (["--pcap", "no/such/folder", "server.py"], "--pcap no/such/folder: no such file or directory"),
    (["bad.toml"], "bad.toml:2: unknown key 'rnu'; did you mean 'run'?"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_are_one_line(folder, monkeypatch, capsys, words, message):
    where = folder(server__py="", world__toml="[hosts.a]\n", bad__toml="[hosts.a]\nrnu = 'server.py'\n")
    monkeypatch.chdir(where)
    assert main(["run", *words]) == 2
    shown = capsys.readouterr().err
    assert re.fullmatch(r"catenet: [^\n]*\n", shown)
    assert message in shown


@pytest.mark.parametrize("words", [["--for", "5 parsecs", "x.py"], ["--address", "10.0.0.256", "x.py"], ["-m"], []])
def test_impossible_arguments_are_usage_errors(capsys, words):
    assert main(["run", *words]) == 2
    assert re.fullmatch(r"catenet: [^\n]*\n", capsys.readouterr().err)


def test_on_the_kernel_a_program_runs_as_python_would_run_it(folder):
    where = folder(
        show__py="""
        import socket, sys
        import helper
        with socket.create_server(("127.0.0.1", 0)) as listener:
            print(__name__, sys.argv, helper.NAME, listener.getsockname()[0])
        sys.exit(5)
        """,
        helper__py="NAME = 'helper'\n",
    )
    done = catenet("run", "--net", "kernel", "show.py", "a", "-b", cwd=where)
    assert done.stdout == "__main__ ['show.py', 'a', '-b'] helper 127.0.0.1\n"
    assert done.returncode == 5


def test_on_the_kernel_a_time_limit_ends_a_program(folder):
    done = catenet("run", "--net", "kernel", "--for", "2s", "busy.py", cwd=folder(busy__py=BUSY))
    assert (done.returncode, done.stdout) == (0, "up\ninterrupted\n")


def test_on_the_kernel_a_time_limit_ends_a_program_that_a_shell_has_put_into_the_background(folder):
    words = [sys.executable, "-m", "catenet", "run", "--net", "kernel", "--for", "1s", "busy.py"]
    script = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *words]
    done = commands.run(script, cwd=folder(busy__py=BUSY), capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "up\ninterrupted\n")


def test_on_the_kernel_asyncio_runs_on_uvloop_when_asked(folder):
    pytest.importorskip("uvloop")
    where = folder(
        loop__py="import asyncio\nasync def f(): print(type(asyncio.get_running_loop()))\nasyncio.run(f())\n"
    )
    done = catenet("run", "--net", "kernel", "--uvloop", "loop.py", cwd=where)
    assert done.stdout == "<class 'uvloop.Loop'>\n"


def test_the_players_run_by_hand_on_the_kernel(tmp_path):
    server = commands.Popen(
        [sys.executable, HISCORE / "server.py", "--port", "18765", "--folder", tmp_path],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout.readline() == "listening, with 0 scores\n"
        code = (HISCORE / "bob.py").read_text().replace("ROUNDS = 25", "ROUNDS = 2")
        (tmp_path / "bob.py").write_text(code)
        done = commands.run(
            [sys.executable, tmp_path / "bob.py", "http://127.0.0.1:18765"],
            text=True,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "all 2 scores are in the database" in done.stdout
    finally:
        server.terminate()
        server.communicate(timeout=60)


def test_no_program_of_the_demo_knows_catenet():
    for program in HISCORE.glob("*.py"):
        assert "catenet" not in program.read_text().lower()


def test_sigterm_stops_a_run_in_order_also_where_sigint_is_ignored(folder):
    """A shell without job control starts what it puts in the background with SIGINT ignored."""
    where = folder(tick__py="import time\nprint('started', flush=True)\nwhile True:\n    time.sleep(1)\n")
    run = commands.Popen(
        ["sh", "-c", 'trap "" INT; exec "$0" -m catenet run --json figures.json tick.py', sys.executable],
        cwd=where,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert "started" in run.stdout.readline()
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=30)
    assert run.returncode == 130
    assert json.loads((where / "figures.json").read_text())["processes"]


def test_sigterm_in_the_midst_of_a_programs_turn_is_the_runs_and_not_the_programs(folder):
    """The interpreter handles a signal in whatever Python code runs; here that is a program's, which gets it there."""
    where = folder(
        busy__py="""
        import signal, time
        from catenet.world.patches.install import original
        try:
            time.sleep(1)
            original(signal, "raise_signal")(signal.SIGTERM)
            print("goes on")
            time.sleep(1)
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    done = catenet_here("run", "--isolation", "shared", "busy.py", cwd=where)
    assert (done.returncode, done.stderr) == (130, "")
    assert re.findall(r"host  \| (.*)", done.stdout) == ["goes on", "interrupted"]


def test_the_figures_say_when_the_programs_ended_and_when_the_run_did(folder):
    where = folder(
        server__py="import socket\nlistener = socket.create_server(('', 80))\nwhile True:\n    listener.accept()\n",
        client__py="import time\ntime.sleep(3)\n",
        world__toml="[world]\nquiet = '12s'\n[hosts.a]\nrun = 'server.py'\n[hosts.b]\nrun = 'client.py'\n",
    )
    done = catenet_here("run", "world.toml", "--json", "figures.json", cwd=where)
    assert done.returncode == 0
    assert "15.000 s of the world's time (the last program ended at 3.000 s)" in done.stdout
    figures = json.loads((where / "figures.json").read_text())
    assert (figures["programs_ended"], figures["virtual_seconds"]) == (3.0, 15.0)
    cut = catenet_here("run", "world.toml", "--for", "2s", "--json", "figures.json", cwd=where)
    assert cut.returncode == 0
    assert "the last program" not in cut.stdout
    figures = json.loads((where / "figures.json").read_text())
    assert (figures["programs_ended"], figures["virtual_seconds"]) == (None, 2.0)


def test_a_program_by_itself_is_waited_for_although_it_listens(folder):
    where = folder(
        alone__py="""
        import socket, time
        with socket.create_server(("", 80)) as listener:
            listener.settimeout(1000)
            try:
                listener.accept()
            except TimeoutError:
                print("waited")
        """
    )
    done = catenet_here("run", "alone.py", cwd=where)
    assert (done.returncode, "host  | waited" in done.stdout) == (0, True)


BOUND = "import socket, time\nbound = socket.socket(type=socket.SOCK_DGRAM)\nbound.bind(('', 9))\ntime.sleep(1e6)\n"


@pytest.mark.parametrize(
    "event", ["", "[[events]]\nat = 1\ncrash = 'a'\n", "[[events]]\nat = 1\ncrash = 'a'\nfor = 2\n"]
)
@pytest.mark.parametrize("client", [False, True])
def test_a_crash_is_no_end_of_a_program(folder, event, client):
    text = f"[world]\nduration = '9s'\nquiet = '3s'\n[hosts.a]\nrun = 'bound.py'\n[hosts.b]\nrun = 'bound.py'\n{event}"
    extra = "[hosts.c]\nrun = 'client.py'\n" if client else ""
    where = folder(bound__py=BOUND, client__py="import time\ntime.sleep(0.5)\n", world__toml=text + extra)
    done = catenet_here("run", "world.toml", "--json", "figures.json", cwd=where)
    assert done.returncode == 0, done.stderr
    assert json.loads((where / "figures.json").read_text())["programs_ended"] == (0.5 if client else None)
    assert ("the last program ended at" in done.stdout) == client


@pytest.mark.parametrize("option", ["--json", "--pcap"])
def test_a_file_that_cannot_be_written_is_found_before_the_run(folder, option):
    where = folder(client__py="print('ran')\n")
    for bad, reason in (("missing/x", "no such file or directory"), (".", "is a directory")):
        done = catenet_here("run", option, bad, "client.py", cwd=where)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"catenet: {option} {bad}: {reason}\n")
        done = catenet_here("bridge", "l", "r", option, bad, cwd=where)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"catenet: {option} {bad}: {reason}\n")


@pytest.mark.parametrize("net", ["sim", "kernel"])
@pytest.mark.parametrize(
    "words",
    ["-m nomodule", "-m no.module", "-m empty", "-m empty.nothing", "-m space", "-m math", "-m json.tool.x", "-m .a",
     "-m a..b", "-m client.py", "-m nomain.__main__", "space"],
)  # fmt: skip
def test_what_cannot_be_run_is_told_as_the_interpreter_tells_it(folder, words, net):
    where = folder(client__py="print('ran')\n")
    (where / "empty").mkdir()
    (where / "empty" / "__init__.py").touch()
    (where / "space").mkdir()
    expected = commands.run([sys.executable, *words.split()], cwd=where, text=True, capture_output=True, check=False)
    done = catenet("run", "--net", net, *words.split(), cwd=where)
    shown = re.sub(r"^host +\| ", "", "".join(line for line in done.stderr.splitlines(keepends=True)))
    assert expected.stderr.count("\n") == 1
    assert (done.returncode, shown) == (expected.returncode, expected.stderr)


def test_a_script_that_is_gone_when_its_turn_comes_ends_as_it_ends_the_interpreter(folder):
    where = folder(
        first__py="import os\nos.unlink('second.py')\n",
        second__py="",
        world__toml="[hosts.a]\nrun = 'first.py'\n[hosts.b]\nrun = 'second.py'\nstart = 1\n",
    )
    done = catenet_here("run", "world.toml", "--json", "figures.json", cwd=where)
    text = f"{sys.executable}: can't open file {str(where / 'second.py')!r}: [Errno 2] No such file or directory"
    assert (done.returncode, "Traceback" in done.stderr, text in done.stderr) == (1, False, True)
    figures = json.loads((where / "figures.json").read_text())
    assert [process["exit_status"] for process in figures["processes"]] == [0, 2]


ENDLESS = {
    "a loop": "while True: pass",
    "to nobody": """
        import socket
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True: end.sendto(b"x" * 60000, ("127.0.0.1", 9))
        """,
}


@pytest.mark.parametrize("name", ENDLESS)
def test_two_signals_end_a_run_whose_host_never_answers(name, folder):
    """With status 130, the report, and what the program has said."""
    begun = "import pathlib\nprint('begun', flush=True)\npathlib.Path('begun').touch()\n"
    where = folder(busy__py=begun + textwrap.dedent(ENDLESS[name]))
    words = [*CATENET, "run", "--json", "figures.json", "busy.py"]
    with commands.Popen(words, real=True, cwd=where, stdout=-1, stderr=-1, text=True) as process:
        while not (where / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        while process.poll() is None and not has_taken_signals(process.pid):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.search(r"^host +\| begun$", out, re.MULTILINE)
    assert "all programs of this host have ended" in err
    (program,) = json.loads((where / "figures.json").read_text())["processes"]
    assert (program["name"], program["exit_status"]) == ("busy.py", 137)


def has_taken_signals(pid):
    """Whether a process has taken the signals that it was sent."""
    status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    return not int(status["ShdPnd"], 16) and not int(status["SigPnd"], 16)
