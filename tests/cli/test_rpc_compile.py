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


def test_names_that_collide_and_names_that_are_given(tmp_path, capsys):
    text = (
        'syntax = "proto3";\npackage a;\nmessage M {}\nservice S {\n rpc Do(M) returns (M);\n rpc DO(M) returns (M);\n}'
    )
    (tmp_path / "c.proto").write_text(text)
    out = tmp_path / "gen"
    assert main(["rpc", "compile", str(tmp_path / "c.proto"), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        "catenet: rpc S.Do (c.proto:5) and rpc S.DO (c.proto:6) are both do in Python; "
        "give one a name with --name a.S/DO=NAME\n"
    )
    assert not out.exists()
    assert main(["rpc", "compile", str(tmp_path / "c.proto"), "--out", str(out), "--name", "a.S/DO=do_again"]) == 0
    assert "def do_again" in (out / "c_rpc.py").read_text()
    capsys.readouterr()
    assert main(["rpc", "compile", str(tmp_path / "c.proto"), "--name", "x"]) == 2
    assert "write PACKAGE.SERVICE/METHOD=NAME" in capsys.readouterr().err


def test_no_action(capsys):
    assert main(["rpc"]) == 2
    assert "ACTION" in capsys.readouterr().err
