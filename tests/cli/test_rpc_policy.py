"""catenet rpc policy, and serving with one."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
import trustme
from tests import commands

from catenet.cli import main

POLICY = """
[[policy]]
method = "box.v1.Boxes/Open"
allow = ["owner", "uid:0"]
object = "id"

[[policy]]
method = "box.v1.Boxes/*"
deny = ["gid:99"]

[[policy]]
method = "box.v1.Boxes/List"
allow = ["authenticated"]

[[limit]]
rate = "100/s"
"""
NO_METHOD = "there is no method box.v1.Boxes/Opne (did you mean box.v1.Boxes/Open?)"
PROTO = """
syntax = "proto3";
package box.v1;
service Boxes {
  rpc Open(Box) returns (Box);
  rpc List(Box) returns (Box);
  rpc Close(Box) returns (Box);
}
message Box { string id = 1; }
"""
BOXES = """
class Boxes:
    async def open(self, request, context):
        return request
    async def list(self, request, context):
        return request
    def owner_of(self, name):
        return {"mine": "uid:%d"}.get(name)
"""

GREETER = """
from catenet.rpc import service

@service("t.v1")
class Greeter:
    async def greet(self) -> str:
        return "hello"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policy.toml").write_text(POLICY)
    (tmp_path / "box.proto").write_text(PROTO)
    (tmp_path / "boxes.py").write_text(BOXES % os.geteuid())
    return tmp_path


def policy(capsys, *words):
    status = main(["rpc", "policy", *words])
    return status, capsys.readouterr()


@pytest.mark.parametrize(
    ("words", "status", "last"),
    [
        (["Open", "--as", "uid:0"], 0, "allowed by policy.toml, policy 1, once the message is decoded"),
        (
            ["Open", "--as", "uid:5", "--owner", "uid:5"],
            0,
            "allowed by policy.toml, policy 1, once the message is decoded",
        ),
        (
            ["Open", "--as", "uid:5", "--owner", "uid:6"],
            1,
            "refused by policy.toml, no rule, once the message is decoded",
        ),
        (["Open"], 1, "refused by policy.toml, no rule, before the message is decoded"),
        (["List", "--as", "uid:5"], 0, "allowed by policy.toml, policy 3, before the message is decoded"),
        (
            ["List", "--as", "uid:5", "--as", "gid:99"],
            1,
            "refused by policy.toml, policy 2, before the message is decoded",
        ),
        (["Close", "--as", "uid:0"], 1, "refused by policy.toml, no rule, before the message is decoded"),
    ],
)
def test_explain(capsys, words, status, last):
    found, shown = policy(capsys, "explain", "box.v1.Boxes/" + words[0], *words[1:])
    assert (found, shown.out.splitlines()[-1]) == (status, last)


def test_explain_shows_every_rule(capsys):
    _, shown = policy(capsys, "explain", "box.v1.Boxes/Open", "--as", "uid:0")
    assert shown.out.splitlines()[:3] == [
        "box.v1.Boxes/Open for uid:0",
        "  policy.toml, policy 2: deny gid:99: does not match",
        "  policy.toml, policy 1: allow owner or uid:0 of 'id': matches",
    ]
    status, shown = policy(capsys, "explain", "grpc.health.v1.Health/Check")
    assert (status, shown.out.splitlines()[1]) == (0, "allowed: the method is exempt")


def test_explain_as_json(capsys):
    status, shown = policy(capsys, "explain", "box.v1.Boxes/Open", "--as", "uid:7", "--json")
    told = json.loads(shown.out)
    assert status == 1
    assert (told["allowed"], told["caller"], told["rule"], len(told["rules"])) == (
        False,
        "uid:7",
        "policy.toml, no rule",
        2,
    )


def test_check(capsys):
    status, shown = policy(capsys, "check", "box.proto")
    assert status == 0
    assert shown.out.splitlines() == [
        "3 rules, 1 limits",
        "box.v1.Boxes/Close: no rule allows it (a decorator of its handler may)",
    ]
    status, shown = policy(capsys, "check", "box.proto", "--json")
    assert json.loads(shown.out) == {"rules": 3, "limits": 1, "methods": 3, "not_allowed": ["box.v1.Boxes/Close"]}


@pytest.mark.parametrize(
    ("words", "text", "complaint"),
    [
        (["check", "box.proto"], POLICY.replace("Boxes/Open", "Boxes/Opne"), "policy 1: " + NO_METHOD),
        (["check"], "[[policy]]\nmethod = 'a.B/C'\nalow = 1", "policy 1: 'alow' is unknown (did you mean 'allow'?)"),
        (["explain", "a.B/C", "--policy", "nowhere.toml"], "", "nowhere.toml: No such file or directory"),
        (["explain", "Open"], "", "'Open': write package.Service/Method"),
        (["explain", "a.B/C", "--as", "udi:0"], "", "--as: 'udi:0' is no name of a caller (did you mean 'uid'?)"),
        (["check", "p2.toml"], "", "p2.toml: a .proto file is expected; do you mean --policy p2.toml?"),
        (["explain", "a.B/C", "--as", "sope:0"], "", "--as: 'sope:0' is no name of a caller (did you mean 'scope'?)"),
        (["replay", "nowhere.log"], "", "nowhere.log: No such file or directory"),
        (["replay", "box.proto"], "", "box.proto: line 1: no record of an audit log"),
    ],
)
def test_mistakes(capsys, folder, words, text, complaint):
    (folder / "policy.toml").write_text(text)
    status, shown = policy(capsys, *words)
    assert status == 2
    assert complaint in shown.err
    assert shown.err.count("\n") == 1


