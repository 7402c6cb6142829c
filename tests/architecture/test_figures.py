"""The figures of a small package whose arrows and circles can be counted by hand."""

from __future__ import annotations

from pathlib import Path

from tests.architecture.figures import arrows_between_members, connection_variables, figures
from tests.architecture.source import ANNOTATION, LOCAL, MODULE, circles, functions, imports, modules

FILES = {
    "catenet/__init__.py": "",
    "catenet/low/__init__.py": "",
    "catenet/low/bytes.py": "def f():\n    from catenet.high import top\n",
    "catenet/high/__init__.py": "",
    "catenet/high/top.py": "import catenet.low.bytes\nfrom typing import TYPE_CHECKING\n"
    "if TYPE_CHECKING:\n    from ..other import Thing\n"
    "class Top:\n    def m(self):\n        def inner():\n            pass\n",
    "catenet/other.py": "from catenet.high.top import Top, other\nThing = Top\n",
    "catenet/stack/tcp/control/connection.py": "class Connection:\n    def __init__(self):\n"
    "        self.snd_una = self.snd_nxt = 0\n        self.rack: int = 1\n        self.rack.x, self.rtt = 1, 2\n",
}


def written(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_imports_and_their_kinds(tmp_path: Path) -> None:
    source = modules(written(tmp_path) / "catenet", "catenet")
    found = {(i.importer, i.imported, i.names, i.kind) for module in source.values() for i in imports(module, source)}
    assert found == {
        ("catenet.low.bytes", "catenet.high.top", (), LOCAL),
        ("catenet.high.top", "catenet.low.bytes", (), MODULE),
        ("catenet.high.top", "catenet.other", ("Thing",), ANNOTATION),
        ("catenet.other", "catenet.high.top", ("Top", "other"), MODULE),
    }
    every = [each for module in source.values() for each in imports(module, source)]
    arrows = arrows_between_members("catenet", every)
    assert arrows == {
        "catenet.low": {"catenet.high"},
        "catenet.high": {"catenet.low", "catenet.other"},
        "catenet.other": {"catenet.high"},
    }
    assert circles(arrows) == [["catenet.high", "catenet.low", "catenet.other"]]


def test_functions_with_their_lines(tmp_path: Path) -> None:
    source = modules(written(tmp_path) / "catenet", "catenet")
    assert list(functions(source["catenet.high.top"])) == [("Top.m", 3), ("Top.m.inner", 2)]


def test_variables_of_the_control_block(tmp_path: Path) -> None:
    source = modules(written(tmp_path) / "catenet", "catenet")
    assert connection_variables(source) == ["snd_una", "snd_nxt", "rack", "rtt"]


def test_circles_apart_and_none() -> None:
    assert circles({"a": "b", "b": "a", "c": "da", "d": "c", "e": "e", "f": ""}) == [["a", "b"], ["c", "d"]]
    assert circles({"a": "bc", "b": "c", "c": ""}) == []


def test_the_whole_text(tmp_path: Path) -> None:
    text = list(figures(written(tmp_path)))
    assert text[0] == "files: 7, of which 3 are __init__.py"
    assert "imports, module-level, between files: 2 arrows, 0 circles of []" in text
    assert "imports, and annotation-only, members of catenet: 4 arrows, 1 circles of [3]" in text
    assert text[-1] == "variables of Connection: 4"
