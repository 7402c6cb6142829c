"""catenet rpc serve, call, list and describe, as a person at a terminal uses them."""

import contextlib
import datetime
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from google.protobuf.descriptor_pool import DescriptorPool
from tests import commands

from catenet.cli import main
from catenet.cli.yaml_text import load_yaml
from catenet.rpc import RpcError, SyncChannel
from catenet.rpc.compile.command import describe_protos
from catenet.rpc.model.method import service_from_protobuf
from catenet.rpc.model.wellknown import HEALTH

pytestmark = pytest.mark.slow(60)

PROTO = Path(__file__).parents[2] / "examples" / "hiscore_rpc" / "hiscore.proto"
SCORES = """
import os
import hiscore_pb2 as pb
from catenet.rpc import Code, RpcError
from google.rpc.error_details_pb2 import ResourceInfo

class HiScore:
    async def get(self, request, context):
        if request.game == "broken":
            raise KeyError(request.game)
        if request.game != "tetris":
            raise RpcError(Code.NOT_FOUND, f"no game {request.game}", [ResourceInfo(resource_name=request.game)])
        context.set_trailing_metadata([("x-worker", str(os.getpid()))])
        context.set_initial_metadata([("x-token", context.get("authorization") or "none")])
        return pb.Score(game="tetris", player="alexey", points=VERSION)

    def top(self, request, context):
        for points in (3, 2, 1):
            yield pb.Score(points=points)

    async def load(self, requests, context):
        return pb.LoadSummary(scores=len([request async for request in requests]))

    async def play(self, requests, context):
        async for request in requests:
            yield pb.Rank(player=request.player)
"""