def call(capsys, *words):
    status = main(["rpc", "call", *words])
    return status, capsys.readouterr()


def serving(*words):
    command = [
        sys.executable,
        "-m",
        "catenet",
        "rpc",
        "serve",
        "box.proto",
        "boxes:Boxes",
        "--listen",
        "unix:box.sock",
        *words,
    ]
    return commands.Popen(command, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow(5)
def test_serving_with_a_policy_and_an_audit_log(capsys, folder):
    (folder / "policy.toml").write_text(POLICY.replace(', "uid:0"', ""))
    process = serving("--policy", "policy.toml", "--audit", "audit.jsonl", "--audit-requests")
    assert process.stderr.readline() == "serving rpc on unix:box.sock\n"
    try:
        box = ["unix:box.sock", "--proto", "box.proto"]
        assert call(capsys, *box, "Boxes/Open", '{"id": "mine"}')[0] == 0
        status, shown = call(capsys, *box, "Boxes/Open", '{"id": "theirs"}')
        assert status == 1
        assert "PERMISSION_DENIED" in shown.err
        assert "POLICY_DENIED" in shown.err
        assert call(capsys, *box, "Boxes/List", "{}")[0] == 0
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        process.stderr.close()
    records = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    assert [record["allowed"] for record in records if record["event"] == "decision"] == [True, False, True]
    status, shown = policy(capsys, "replay", "audit.jsonl")
    assert (status, shown.out) == (0, "3 as before, 0 changed, 0 cannot be decided again\n")
    (folder / "policy.toml").write_text("[[policy]]\nmethod = '*'\nallow = ['anyone']")
    status, shown = policy(capsys, "replay", "audit.jsonl")
    assert status == 1
    assert "line 3: box.v1.Boxes/Open for uid:" in shown.out
    assert "was refused, is allowed by policy.toml, policy 1" in shown.out
    status, shown = policy(capsys, "replay", "audit.jsonl", "--json")
    assert json.loads(shown.out)["changed"] == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--policy", "nowhere.toml"], "nowhere.toml: No such file"),
        (["--policy-dry-run"], "--policy-dry-run needs --policy FILE"),
        (["--audit-requests"], "--audit-requests needs --audit FILE"),
        (["--audit", "/nowhere/audit"], "--audit /nowhere/audit: No such file"),
        (["--policy", "wrong.toml"], "wrong.toml, policy 1: " + NO_METHOD),
        (["--policy", "field.toml"], "field.toml, policy 1: box.v1.Box has no field 'ids' (did you mean 'id'?)"),
    ],
)
def test_serving_with_mistakes(capsys, folder, words, complaint):
    (folder / "wrong.toml").write_text("[[policy]]\nmethod = 'box.v1.Boxes/Opne'\ndeny = ['uid:7']")
    (folder / "field.toml").write_text("[[policy]]\nmethod = 'box.v1.Boxes/Open'\nallow = ['owner']\nobject = 'ids'")
    path = list(sys.path)
    try:
        assert main(["rpc", "serve", "box.proto", "boxes:Boxes", "--listen", "unix:x.sock", *words]) == 2
    finally:
        sys.path[:] = path
        for name in ("boxes", "box_pb2", "box_rpc"):
            sys.modules.pop(name, None)
    assert complaint in capsys.readouterr().err


def lines_until(process, text):
    """Wait for a line of the log."""
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"no {text!r} in the log")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_reads_policy_and_certificates_again(tmp_path, workers):
    """A bad file is refused and the one before stays; calls that run go on."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def certify():
        issued = authority.issue_cert("localhost")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    def allow(who):
        (tmp_path / "policy.toml").write_text(f'[[policy]]\nmethod = "*"\nallow = "{who}"\n')

    def reload():
        process.send_signal(signal.SIGHUP)

    def shown():
        host, _, port = url.removeprefix("tls://").rpartition(":")
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with socket.create_connection((host, int(port)), 20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                return secure.getpeercert(binary_form=True)

    def call():
        place = f"{url.replace('tls:', 'https:')}/t.v1.Greeter/Greet"
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        request = urllib.request.Request(place, b"{}", {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=20, context=context) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    first = certify()
    allow("anyone")
    (tmp_path / "greeter.py").write_text(GREETER)
    command = [sys.executable, "-m", "catenet", "rpc", "serve", "greeter:Greeter", "-v", "--workers", workers]
    words = ["--listen", "tls://localhost:0", "--cert", "server.pem", "--policy", "policy.toml"]
    with commands.Popen([*command, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            url = lines_until(process, "serving rpc on ").rpartition(" ")[2].strip()
            assert call() == 200
            assert shown() == first
            allow("uid:4242")
            second = certify()
            reload()
            for _ in range(int(workers)):
                lines_until(process, "policy.toml is read again")
            assert call() == 401
            assert shown() == second
            (tmp_path / "policy.toml").write_text("nonsense")
            (tmp_path / "server.pem").write_text("nonsense")
            reload()
            for _ in range(int(workers)):
                lines_until(process, "the policy is not read again, the one before stays: policy.toml")
            assert call() == 401
            assert shown() == second
        finally:
            process.terminate()
