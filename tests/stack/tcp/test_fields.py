"""The table of a connection's variables: complete, and what is generated from it is what is checked in."""

from __future__ import annotations

import importlib

import pytest

from catenet.control import Sender
from catenet.control.cubic import Cubic
from catenet.control.delivery_rate import DeliveryRate
from catenet.control.rtt import RttEstimator
from catenet.stack.tcp.parking import fields, generate

SECTIONS = fields.parse()


def test_generated_files_are_checked_in():
    for path, text in generate.generate(SECTIONS).items():
        assert path.read_text() == text, f"{path}: run python -m catenet.stack.tcp.parking.generate"


def declared(kind: type) -> set[str]:
    """Variables of a class and its bases, compiled or not."""
    return {
        name
        for each in kind.__mro__
        for name in vars(each).get("__mypyc_attrs__") or vars(each).get("__slots__", ())
        if not name.startswith("__")
    }


def classes() -> dict[str, type]:
    """The table's classes by name."""
    found: dict[str, type] = {kind.__name__: kind for kind in (Cubic, DeliveryRate, RttEstimator, Sender)}
    for section in SECTIONS:
        if section.path != "-":
            module = importlib.import_module("catenet." + section.path.removesuffix(".py").replace("/", "."))
            found[section.kind] = getattr(module, section.kind)
    return found


@pytest.mark.parametrize("name", sorted({section.kind for section in SECTIONS}))
def test_every_variable_has_one_row(name):
    rows = [row.name for section in SECTIONS if section.kind == name for row in section.rows]
    inherited = declared(Sender) if name == "Connection" else set()
    assert sorted(rows) == sorted(declared(classes()[name]) - inherited)


def test_every_row_has_a_meaning():
    for section in SECTIONS:
        if section.path != "-":
            assert [row.name for row in section.rows if not (row.unit and row.meaning and row.type)] == []


BEGIN = "[window  Connection  stack/tcp/control/connection.py  c]\n"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("cwnd  int  10  history  segments", "5 columns in place of 6: cwnd"),
        ("cwnd  int  10  hystory  segments  window", "cwnd: 'hystory' is nothing that parking does"),
        ("cwnd  int  10  history:there  segments  window", "cwnd: 'history:there' is nothing that parking does"),
        ("[window  Connection]", "a section is a name, a class, a file and an expression"),
    ],
)
def test_mistakes_in_the_table_are_named(line, wrong):
    with pytest.raises(ValueError, match="line 1: ") as caught:
        fields.parse(BEGIN + line)
    assert wrong in str(caught.value)


def test_a_new_row_reaches_every_generated_file():
    kinds = {"history:una": "snapshot.py", "time": "timing.py", "loss": "setup.py", "idle": "setup.py"}
    for kind, name in kinds.items():
        table = fields.TABLE.replace("\n[window", f"fresh_one  int  0  {kind}  us  new\n\n[window")
        texts = {path.name: text for path, text in generate.generate(fields.parse(table)).items()}
        assert "c.fresh_one" in texts[name] or "a.fresh_one" in texts[name]
        assert "self.fresh_one = 0  # us: new" in texts["connection.py"]


def test_every_component_has_a_section():
    components = {row.name for section in SECTIONS for row in section.rows if row.kind == "component"}
    assert components == {section.owner.removeprefix("c.") for section in SECTIONS} - {"c", "cubic"}
