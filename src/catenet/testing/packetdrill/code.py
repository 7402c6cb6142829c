"""Code blocks: Python that checks what the stack says of a connection at that moment.

All blocks of a script share one namespace. Before each, the `tcpi_` values of the socket under test are put into it, as
`getsockopt(TCP_INFO)` of Linux would give them.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from textwrap import dedent

from catenet.testing.packetdrill.symbols import TCP_INFO_SYMBOLS

__all__ = ["CodeRunner"]


class CodeRunner:
    """Runs the blocks of one script."""

    def __init__(self) -> None:
        self._namespace: dict[str, object] = {"__name__": "packetdrill", **TCP_INFO_SYMBOLS}

    def run(self, text: str, values: Mapping[str, int]) -> str | None:
        """Run a block with the values of the moment; what went wrong, None for nothing."""
        self._namespace.update(values)
        try:
            exec(
                compile(dedent(text) + "\n\n", "<code>", "exec"), self._namespace
            )  # a last line may end in a backslash
        except AssertionError as error:
            return f"assertion failed: {_assertion(text, error)}"
        except Exception as error:
            return f"{type(error).__name__} in code: {error}"
        return None


def _assertion(text: str, error: AssertionError) -> str:
    """The source of the assertion and the value that the script attached to it."""
    frames = traceback.extract_tb(error.__traceback__)
    number = next((frame.lineno for frame in reversed(frames) if frame.filename == "<code>"), None)
    lines = dedent(text).splitlines()
    source = lines[number - 1].strip() if number and number <= len(lines) else "assert"
    return source + (f" (value: {error})" if str(error) else "")
