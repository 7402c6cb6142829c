import pytest

from catenet.cli import main

PROTO = 'syntax = "proto3"; package p; message M {} service S { rpc Do(M) returns (stream M); }'


@pytest.fixture
def proto(tmp_path):
    (tmp_path / "s.proto").write_text(PROTO)
    return tmp_path / "s.proto"


def test_compile(proto, tmp_path, capsys):
    out = tmp_path / "gen"
    assert main(["rpc", "compile", str(proto), "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / name) for name in ("s_pb2.py", "s_pb2.pyi", "s_rpc.py")]
    assert "import s_pb2" in (out / "s_rpc.py").read_text().splitlines()
    assert main(["rpc", "compile", str(proto), "--out", str(out), "--imports", "relative", "-q"]) == 0
    assert "from . import s_pb2" in (out / "s_rpc.py").read_text().splitlines()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.proto"], "catenet: nowhere.proto: no such file"),
        (["{proto}", "-I", "no/such"], "catenet: no/such: no such folder"),
        (["{bad}"], "bad.proto:2:"),
    ],
)
def test_mistakes(proto, tmp_path, capsys, arguments, complaint):
    (tmp_path / "bad.proto").write_text('syntax = "proto3";\nmessage {}')
    filled = [text.format(proto=proto, bad=tmp_path / "bad.proto") for text in arguments]
    assert main(["rpc", "compile", *filled, "--out", str(tmp_path)]) == 2
    assert complaint in capsys.readouterr().err


def test_no_action(capsys):
    assert main(["rpc"]) == 2
    assert "ACTION" in capsys.readouterr().err
