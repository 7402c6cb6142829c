"""What the source says to mypyc, which compiles some modules when asked to (`setup.py`); nothing at all without it."""

from __future__ import annotations

from typing import Any

__all__ = ["mypyc_attr"]

try:
    from mypy_extensions import mypyc_attr
except ImportError:

    def mypyc_attr(*attrs: str, **kwattrs: object) -> Any:  # type: ignore[misc]
        """Nothing, where mypyc is not about."""
        return lambda kind: kind
