"""Figures of a run, or of several, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from catenet.cli import UsageError

__all__ = ["write_json"]


def write_json(values: Mapping[str, object], path: Path) -> None:
    """Write values to a file, or to standard output (`-`); UsageError if it cannot be written."""
    text = json.dumps(values, indent=2) + "\n"
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.write_text(text)
    except OSError as error:
        raise UsageError(f"--json {path}: {(error.strerror or str(error)).lower()}") from None