@contextlib.contextmanager
def serving(folder, *arguments, version=1, expect=0, real=False):
    """A running server; yields the process and the URLs it says it listens on."""
    (folder / "scores.py").write_text(SCORES.replace("VERSION", str(version)))
    command = [sys.executable, "-m", "catenet", "rpc", "serve", str(PROTO), "scores:HiScore", *arguments]
    process = commands.Popen(command, real=real, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process, told(process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == expect, process.stderr.read()
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def told(process):
    """The URLs of the line that says that a server serves."""
    line = process.stderr.readline()
    assert line.startswith("serving rpc on "), line
    return line.removeprefix("serving rpc on ").strip().split(", ")


def test_access_log_and_log_as_json(tmp_path, capsys):
    arguments = ["--listen", f"unix:{tmp_path}/s.sock", "--access-log=calls.log", "--log-json"]
    with serving(tmp_path, *arguments) as (process, urls):
        assert rpc(capsys, "call", urls[0], "HiScore/Get", '{"game": "tetris"}')[0] == 0
        assert rpc(capsys, "call", urls[0], "HiScore/Get", '{"game": "chess"}')[0] == 1
        assert rpc(capsys, "call", urls[0], "HiScore/Get", '{"game": "broken"}')[0] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        lines = process.stderr.read().splitlines()
    told = [json.loads(line) for line in (tmp_path / "calls.log").read_text().splitlines()]
    called = [each for each in told if each["method"] == "hiscore.HiScore/Get"]
    assert [each["code"] for each in called] == ["OK", "NOT_FOUND", "UNKNOWN"]
    assert {each["caller"] for each in called} == {f"uid:{os.getuid()}"}
    (logged,) = [json.loads(line) for line in lines]
    assert set(logged) == {"time", "level", "logger", "process", "message", "exception"}
    assert logged["level"] == "error" and "HiScore/Get called by" in logged["message"]
    assert logged["exception"].endswith("KeyError: 'broken'")


def test_access_log_that_cannot_be(tmp_path, capsys):
    where = ["rpc", "serve", str(PROTO), "scores:HiScore", "--listen", "tcp://127.0.0.1:0"]
    for words, complaint in (
        (["--access-log", f"{tmp_path}/none/log"], "--access-log"),
        (["--log-fields", "nope"], "--log-fields: no field 'nope' of the access log; known: time, client"),
    ):
        assert main([*where, *words]) == 2
        out, err = capsys.readouterr()
        assert not out and complaint in err and err.count("\n") == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with serving(folder, "--listen", "tcp://127.0.0.1:0", "--listen", f"unix:{folder}/s.sock", real=True) as (_, urls):
        yield urls


def rpc(capsys, *arguments):
    status = main(["rpc", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_list_and_describe(server, capsys):
    status, out, _ = rpc(capsys, "list", server[0])
    assert (status, "hiscore.HiScore" in out.split(), "grpc.health.v1.Health" in out.split()) == (0, True, True)
    assert rpc(capsys, "list", server[1], "HiScore")[1].split()[0] == "hiscore.HiScore/Get"
    assert "stream hiscore.Score) returns (stream hiscore.Rank);" in rpc(capsys, "describe", server[0], "HiScore")[1]
    assert "option idempotency_level = NO_SIDE_EFFECTS;" in rpc(capsys, "describe", server[0], "HiScore.Get")[1]
    assert "google.protobuf.Timestamp when = 4;" in rpc(capsys, "describe", server[0], "hiscore.Score")[1]
    assert "google.protobuf.Timestamp when = 4;" in rpc(capsys, "describe", server[0], "Score")[1]
    assert rpc(capsys, "describe", server[0])[1].count("service ") == 4


def test_a_token_in_plain_text_is_warned_of(server, capsys):
    warning = "catenet: warning: authorization goes to {} in plain text"
    for url, warned in ((server[0], True), (server[1], False)):
        for words in (["--token", "secret"], ["-H", "Authorization: Basic x"]):
            status, out, err = rpc(capsys, "call", url, "HiScore/Get", '{"game": "tetris"}', *words)
            assert status == 0 and json.loads(out)["points"] == "1" and "secret" not in err
            assert err.startswith(warning.format(url)) if warned else not err


def test_tls_to_a_plain_port_and_plain_text_to_one_with_tls(tmp_path, capsys, server):
    status, out, err = rpc(capsys, "list", server[0].replace("tcp", "tls"))
    assert (status, out) == (1, "") and "TLS: wrong version number; the peer does not seem to speak TLS" in err
    authority = trustme.CA()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    with serving(tmp_path, "--listen", "tls://localhost:0", "--cert", "server.pem") as (process, urls):
        for words in ([], ["--protocol", "connect", "--http1"]):
            status, out, err = rpc(capsys, "list", urls[0].replace("tls", "tcp"), *words)
            assert (status, out) == (1, "") and "TLS" in err and err.count("\n") == 1, err
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "a client does not speak TLS where this server does" in process.stderr.read()


WIRES = [
    [],
    ["--protocol", "connect"],
    ["--protocol", "connect", "--http1", "--codec", "json"],
    ["--protocol", "grpc-web", "--http1"],
    ["--compress", "gzip"],
]


@pytest.mark.parametrize("wire", WIRES, ids=" ".join)
def test_call_all_kinds_on_all_wires(server, capsys, wire):
    for url in server:
        status, out, _ = rpc(capsys, "call", url, "HiScore/Get", '{"game": "tetris"}', *wire)
        assert (status, json.loads(out)) == (0, {"game": "tetris", "player": "alexey", "points": "1"})
        out = rpc(capsys, "call", url, "HiScore/Top", *wire)[1]
        assert [json.loads(line)["points"] for line in out.splitlines()] == ["3", "2", "1"]
        assert json.loads(rpc(capsys, "call", url, "HiScore/Load", "{} {}\n{}", *wire)[1]) == {"scores": 3}
        out = rpc(capsys, "call", url, "hiscore.HiScore/Play", '{"player":"a"}{"player":"b"}', *wire)[1]
        assert out == '{"player":"a"}\n{"player":"b"}\n'


def test_call_by_proto_and_get(server, capsys):
    arguments = ["--proto", str(PROTO), "--protocol", "connect", "--get", "--codec", "json"]
    status, out, _ = rpc(capsys, "call", server[0], "HiScore/Get", '{"game": "tetris"}', *arguments)
    assert (status, json.loads(out)["player"]) == (0, "alexey")


def test_call_reads_files(server, capsys, tmp_path):
    (tmp_path / "scores.jsonl").write_text('{"player": "a"}\n{"player": "b"}\n')
    assert rpc(capsys, "call", server[0], "HiScore/Load", f"@{tmp_path}/scores.jsonl")[1] == '{"scores":2}\n'


def test_yaml_in_and_out(server, capsys, tmp_path):
    for wire in ([], ["--protocol", "connect", "--codec", "xml"]):
        status, out, _ = rpc(capsys, "call", server[0], "HiScore/Get", "--yaml", "game: tetris  # of 1984", *wire)
        assert (status, out) == (0, "---\ngame: tetris\nplayer: alexey\npoints: '1'\n")
    (tmp_path / "scores.yaml").write_text("player: a\n---\nplayer: b\n---\n{}\n")
    assert rpc(capsys, "call", server[0], "HiScore/Load", "--yaml", f"@{tmp_path}/scores.yaml")[1] == "---\nscores: 3\n"
    _, out, _ = rpc(capsys, "call", server[0], "HiScore/Play", "--yaml", "player: no\n---\nplayer: 'on'")
    assert [one["player"] for one in load_yaml(out)] == ["no", "on"]
    _, out, _ = rpc(capsys, "call", server[0], "HiScore/Top", "--yaml")
    assert [one["points"] for one in load_yaml(out)] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("game: [", "DATA is not YAML: line 1, column 8"),
        ("gaem: x", "no field"),
        ("game: 5", "game"),
        ("game: a\n---\ngame: b", "the method takes one message, DATA has 2"),
        ("a: &a [*a]", "DATA is not YAML: line 1, column 4: it contains itself"),
    ],
)
def test_yaml_that_is_wrong(server, capsys, data, complaint):
    status, out, err = rpc(capsys, "call", server[0], "HiScore/Get", "--yaml", data)
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert complaint in err


def test_lists_and_descriptions_for_programs(server, capsys):
    names = rpc(capsys, "list", server[0])[1].split()
    assert json.loads(rpc(capsys, "list", server[0], "--json")[1]) == names
    assert list(load_yaml(rpc(capsys, "list", server[0], "--yaml")[1])) == [names]
    for symbol, kind in (("hiscore.Score", "message"), ("HiScore", "service"), ("HiScore/Get", "method")):
        found = json.loads(rpc(capsys, "describe", server[0], symbol, "--json")[1])
        assert found["kind"] == kind
        assert found["full_name"].startswith("hiscore.")
        assert list(load_yaml(rpc(capsys, "describe", server[0], symbol, "--yaml")[1])) == [found]


def test_verbose_shows_metadata_and_timing(server, capsys):
    arguments = ["call", server[0], "HiScore/Get", '{"game": "tetris"}', "-v", "--token", "secret"]
    status, _, err = rpc(capsys, *arguments, "-H", "x-raw-bin: AAE=", "--timeout", "5")
    assert status == 0
    assert "> /hiscore.HiScore/Get (grpc, proto, unary)" in err
    assert "> x-raw-bin: AAE" in err
    assert "< x-token: Bearer secret" in err
    assert "< trailing x-worker: " in err
    assert re.search(r"< 1 response in [\d.]+ ms, first after [\d.]+ ms", err)


def test_a_failed_call_is_told_with_its_details(server, capsys):
    status, out, err = rpc(capsys, "call", server[0], "HiScore/Get", '{"game": "pong"}')
    assert (status, out) == (1, "")
    assert err.splitlines() == [
        "catenet: NOT_FOUND: no game pong",
        'catenet:   google.rpc.ResourceInfo {"resourceName": "pong"}',
    ]
    assert rpc(capsys, "call", server[0], "HiScore/Submit")[2].startswith("catenet: UNIMPLEMENTED: ")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["call", "{url}", "HiScore/Gte"], "no method of hiscore.HiScore 'Gte'; do you mean Get?"),
        (
            ["call", "{url}", "hiscore.HiScore", "{}"],
            "is a service, and the method is missing; there are: hiscore.HiScore/",
        ),
        (["call", "{url}", "HiScore"], "'HiScore' is a service, and the method is missing; there are: HiScore/"),
        (["call", "{url}", "HiScore/Get", "--timeout", "-1"], "argument --timeout: a duration cannot be negative"),
        (["call", "{url}", "HighScore/Get"], "no service 'HighScore'; do you mean HiScore?"),
        (["call", "{url}", "Get"], "'Get' names no method; write SERVICE/METHOD"),
        (["call", "{url}", "HiScore/Get", '{"gam": 1}'], "DATA: hiscore.GetRequest has no field 'gam'"),
        (["call", "{url}", "HiScore/Load", '{} {"points": "x"}'], "DATA, value 2: points: must be a whole number"),
        (["call", "{url}", "HiScore/Get", "{"], "DATA is not JSON"),
        (["call", "{url}", "HiScore/Get", "{} {}"], "the method takes one message, DATA has 2"),
        (["call", "{url}", "HiScore/Get", "@/no/such/file"], "/no/such/file: No such file"),
        (["call", "{url}", "HiScore/Get", "-H", "x"], "--header 'x': write NAME:VALUE"),
        (["call", "{url}", "HiScore/Get", "-H", "grpc-x: 1"], "cannot be the name of metadata"),
        (["call", "tpc://a:1", "HiScore/Get"], "do you mean tcp?"),
        (["call", "{url}", "HiScore/Get", "--http1"], "gRPC needs HTTP/2"),
        (["call", "{url}", "HiScore/Get", "--compress", "lzma"], "there are identity, gzip"),
        (["call", "{url}", "HiScore/Get", "--insecure"], "are for tls://"),
        (["call", "{url}", "HiScore/Get", "--proto", "no.proto"], "no.proto: no such file"),
        (
            ["call", "{url}", "HiScore/Get", "--authority", "a\r\nx: y"],
            "authority='a\\r\\nx: y': must be HOST or HOST:PORT",
        ),
        (["call", "{url}", "HiScore/Get", "--token", f"@{sys.executable}"], f"{sys.executable}: no UTF-8"),
        (["call", "{url}", "HiScore/Get", "--crl", "/no/such"], "--crl: /no/such: No such file or directory"),
        (["call", "tls://a:1", "HiScore/Get", "--crl", "x", "--insecure"], "--crl goes without --insecure"),
        (["call", "{url}", "HiScore/Get", "--service-config", "/no/such"], "/no/such: No such file"),
        (
            ["call", "{url}", "HiScore/Get", "--service-config", str(PROTO)],
            f"--service-config {PROTO}: service config: ",
        ),
        (["list", "{url}", "--service-config", sys.executable], "not JSON: no UTF-8"),
        (["describe", "{url}", "hiscore.Scor"], "no service or type 'hiscore.Scor'; do you mean hiscore.Score?"),
        (["describe", "{url}", "Summary"], "no service or type 'Summary'; do you mean LoadSummary?"),
        (["serve", "scores"], "write MODULE:NAME"),
        (["serve", "no_such_module:X"], "ModuleNotFoundError"),
        (["serve", "json:dumbs"], "module json has no 'dumbs'; do you mean dumps?"),
        (["serve", "json:JSONDecoder"], "derive it from a generated class"),
        (["serve", "x:Y", "--listen", "http://a:1"], "no scheme 'http'; known: tcp, tls, unix"),
        (["serve", "x:Y", "--listen", "tls://a:1"], "needs --tls, or --cert"),
        (["serve", "x:Y", "--grace", "nan"], "argument --grace: 'nan' is no number of seconds"),
        (["serve", "x:Y", "--grace=-1"], "argument --grace: '-1' is no number of seconds"),
        (["serve", "x:Y", "--browser-host", "http://a"], "argument --browser-host: 'http://a' is no host"),
        (["serve", "x:Y", "--explorer-host", "a:80"], "argument --explorer-host: 'a:80' is no host"),
        (["serve", "x:Y", "--workers", "0"], "--workers 0: at least 1"),
        (["serve", str(PROTO)], "nothing implements the services"),
    ],
)
def test_mistakes(server, capsys, arguments, complaint):
    status, out, err = rpc(capsys, *(text.replace("{url}", server[0]) for text in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("catenet: ")
    assert complaint in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("option", ["cert", "key", "client-ca", "crl"])
@pytest.mark.parametrize("what", ["missing", "junk"])
def test_the_option_whose_file_tls_cannot_use_is_named(tmp_path, capsys, option, what):
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    files = {name: tmp_path / f"{name}.pem" for name in ("cert", "key", "client-ca", "crl")}
    leaf.cert_chain_pems[0].write_to_path(files["cert"])
    leaf.private_key_pem.write_to_path(files["key"])
    authority.cert_pem.write_to_path(files["client-ca"])
    if option != "crl":
        del files["crl"]
    files[option] = tmp_path / "bad.pem"
    if what == "junk":
        files[option].write_text("junk\n")
    words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    (tmp_path / "scores.py").write_text(SCORES.replace("VERSION", "1"))
    serve = [*commands.CATENET, "rpc", "serve", str(PROTO), "scores:HiScore", "--listen", "tls://127.0.0.1:0", *words]
    done = commands.run(serve, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"catenet: --{option}: {tmp_path}/bad.pem: ")
    if option != "client-ca":
        named = "cacert" if option == "crl" else option
        files = {name: path for name, path in files.items() if name in ("cert", "key")}
        words = [word for name, path in files.items() for word in (f"--{name}", str(path))]
        words += ["--cacert", f"{tmp_path}/bad.pem"] if option == "crl" else []
        status, out, err = rpc(capsys, "call", "tls://127.0.0.1:1", "HiScore/Get", *words)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"catenet: --{named}: {tmp_path}/bad.pem: ")


WAITS = """
import asyncio
import hiscore_pb2 as pb

class HiScore:
    async def get(self, request, context):
        print("called", flush=True)
        await asyncio.sleep(1000)
        return pb.Score()
"""


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_the_second_ctrl_c_ends_a_server_that_waits_for_calls(tmp_path, workers):
    (tmp_path / "waits.py").write_text(WAITS)
    words = [*commands.CATENET, "rpc", "serve", str(PROTO), "waits:HiScore", "--listen", f"unix:{tmp_path}/s.sock"]
    with commands.Popen(
        [*words, "--grace", "1000", *workers], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        (url,) = told(process)
        call = [*commands.CATENET, "rpc", "call", url, "HiScore/Get", "--proto", str(PROTO)]
        with commands.Popen(call, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as caller:
            assert process.stdout.readline() == "called\n"
            process.send_signal(signal.SIGINT)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            while os.path.exists(f"{tmp_path}/s.sock") and len(children.read_text().split()) != 1:
                time.sleep(0.01)  # it takes no more calls and waits for that one, as one of the workers does
            assert process.poll() is None and caller.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
            assert (caller.wait(60), caller.stdout.read()) == (1, "")
            assert caller.stderr.read().startswith("catenet: UNAVAILABLE: ")
        assert process.stderr.read() == ""


def test_a_deadline_that_passes_before_there_is_a_connection_names_the_place(capsys):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, contextlib.ExitStack() as stack:
        for _ in range(2):  # nobody accepts: what comes after these is not answered
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(listener.getsockname())
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        words = ["call", url, "HiScore/Get", "--proto", str(PROTO), "--timeout", "100ms"]
        status, out, err = rpc(capsys, *words)
    assert (status, out) == (1, "")
    assert err.startswith("catenet: DEADLINE_EXCEEDED: the deadline passed while waiting for a connection")
    assert url.removeprefix("tcp://") in err and err.count("\n") == 1


def test_nobody_listens(capsys):
    status, _, err = rpc(capsys, "list", "tcp://127.0.0.1:1")
    assert status == 1
    assert err == "catenet: UNAVAILABLE: cannot connect to 127.0.0.1:1: Connection refused\n"


def test_mistakes_in_the_implementation_name_their_place(tmp_path):
    (tmp_path / "broken.py").write_text("x = 1\ny = undefined\n")
    command = [sys.executable, "-m", "catenet", "rpc", "serve", "broken:X"]
    done = commands.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert re.fullmatch(r"catenet: broken:X: \S*broken\.py:2: NameError: .*\n", done.stderr)


FAULTY = """
import hiscore_pb2 as pb
from catenet.rpc import Code

class HiScore:
    async def get(self, request, context):
        if request.game == "status":
            context.abort(Code.NOT_FOUND, "no such game")
        return {}["the secret"]

    def top(self, request, context):
        yield pb.Score(points=1)
        raise KeyError("the secret")
"""


def hiscore():
    pool = DescriptorPool()
    for file in describe_protos([PROTO]):
        pool.AddSerializedFile(file.SerializeToString())
    return service_from_protobuf(pool.FindServiceByName("hiscore.HiScore"))


def failing(folder, *arguments, games=("tetris",), source=FAULTY):
    """Serve handlers that fail, call them; return what is on stderr and what the callers were told."""
    (folder / "faulty.py").write_text(source)
    command = [sys.executable, "-m", "catenet", "rpc", "serve", str(PROTO), "faulty:HiScore"]
    command += ["--listen", f"unix:{folder}/s.sock", *arguments]
    told = []
    service = hiscore()
    with commands.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (folder / "s.sock").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        with SyncChannel(f"unix:{folder}/s.sock") as channel:
            for method, game in [*((service.method("Get"), game) for game in games), (service.method("Top"), "")]:
                request = method.request(game=game)
                with pytest.raises(RpcError) as caught:
                    if method.name == "Get":
                        channel.unary(method, request, timeout=30, wait_for_ready=True)
                    else:
                        list(channel.server_stream(method, request, timeout=30))
                told.append(caught.value.message)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0
    return out, err, told


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_failures_of_handlers_are_told_on_standard_error_alone(tmp_path, workers):
    _, err, told = failing(tmp_path, *workers)
    assert told == ["KeyError in the handler"] * 2
    heads = [line for line in err.splitlines() if " ERROR catenet.rpc: " in line]
    assert len(heads) == 2
    assert all(re.search(r"hiscore\.HiScore/\w+ called by \S+ failed: KeyError$", head) for head in heads)
    assert err.count("Traceback") == 2
    assert "faulty.py" in err and "KeyError: 'the secret'" in err


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        ((), {"ERROR"}),
        (("-q",), {"ERROR"}),
        (("-qq",), set()),
        (("-v",), {"ERROR", "INFO"}),
        (("--log-level", "info"), {"ERROR", "INFO"}),
        (("--log-level", "critical", "-vv"), set()),
    ],
)
def test_how_much_is_told(tmp_path, options, levels):
    out, err, told = failing(tmp_path, *options, games=("tetris", "status"))
    assert told == ["KeyError in the handler", "no such game", "KeyError in the handler"]
    assert set(re.findall(r" (INFO|ERROR) catenet\.rpc: ", err)) == levels
    assert ("NOT_FOUND: no such game" in err) == ("INFO" in levels)
    assert not out
    assert ("serving rpc on " in err) == ("-q" not in options and "-qq" not in options)


def test_a_program_that_configures_logging_is_left_alone(tmp_path):
    own = "import logging; logging.basicConfig(format='OWN %(levelname)s %(message)s', level='ERROR')\n"
    _, err, _ = failing(tmp_path, source=own + FAULTY)
    assert len(re.findall("^OWN ERROR hiscore", err, re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import sys\nsys.exit(3)\n", r"mine\.py:2: ends the process, with 3"),
        ("import json\njson.loads('{')\n", r"mine\.py:2: JSONDecodeError: "),
        (
            "class X:\n    def __init__(self):\n        raise OSError('a\\nb')\n    __service__ = 1\n",
            r"mine\.py:3: OSError: a\\nb",
        ),
        ("import no_such_thing\n", r"mine\.py:1: ModuleNotFoundError"),
        ("def f(:\n", r"mine\.py:1: SyntaxError"),
        ("class X:\n    __service__ = 1\n", "X has no __service__"),
        ("from hiscore_rpc import HiScoreService as X\n", "HiScoreService implements no method of hiscore.HiScore"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--workers", "2")])
def test_a_program_that_cannot_start_says_why_in_a_line(tmp_path, source, complaint, more):
    (tmp_path / "mine.py").write_text(source)
    command = [sys.executable, "-m", "catenet", "rpc", "serve", str(PROTO), "mine:X", "--listen", "tcp://127.0.0.1:0"]
    done = commands.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    lines = set(done.stderr.splitlines())
    assert done.returncode == 2
    assert len(lines) == 1, done.stderr
    assert re.search(complaint, done.stderr)
    if "raise" in source and not more:
        done = commands.run([*command, "-v"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.stderr.startswith("Traceback")


def test_workers_share_port_and_socket(tmp_path, capsys):
    arguments = ["--workers", "2", "--listen", "tcp://127.0.0.1:0", "--listen", f"unix:{tmp_path}/s.sock"]
    with serving(tmp_path, *arguments) as (process, urls):
        lines = urls
        pids = set()
        deadline = time.monotonic() + 30
        while len(pids) < 2 and time.monotonic() < deadline:
            for url in set(lines):
                err = rpc(capsys, "call", url, "HiScore/Get", '{"game": "tetris"}', "-v", "--proto", str(PROTO))[2]
                pids.add(re.search(r"x-worker: (\d+)", err)[1])
        assert len(pids) == 2
        assert str(process.pid) not in pids
        os.kill(int(pids.pop()), signal.SIGKILL)
        assert "ended with status -9, starting it again" in process.stderr.readline()
    assert not (tmp_path / "s.sock").exists()


def test_reload(tmp_path, capsys):
    with serving(tmp_path, "--reload", "--listen", "tcp://127.0.0.1:0") as (process, (url,)):
        call = ["call", url, "HiScore/Get", '{"game": "tetris"}', "--proto", str(PROTO)]
        assert json.loads(rpc(capsys, *call)[1])["points"] == "1"
        (tmp_path / "scores.py").write_text("this is no Python")
        assert "files have changed" in process.stderr.readline()
        assert "scores.py:1: SyntaxError" in process.stderr.readline()
        (tmp_path / "scores.py").write_text(SCORES.replace("VERSION", "2"))
        assert "files have changed" in process.stderr.readline()
        assert told(process) == [url]
        assert json.loads(rpc(capsys, *call)[1])["points"] == "2"


def test_health_checks_say_so_before_a_server_drains(tmp_path):
    watch = HEALTH.method("Watch")
    with (
        serving(tmp_path, "--listen", "tcp://127.0.0.1:0", "--drain", "600", expect=130) as (process, urls),
        SyncChannel(urls[0]) as channel,
    ):
        told = channel.server_stream(watch, watch.request())
        assert next(told).status == 1
        process.send_signal(signal.SIGTERM)
        assert next(told).status == 2
        check = HEALTH.method("Check")
        with SyncChannel(urls[0]) as another:
            assert another.unary(check, check.request()).status == 2, "calls are taken all the same"
        told.close()
        for _ in range(2):  # whoever does not want to wait
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        process.wait(20)


def test_without_reflection(tmp_path, capsys):
    with serving(tmp_path, "--no-reflection", "--listen", f"unix:{tmp_path}/s.sock") as (_, (url,)):
        status, _, err = rpc(capsys, "list", url)
        assert (status, err) == (1, "catenet: UNIMPLEMENTED: the server has no reflection: its .proto is needed\n")
        assert rpc(capsys, "call", url, "grpc.health.v1.Health/Check")[:2] == (0, '{"status":"SERVING"}\n')
        assert rpc(capsys, "list", url, "--proto", str(PROTO))[1] == "hiscore.HiScore\n"


def test_a_service_config_says_how_calls_are_made(server, tmp_path, capsys):
    config = tmp_path / "config.json"
    words = ["call", server[0], "HiScore/Get", '{"game": "tetris"}', "--service-config", str(config)]
    for timeout, expected in (("60s", 0), ("0.000001s", 1)):
        given = {"name": [{"service": "hiscore.HiScore"}], "timeout": timeout}
        config.write_text(json.dumps({"methodConfig": [given]}))
        status, _, err = rpc(capsys, *words)
        assert (status, "DEADLINE_EXCEEDED" in err) == (expected, bool(expected))
    wrong = {"methodConfig": [{"name": [{}], "hedgingPolicy": {"maxAttempts": 1}}]}
    config.write_text(json.dumps(wrong))
    status, _, err = rpc(capsys, *words)
    assert (status, err.count("\n")) == (2, 1)
    place = "service config.methodConfig[0].hedgingPolicy: maxAttempts"
    assert err.startswith(f"catenet: --service-config {config}: {place}")


def test_tls_with_client_certificates(tmp_path, capsys):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.issue_cert("client@example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
    tls = ["--cert", str(tmp_path / "server.pem"), "--client-ca", str(tmp_path / "ca.pem")]
    with serving(tmp_path, "--listen", "tls://localhost:0", *tls) as (_, (url,)):
        trust = ["--cacert", str(tmp_path / "ca.pem"), "--proto", str(PROTO)]
        call = ["call", url, "HiScore/Get", '{"game": "tetris"}', *trust]
        assert rpc(capsys, *call, "--cert", str(tmp_path / "client.pem"))[0] == 0
        status, _, err = rpc(capsys, *call, "--timeout", "5")
        assert status == 1
        assert err.startswith("catenet: ")
        revoking(authority, tmp_path / "crl.pem")
        mine = ["--cert", str(tmp_path / "client.pem"), "--crl", str(tmp_path / "crl.pem")]
        assert rpc(capsys, *call, *mine)[0] == 0
        revoking(authority, tmp_path / "crl.pem", tmp_path / "server.pem")
        status, _, err = rpc(capsys, *call, *mine)
        assert (status, "certificate revoked" in err) == (1, True)
    revoking(authority, tmp_path / "crl.pem", tmp_path / "client.pem")
    with serving(tmp_path, "--listen", "tls://localhost:0", *tls, "--crl", str(tmp_path / "crl.pem")) as (_, (url,)):
        call[1] = url
        status, _, err = rpc(capsys, *call, "--cert", str(tmp_path / "client.pem"), "--timeout", "60")
        assert (status, err.count("\n")) == (1, 1)


def revoking(authority, path, *certificates):
    """Write the list of certificates that the authority has revoked."""
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateRevocationListBuilder(issuer.subject, now - day, now + day)
    for file in certificates:
        serial = x509.load_pem_x509_certificate(file.read_bytes()).serial_number
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now - day).build())
    made = builder.sign(load_pem_private_key(authority.private_key_pem.bytes(), None), hashes.SHA256())
    path.write_bytes(made.public_bytes(Encoding.PEM))


@pytest.mark.parametrize("options", [("--loop", "uvloop"), ("--loop", "asyncio"), ("--workers", "2")])
def test_limits_hold_in_every_worker(tmp_path, capsys, options):
    """Silent connections take all places, on TCP and on a Unix socket; when their time is over a call gets through."""
    limits = ("--max-connections", "4", "--handshake-timeout", "1", "--min-rate", "100", "--max-queued-total", "100000")
    listen = ("--listen", "tcp://127.0.0.1:0", "--listen", f"unix:{tmp_path}/s.sock")
    arguments = (*options, *limits, "--max-queued", "50000", *listen)
    with serving(tmp_path, *arguments) as (_, urls), contextlib.ExitStack() as held:
        port = int(urls[0].rpartition(":")[2])
        for _ in range(20):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock = held.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(f"{tmp_path}/s.sock")
        for url in (urls[0], f"unix:{tmp_path}/s.sock"):
            assert rpc(capsys, "call", url, "HiScore/Get", '{"game": "tetris"}', "--timeout", "60")[0] == 0


@pytest.mark.parametrize(
    "option",
    ["--max-connections=0", "--handshake-timeout=nan", "--min-rate=-1", "--max-queued=1.5", "--max-queued-total=x"],
)
def test_limits_that_are_none_are_refused(capsys, option):
    status, _, error = rpc(capsys, "serve", "a:B", option)
    name, _, value = option.partition("=")
    assert status == 2 and error.startswith(f"catenet: argument {name}: '{value}' is no ") and error.count("\n") == 1


def metrics_of(process):
    """Where the server says that its metrics are."""
    line = process.stderr.readline()
    assert line.startswith("metrics on http://127.0.0.1:"), line
    return line.removeprefix("metrics on ").strip()


def scraped(url):
    """The started calls by worker and method, as Prometheus reads them."""
    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(url, timeout=60) as answer:
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    assert {"grpc_server_call_duration_seconds", "catenet_rpc_connections", "process_open_fds"} <= families.keys()
    return {
        (sample.labels.get("worker"), sample.labels["grpc_method"]): sample.value
        for sample in families["grpc_server_call_started"].samples
    }


@contextlib.contextmanager
def measured(folder, *arguments):
    """A server with metrics; yields where they are, and where it serves."""
    (folder / "scores.py").write_text(SCORES.replace("VERSION", "1"))
    command = [sys.executable, "-m", "catenet", "rpc", "serve", str(PROTO), "scores:HiScore", "--metrics", ":0"]
    with commands.Popen([*command, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield metrics_of(process), told(process)[0]
        finally:
            process.terminate()


def test_metrics(tmp_path, capsys):
    with measured(tmp_path, "--listen", f"unix:{tmp_path}/s.sock") as (where, url):
        for _ in range(2):
            assert rpc(capsys, "call", url, "HiScore/Get", '{"game": "tetris"}', "--proto", str(PROTO))[0] == 0
        assert scraped(where)[None, "hiscore.HiScore/Get"] == 2


def test_metrics_of_all_workers_at_one_place(tmp_path, capsys):
    with measured(tmp_path, "--workers", "3", "--listen", f"unix:{tmp_path}/s.sock") as (where, url):
        for _ in range(6):
            assert rpc(capsys, "call", url, "HiScore/Get", '{"game": "tetris"}', "--proto", str(PROTO))[0] == 0
        found = scraped(where)
        workers = [str(each) for each in range(3)]
        assert {worker for worker, _ in found} == set(workers)
        assert sum(found[worker, "hiscore.HiScore/Get"] for worker in workers) == 6


@pytest.mark.parametrize("address", ["scores:HiScore", "127.0.0.1", "localhost:99999", "unix:", "https://x:1"])
def test_metrics_at_no_address(address, capsys):
    status, _, err = rpc(capsys, "serve", "x:Y", "--metrics", address)
    assert status == 2
    assert err == f"catenet: --metrics {address}: no address; write --metrics=HOST:PORT, :PORT or unix:PATH\n"


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        (["--listen", "tcp://0.0.0.0:0"], False),
        (["--listen", "tcp://0.0.0.0:0", "--reflection"], True),
        (["--listen", "tcp://127.0.0.1:0"], True),
    ],
)
def test_reflection_is_for_this_machine_unless_told(tmp_path, capsys, words, listed):
    with serving(tmp_path, *words) as (_, (url,)):
        status, out, _ = rpc(capsys, "list", url.replace("0.0.0.0", "127.0.0.1"))
        assert (status == 0) is listed
        assert ("hiscore.HiScore" in out) is listed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--listen", "tcp://127.0.0.1:0"], {"localhost": 200, "rebound.example": 403}),
        (
            ["--listen", "tcp://127.0.0.1:0", "--browser-host", "Shop.example"],
            {"shop.example": 200, "other.example": 403},
        ),
        (["--listen", "tcp://0.0.0.0:0"], {"shop.example": 200}),
    ],
)
def test_by_which_names_browsers_may_call(tmp_path, words, expected):
    """Of a server for this machine alone, only by names of this machine: others may point here (DNS rebinding)."""
    with serving(tmp_path, *words) as (_, (url,)):
        place = url.replace("tcp", "http").replace("0.0.0.0", "127.0.0.1")
        for host, status in expected.items():
            fields = {"content-type": "application/json", "host": host, "origin": f"http://{host}"}
            request = urllib.request.Request(f"{place}/hiscore.HiScore/Get", b'{"game": "tetris"}', fields)
            try:
                found = urllib.request.urlopen(request, timeout=60).status
            except urllib.error.HTTPError as error:
                found = error.code
            assert found == status, host
            del fields["origin"]
            request = urllib.request.Request(f"{place}/hiscore.HiScore/Get", b'{"game": "tetris"}', fields)
            assert urllib.request.urlopen(request, timeout=60).status == 200, "no browser"


def test_over_sessions(tmp_path, capsys):
    key, other = tmp_path / "key", tmp_path / "other"
    key.write_text("a secret that both ends have")
    other.write_text("a secret that nobody else has")
    arguments = ("--listen", "tcp://127.0.0.1:0", "--listen", "session+grpc://127.0.0.1:0", "--session-key", str(key))
    with serving(tmp_path, *arguments) as (_, (plain, url)):
        assert url.startswith("session+grpc://127.0.0.1:")
        given = ("--session-key", str(key), "--session-expiry", "1min")
        for target in (plain, url, url.replace("+grpc", "+tcp")):
            out = rpc(capsys, "call", target, "HiScore/Load", "{} {}", *given)[1]
            assert json.loads(out) == {"scores": 2}
        assert "hiscore.HiScore" in rpc(capsys, "list", url, *given)[1].split()
        for wrong in ((), ("--session-key", str(other))):
            status, _, err = rpc(capsys, "call", url, "HiScore/Load", "{}", *wrong)
            assert (status, err.count("\n")) == (1, 1) and "its key is another" in err


WRONG_SESSIONS = [
    (["serve", "x:X", "--listen", "session+grpc://:0", "--workers", "2"], "a session lives in one process"),
    (["serve", "x:X", "--listen", "session+grpcs://:0"], "needs --tls, or --cert"),
    (["call", "session+grpc://h:1", "A/B", "--session-key", "/nowhere"], "--session-key /nowhere: no such file"),
    (
        ["call", "session+grpc://h:1", "A/B", "--session-expiry", "0.1s"],
        "--session-expiry=0.1: must be a number from",
    ),
    (["call", "session+grcp://h:1", "A/B"], "do you mean session+grpc?"),
    (["call", "session+grpc://h:1", "A/B", "--insecure"], "are for tls://, https:// and session+grpcs://"),
]


@pytest.mark.parametrize(("arguments", "text"), WRONG_SESSIONS, ids=[" ".join(row[0]) for row in WRONG_SESSIONS])
def test_what_cannot_be_said_of_sessions(capsys, arguments, text):
    status, _, err = rpc(capsys, *arguments)
    assert (status, err.count("\n")) == (2, 1) and text in err, err


def test_cors_that_cannot_be(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scores.py").write_text(SCORES.replace("VERSION", "1"))
    assert main(["rpc", "serve", str(PROTO), "scores:HiScore", "--cors", "shop.example"]) == 2
    assert "'shop.example' is no origin; write https://shop.example" in capsys.readouterr().err
