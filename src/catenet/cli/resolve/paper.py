"""Where answers are printed: colours on a terminal, none elsewhere; what others wrote never reaches it raw."""

from __future__ import annotations

import os
import sys
from typing import Final

from catenet.printable import shown, write

__all__ = ["BAD", "DOUBTFUL", "GOOD", "HEAD", "QUIET", "Paper"]

HEAD: Final = "1"
QUIET: Final = "2"
GOOD: Final = "32"
BAD: Final = "31"
DOUBTFUL: Final = "33"
"""SGR parameters (ECMA-48 8.3.117): bold, faint, green, red, yellow."""


class Paper:
    """Standard output, as it is when this is made."""

    def __init__(self) -> None:
        self._out = sys.stdout
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self.coloured = self._out is not None and self._out.isatty() and not plain

    def line(self, text: str, style: str = "", rest: str = "") -> None:
        """Print a line, in a style; `rest` follows it without."""
        out = self._out
        if out is None:
            return
        head = shown(text, out)
        if self.coloured and style:
            head = f"\x1b[{style}m{head}\x1b[0m"
        write(f"{head}{shown(rest, out)}\n", out)
        out.flush()
