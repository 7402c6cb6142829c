"""Names, addresses and peers' texts in everything that is printed: as they are, and on a terminal without effect."""

import argparse
import asyncio
import io
import json
import os
import pty
import re
import sys
import threading
from types import SimpleNamespace

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hypothesis import given
from hypothesis import strategies as st
from tests import commands

from catenet.cli import UsageError, addrs, bridge, main, rpc_call, rpc_channel, rpc_list, run, ss
from catenet.cli.console import Console
from catenet.printable import printable, printable_json, say
from catenet.rpc import Code, Kind, RpcError
from catenet.tables import make_table, show
from catenet.world.observe.report import HostReport, ProcessReport, Report, tables

CATENET = [sys.executable, "-m", "catenet"]
NAMES = ["[red]q.py", ":b:", "[/]", "[link=x]y", "fd00:ab:cd:b::1", "\\[bold]", "w" * 500, "日本" * 100, "%s {0} \\n"]
CONTROLS = [
    "\x1b[31mred\x1b[0m",
    "a\nb",
    "a\rb",
    "tab\there",
    "\x9b2J",
    "right\u202eleft",
    "half \ud800",
    "\x07\x08\x7f",
]


class Stream(io.StringIO):
    """A stream that may be a terminal, and whose encoding may be poor."""

    def __init__(self, terminal=False, encoding="utf-8"):
        super().__init__()
        self._terminal, self._encoding = terminal, encoding

    encoding = property(lambda self: self._encoding)

    def isatty(self):
        return self._terminal

    def write(self, text):
        text.encode(self._encoding)
        return super().write(text)


@pytest.fixture(params=[False, True], ids=["file", "terminal"])
def streams(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", "10000")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")

    def take():
        """Take the place of the standard streams; within the test, as pytest changes them between its phases."""
        out, err = Stream(request.param), Stream(request.param)
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        return out, err

    return take


SGR = re.compile("\x1b\\[[0-9;]*m")


def holds(stream, name):
    """Whether a name stands there whole: as it is in a file, escaped on a terminal; and nothing else is a control."""
    text = SGR.sub("", stream.getvalue()) if stream.isatty() and "\x1b" not in name else stream.getvalue()
    if stream.isatty():
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]", SGR.sub("", text)), text
    # What the encoding has not is escaped in a file too.
    return (printable(name) if stream.isatty() else name.encode("utf-8", "backslashreplace").decode()) in text


def a_report(name):
    host = HostReport(name, [name], drops={name: 3})
    process = ProcessReport(name, name, 0, "exited", 0.0, 1.0)
    return Report(name, 1.0, 1.0, 1, 0, 0, "", [host], [process], deadlock=f"{name} waits")


@pytest.mark.parametrize("name", NAMES + CONTROLS)
def test_a_table_shows_every_name(name, streams):
    out, _err = streams()
    for table in tables(a_report(name)):
        show(table, out)
    text = SGR.sub("", out.getvalue())
    # host, its causes of drops, host of the process, program
    assert text.count(printable(name)) == 4
    assert "\x1b" not in text and "\ud800" not in text


@pytest.mark.parametrize("name", NAMES + CONTROLS)
def test_the_end_of_a_run_shows_every_name(name, streams):
    out, err = streams()
    run._show(a_report(name), Console([name], name, tables=True))
    assert SGR.sub("", out.getvalue()).count(printable(name)) >= 4
    assert holds(err, f"{name} waits")
    assert holds(out, f"retransmitted; seed {name}")


@pytest.mark.parametrize("name", NAMES + CONTROLS)
def test_lines_of_a_run(name, streams):
    out, err = streams()
    console = Console([name], name)
    console.line(name, "stderr", "as the program wrote it \x1b[1m")
    assert "as the program wrote it \x1b[1m" in err.getvalue()
    console.line(name, "stdout", "text")
    console.announce(f"{name} crashes")
    console.progress(1.0)
    console.finish()
    assert holds(out, name)
    assert holds(out, f"{name} crashes")


@pytest.mark.parametrize("name", NAMES + CONTROLS)
def test_addrs(name, streams, monkeypatch):
    out, _err = streams()
    address = addrs.AddressRow(name, 64, 6, name, [name])
    row = addrs.InterfaceRow(1, name, [name], 1500, name, [address])
    monkeypatch.setattr(addrs, "_interfaces", lambda: [row, addrs.InterfaceRow(2, name, [], None)])
    assert addrs.run(argparse.Namespace(json=False, one_line=False)) == 0
    text = SGR.sub("", out.getvalue())
    assert text.count(printable(name)) == 7
    assert f"{printable(name)}/64" in text
    out, _ = streams()
    assert addrs.run(argparse.Namespace(json=True, one_line=False)) == 0
    assert json.loads(out.getvalue())[0]["name"] == name


@pytest.mark.parametrize("name", NAMES + CONTROLS)
def test_ss(name, streams, monkeypatch):
    out, _err = streams()
    row = {"netid": "tcp", "state": "ESTAB", "recv_q": 0, "send_q": 0, "timer": None, "info": None}
    row |= {"host": name, "local": name, "peer": name, "process": name}
    monkeypatch.setattr(ss, "_ask", lambda pid: [row])
    parser = argparse.ArgumentParser()
    ss.register(parser)
    assert ss.run(parser.parse_args([])) == 0
    assert holds(out, f"{name}:")
    assert out.getvalue().count(printable(name)) >= 3


