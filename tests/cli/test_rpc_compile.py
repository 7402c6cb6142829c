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


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"a": b"\xff\xfe"}, "a.proto:1:1: byte 0xFF outside a comment or a string: not UTF-8?"),
        (
            {"a": 'syntax = "proto3";'.encode("utf-16")},
            "a.proto:1:1: byte 0xFF outside a comment or a string: not UTF-8?",
        ),
        (
            {"a": b'syntax = "proto3";\nimport "b.proto";', "b": b"\xff\xfe"},
            "b.proto:1:1: byte 0xFF outside a comment or a string: not UTF-8?",
        ),
        (
            {"a": b'syntax = "proto3";\nimport "no/b.proto";'},
            'a.proto:2:1: the import "no/b.proto" was not found; name its folder with -I',
        ),
        (
            {"a": b'syntax = "proto3";\nimport "b.proto";', "b": b'syntax = "proto3";\n\nimport "c.proto";'},
            'b.proto:3:1: the import "c.proto" was not found; name its folder with -I',
        ),
        (
            {"a": b'syntax = "proto3";\nimport "b.proto";', "b": b'syntax = "proto3";\nmessage {}'},
            "b.proto:2:9: Expected message name.",
        ),
        ({"a": b"message {}"}, "a.proto:1:9: Expected message name."),
    ],
)
def test_one_problem_is_one_line(tmp_path, capsys, files, complaint):
    for name, content in files.items():
        (tmp_path / f"{name}.proto").write_bytes(content)
    assert main(["rpc", "compile", str(tmp_path / "a.proto"), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.replace(f"{tmp_path}/", "") == f"catenet: {complaint}\n"


@pytest.mark.parametrize("more", [[], ["--xsd"]])
def test_a_folder_that_is_none_is_one_line(proto, tmp_path, capsys, more):
    (tmp_path / "out").write_text("")
    assert main(["rpc", "compile", str(proto), "--out", str(tmp_path / "out"), *more]) == 2
    assert capsys.readouterr().err == f"catenet: {tmp_path}/out: File exists\n"


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
