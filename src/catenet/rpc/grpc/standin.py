"""`import grpc` gives `catenet.rpc.grpc`, for programs that are not to be changed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["install"]

_OURS = "catenet.rpc.grpc"
_ELSEWHERE = {"grpc.experimental.aio": f"{_OURS}.aio"}


class _Finder(MetaPathFinder, Loader):
    """Finds `grpc` and what is under it among our modules, which are then one and the same under both names."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module is, None if it is not `grpc`'s, or is not there."""
        if fullname != "grpc" and not fullname.startswith("grpc."):
            return None
        name = _ELSEWHERE.get(fullname, _OURS + fullname.removeprefix("grpc"))
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            return None
        return ModuleSpec(fullname, self, is_package=hasattr(module, "__path__"), origin=name)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return our module; `exec_module` gets it back with a spec that is not its own."""
        module = sys.modules[str(spec.origin)]
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run already."""
        spec = module.__spec__
        if spec is not None and spec.loader is self:
            module.__spec__ = spec.loader_state


def install() -> None:
    """Let `import grpc` give `catenet.rpc.grpc` from now on. Raises `RuntimeError` if `grpc` has been imported."""
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if "grpc" in sys.modules:
        raise RuntimeError("grpc has been imported already: install catenet.rpc.grpc before that")
    sys.meta_path.insert(0, _Finder())
