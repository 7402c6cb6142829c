"""Files that a command line names: scripts and scenarios."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["named_files"]


def named_files(names: Sequence[str], suffix: str) -> Iterator[Path]:
    """Files, and those with a suffix under directories, in order.

    Raises:
        FileNotFoundError: no such file or directory, or none with the suffix in it.
    """
    for name in names:
        path = Path(name)
        if path.is_dir():
            found = sorted(path.rglob(f"*{suffix}"))
            if not found:
                raise FileNotFoundError(f"{name}: no *{suffix} file in this directory")
            yield from found
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"{name}: no such file or directory")
