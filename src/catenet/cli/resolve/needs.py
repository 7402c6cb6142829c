"""Parts that stand on packages of the extras `dns` and `quic`."""

from __future__ import annotations

import importlib

from catenet.cli import UsageError

__all__ = ["need"]


def need(module: str, option: str, extra: str = "dns") -> None:
    """Import a module, before anything is asked. Raises UsageError that names the package that it misses."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        package = (error.name or str(error)).partition(".")[0]
        if package == "catenet":
            raise  # a fault of ours
        raise UsageError(f"{option} needs the package {package}: pip install 'catenet[{extra}]'") from None
