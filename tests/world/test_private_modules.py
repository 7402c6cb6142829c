"""Modules that the outside has imported from a program's directory, which the program does not see."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from catenet.world.patches.process_globals import ProcessGlobals, foresee, modules_from


def load(name: str, file: Path) -> None:
    """Have a module be loaded from a file."""
    module = types.ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module


@pytest.fixture(autouse=True)
def loaded(tmp_path: Path) -> Iterator[None]:
    """A module, a package and a module of that from the directory, one from its neighbour."""
    before = dict(sys.modules)
    load("private_module", tmp_path / "private_module.py")
    load("private_package", tmp_path / "private_package" / "__init__.py")
    load("private_package.part", tmp_path / "private_package" / "part.py")
    load("neighbour", tmp_path.parent / "neighbour.py")
    yield
    sys.modules.clear()
    sys.modules.update(before)


PRIVATE = ["private_module", "private_package", "private_package.part"]


def test_modules_and_packages_of_the_directory_are_found(tmp_path: Path) -> None:
    assert modules_from(str(tmp_path)) == PRIVATE
    assert modules_from(f"{tmp_path}/") == PRIVATE


def test_they_are_hidden(tmp_path: Path) -> None:
    outside = ProcessGlobals.of_interpreter()
    outside.hide(str(tmp_path))
    assert list(outside.private) == list(outside.modules) == PRIVATE
    assert not sys.modules.keys() & set(PRIVATE)
    assert "neighbour" in sys.modules


def test_what_was_found_before_is_taken_once(tmp_path: Path) -> None:
    foresee({str(tmp_path): ["private_module", "forgotten"]})
    outside = ProcessGlobals.of_interpreter()
    outside.hide(str(tmp_path))
    assert list(outside.private) == ["private_module"]
    outside.hide(str(tmp_path))
    assert list(outside.private) == PRIVATE


def test_what_was_found_before_does_not_count_when_more_was_loaded(tmp_path: Path) -> None:
    foresee({str(tmp_path): modules_from(str(tmp_path))})
    load("later", tmp_path / "later.py")
    outside = ProcessGlobals.of_interpreter()
    outside.hide(str(tmp_path))
    assert list(outside.private) == [*PRIVATE, "later"]
