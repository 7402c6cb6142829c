"""Modules that a program imports from its own directory are private to its process."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from collections.abc import Sequence

from catenet.world.engine.current import current

__all__ = ["PrivateFinder"]


class PrivateFinder:
    """Finds, for a running process, the modules in its program's directory, and notes them as private to it."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find top-level modules in the program's directory; submodules follow their package (`MetaPathFinder`)."""
        task = current.task
        if task is None or task.process.program.directory is None:
            return None
        private = task.process.globals.private
        root, dot, _ = name.partition(".")
        if dot:
            if root in private:
                private[name] = None
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, [task.process.program.directory], target)
        if spec is None or (spec.origin is None and spec.submodule_search_locations is not None and _elsewhere(name)):
            return None
        private[name] = None
        return spec


def _elsewhere(name: str) -> bool:
    """Whether a directory without `__init__.py` that bears this name is shadowed by a proper module on the path."""
    spec = importlib.machinery.PathFinder.find_spec(name, sys.path)
    return spec is not None and spec.origin is not None
