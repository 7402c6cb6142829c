"""Texts of others on a terminal or in a file: never interpreted, never a reason to fail.

A name, an address or a peer's message may hold anything: what a terminal would obey (ECMA-48), what turns the writing
around (Unicode's bidirectional controls), half of a surrogate pair. Where a person looks these are shown escaped; in a
file or a pipe the text stands as it is.
"""

from __future__ import annotations

import re
import sys
from typing import Final, TextIO

__all__ = ["complain", "printable", "printable_json", "say", "shown", "write"]

_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]",
)
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, keep: str = "") -> str:
    r"""Return `text` with control characters escaped (`\n`, `\x1b`, `\u202e`), but for those in `keep`."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def printable_json(text: str) -> str:
    """Return one line of JSON with control characters escaped as JSON escapes them."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shown(text: str, file: TextIO, keep: str = "") -> str:
    """Return `text` as `file` is to get it: escaped for a terminal, else as it is."""
    return printable(text, keep) if file.isatty() else text


def complain(text: str, *, keep: str = "") -> None:
    """Print such a line on standard error; nowhere when that is closed."""
    if sys.stderr is not None:
        say(text, file=sys.stderr, keep=keep)


def say(text: str, *, file: TextIO | None = None, keep: str = "") -> None:
    """Print a line of which parts are others' on standard output, or on `file`; nowhere when that is closed."""
    out = sys.stdout if file is None else file
    if out is None:
        return
    write(shown(text, out, keep) + "\n", out)
    out.flush()


def write(text: str, file: TextIO) -> None:
    """Write `text`; what the encoding of the stream has not, it gets escaped."""
    try:
        file.write(text)
    except UnicodeEncodeError:
        encoding = file.encoding or "utf-8"
        file.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _escaped(character: str) -> str:
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
