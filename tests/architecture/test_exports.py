"""What the package offers: one rule for `__all__`, documented, importable; private names stay in their modules."""

from __future__ import annotations

import ast
import functools
import importlib
import re

import pytest
from tests.architecture.exports import (
    by_kind,
    differences,
    is_public_package,
    underscored,
    with_exports,
)
from tests.architecture.source import ROOT, Module, exported, module_paths, modules, parse, public

pytestmark = pytest.mark.slow(15)

PATHS = module_paths(ROOT / "src/catenet", "catenet")

PUBLIC = [
    name
    for name, path in PATHS.items()
    if (path.name == "__init__.py" or name == "catenet.plpmtud")
    and is_public_package(Module(name, path, parse(path.read_text())))
]

LISTING = [name for name, path in PATHS.items() if re.search(r"^__all__ = \[(?!\])", path.read_text(), re.MULTILINE)]

UNDERSCORED: dict[str, str] = {}
"""Private names that another module of the package takes, each with its reason."""


@functools.cache
def source() -> dict[str, Module]:
    """All modules: only those who run these tests read them."""
    return modules(ROOT / "src/catenet", "catenet")


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_sorted_importable_and_documented(name: str) -> None:
    listed = exported(source()[name])
    assert listed and listed == sorted(listed, key=by_kind)
    module = importlib.import_module(name)
    for each in listed:
        value = getattr(module, each)
        if isinstance(value, type) or callable(value):
            assert value.__doc__, f"{name}.{each} has no docstring"


def test_one_rule_for_all() -> None:
    found = [f"{module.path.relative_to(ROOT)}: {wanted}" for module, wanted in differences(source())]
    assert found == [], "`python -m tests.architecture.exports --write` puts them in order"


@pytest.mark.parametrize("name", LISTING)
def test_what_is_listed_exists_and_functions_and_classes_are_documented(name: str) -> None:
    module = source()[name]
    loaded, defined = importlib.import_module(name), public(module)
    for each in exported(module) or ():
        assert hasattr(loaded, each), f"{name} lists {each}, which it has for annotations only"
        if name == "catenet.world" and each not in defined:
            continue  # imported when it is first asked for
        assert each in defined, f"{name} lists {each}, which it does not have"
        node = defined[each]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert ast.get_docstring(node), f"{name}.{each} has no docstring"


def test_no_private_name_leaves_its_module() -> None:
    taken = {each: each.rpartition(": ")[2] for each in underscored(source())}
    assert [each for each, name in taken.items() if name not in UNDERSCORED] == []
    assert not UNDERSCORED.keys() - set(taken.values()), "no longer taken"


@pytest.mark.parametrize(
    "text, wanted",
    [
        ('"""Doc."""\n\nimport a\n\nX = 1\n', '"""Doc."""\n\nimport a\n\n__all__ = ["X"]\n\nX = 1\n'),
        ('"""Doc."""\n\n__all__ = ["Y", "Z"]\n\nX = 1\n', '"""Doc."""\n\n__all__ = ["X"]\n\nX = 1\n'),
        ('"""Doc."""\n\n__all__ = [\n    "Y",\n]\nX = 1\n', '"""Doc."""\n\n__all__ = ["X"]\nX = 1\n'),
        ("X = 1\n", '__all__ = ["X"]\nX = 1\n'),
    ],
)
def test_a_module_is_put_in_order(text: str, wanted: str) -> None:
    assert with_exports(text, ["X"]) == wanted