@pytest.mark.parametrize("name", NAMES + CONTROLS)
def test_errors_of_usage_and_of_peers(name, streams, monkeypatch):
    _out, err = streams()
    monkeypatch.setattr("catenet.cli.addrs.run", lambda args: (_ for _ in ()).throw(UsageError(f"no {name}")))
    assert main(["addrs"]) == 2
    assert holds(err, f"no {name}")
    rpc_channel.show_error(RpcError(Code.NOT_FOUND, name))
    assert holds(err, f"NOT_FOUND: {name}" if "\ud800" not in name else "NOT_FOUND")


@pytest.mark.parametrize("name", NAMES + CONTROLS)
def test_what_a_server_says(name, streams):
    out, err = streams()
    names, metadata = [name], [("x-a", "\x9b2J"), ("x-bin", name.encode("utf-8", "replace"))]

    async def listed():
        return names

    args = argparse.Namespace(service=None, json=False, yaml=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            rpc_list, "with_channel", lambda args, work: asyncio.run(work(None, SimpleNamespace(services=listed)))
        )
        assert rpc_list.run(args) == 0
    assert holds(out, name)
    out, err = streams()
    method = SimpleNamespace(path=f"/{name}", kind=Kind.UNARY)
    options = argparse.Namespace(
        verbose=True, yaml=False, timeout=None, protocol="grpc", codec="proto", header=[], token=None
    )
    call = rpc_call._Call(None, method, [], options, SimpleNamespace())
    value = name.encode("utf-8", "replace").decode()
    call._print(StringValue(value=value))
    assert json.loads(out.getvalue()) == value
    if out.isatty():
        assert not re.search("[\x7f-\x9f\u202e]", out.getvalue())
    call._note_metadata("<", metadata)
    assert holds(err, "< x-a: \x9b2J")


def test_bridge(streams):
    _out, err = streams()
    from catenet.link.properties import LinkProperties
    from catenet.link.simulated import SimulatedLink

    links = [SimulatedLink(LinkProperties(), None) for _ in range(2)]
    bridge._report(["[red]a", ":b:"], links, None)
    assert "[red]a to :b:: packets 0" in err.getvalue()
    assert ":b: to [red]a: packets 0" in err.getvalue()


@given(st.text(st.characters()))
def test_printable_has_no_effect_and_keeps_what_has_none(text):
    made = printable(text)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", made)
    assert printable(made) == made
    made.encode()
    if text.isprintable():
        assert made == text
    assert json.loads(printable_json(json.dumps(text, ensure_ascii=False))) == text


@given(st.text(st.characters()), st.sampled_from(["ascii", "latin-1", "utf-8"]), st.booleans())
def test_every_text_can_be_written(text, encoding, terminal):
    out = Stream(terminal, encoding)
    say(text, file=out)
    show(make_table(["a"], [[text]], title=text), out)
    assert out.getvalue()


def test_in_a_pipe_a_long_name_is_not_cut():
    name = "n" * 300
    for table in tables(a_report(name)):
        out = Stream()
        show(table, out)
        assert name in out.getvalue()


def test_a_narrow_terminal_folds_and_cuts_nothing(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out = Stream(terminal=True)
    show(make_table(["name", "other"], [["abcdefghij" * 10, "x"]]), out)
    text = SGR.sub("", out.getvalue())
    assert "…" not in text
    assert "".join(re.findall("[a-j]", text.split("other")[1])) == "abcdefghij" * 10


def on_terminal(command, folder):
    """Run a command with a pseudo-terminal for its streams; return what the terminal gets."""
    master, slave = pty.openpty()
    process = commands.Popen(command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env={**os.environ})
    os.close(slave)
    pieces = []

    def read():
        try:
            while piece := os.read(master, 65536):
                pieces.append(piece)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    process.wait(100)
    reader.join(100)
    os.close(master)
    return b"".join(pieces)


WORLD = """
[hosts."h"]
run = "-m catenet addrs"
address = ["fd00:ab:cd:b::1/64", "10.7.7.7/24"]
"""


def test_whole_commands(tmp_path):
    (tmp_path / "world.toml").write_text(WORLD)
    for script in ("[red]q.py", ":b:.py", "a\x1b[31m\udcff.py"):
        (tmp_path / script).write_text("print('[bold]:b:')")
    done = commands.run([*CATENET, "run", "world.toml"], cwd=tmp_path, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert b"fd00:ab:cd:b::1/64" in done.stdout
    for script in ("[red]q.py", ":b:.py"):
        done = commands.run(
            [*CATENET, "run", "--tables", script], cwd=tmp_path, capture_output=True, text=True, timeout=100
        )
        assert "host  | [bold]:b:" in done.stdout
        assert re.search(rf"host +│ +'?{re.escape(script)}", done.stdout), done.stdout
    shown = on_terminal([*CATENET, "run", "a\x1b[31m\udcff.py"], tmp_path)
    assert b"a\\x1b[31m\\udcff.py" in shown
    assert b"a\x1b[31m" not in shown
    done = commands.run([*CATENET, "run", "no\udcff.py"], cwd=tmp_path, capture_output=True, timeout=100)
    assert (done.returncode, b"Traceback" in done.stderr) == (2, False)
