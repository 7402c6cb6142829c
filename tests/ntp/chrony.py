"""chronyd, kept from setting a clock twice over: by `-x`, and without CAP_SYS_TIME."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.peers import tool

__all__ = ["LIMIT", "UNPRIVILEGED", "chronyd"]

LIMIT: Final = 60
UNPRIVILEGED: Final = ["setpriv", "--bounding-set", "-sys_time", "--inh-caps", "-sys_time"]


def chronyd(folder: Path, *directives: str) -> list[str]:
    """A command line, to which -Q and -t may be added."""
    words = ["-x", "-d", "-u", "root", "-f", "/dev/null", "cmdport 0", "bindcmdaddress /"]
    return [*UNPRIVILEGED, tool("chronyd"), *words, f"pidfile {folder}/pid", f"driftfile {folder}/drift", *directives]
