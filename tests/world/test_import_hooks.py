"""Programs named as modules that a hook of the interpreter finds which only imports, as pytest's does."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from catenet.world import World


class OnlyImports(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what others find, and has no code to show."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """See `MetaPathFinder`."""
        if not name.startswith("hooked"):
            return None
        found = importlib.machinery.PathFinder.find_spec(name, path)
        assert found is not None
        self.origin = found.origin
        spec = importlib.machinery.ModuleSpec(name, self, origin=found.origin)
        spec.submodule_search_locations = found.submodule_search_locations
        return spec

    def exec_module(self, module: ModuleType) -> None:
        """See `Loader`."""


@pytest.mark.parametrize("words", ["hooked", "hooked.other", "hooked_alone"])
def test_what_a_hook_finds_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    (tmp_path / "hooked").mkdir()
    for name in ("hooked/__init__.py", "hooked/__main__.py", "hooked/other.py", "hooked_alone.py"):
        (tmp_path / name).write_text("print(__name__)" if "init" not in name else "")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [OnlyImports(), *sys.meta_path])
    lines: list[str] = []
    with World(output=lambda host, stream, line: lines.append(line)) as world:
        world.host("a").run(f"-m {words}")
        world.run()
    assert lines == ["__main__"]
