"""Scripts that packages have installed beside the interpreter."""

from __future__ import annotations

import os
import sys

__all__ = ["find_console_script"]


def find_console_script(name: str) -> str | None:
    """Path of a script that a package has installed beside the interpreter, as `uvicorn`; None for all else.

    It is what a shell would find with the environment activated; what is not in Python is none.
    """
    path = os.path.join(os.path.dirname(sys.executable), name)
    if os.path.basename(name) != name or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        head = file.read(1024)
    # Where its path is long or has blanks, pip lets a shell start the interpreter, in the second line.
    return path if head.startswith(b"#!") and b"python" in b"".join(head.splitlines()[:2]) else None
