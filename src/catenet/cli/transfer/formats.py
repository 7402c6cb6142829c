"""The format of `-w`: its variables, which are curl's, and escapes."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path

from catenet.cli import UsageError

__all__ = ["ESCAPES", "PIECE", "VARIABLES", "read_format"]

PIECE = re.compile(r"%(?:(%)|header\{([^}]*)\}|\{([^}]*)\})|\\([nrt])")
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
VARIABLES = (
    "content_type", "errormsg", "exitcode", "filename_effective", "header_json", "http_code", "http_version", "method",
    "num_connects", "num_headers", "num_redirects", "redirect_url", "remote_ip", "remote_port", "response_code",
    "scheme", "size_download", "size_header", "size_upload", "speed_download", "speed_upload",
    "time_appconnect", "time_connect", "time_namelookup", "time_pretransfer",
    "time_redirect", "time_starttransfer", "time_total", "url",
    "url_effective", "urlnum",
)  # fmt: skip


def read_format(text: str) -> str:
    """Return the format that `-w` names: the text, or `@FILE`, `@-`. Raises `UsageError`."""
    if text.startswith("@"):
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(errors="surrogateescape")
            text = text.replace("\r", "").replace("\n", "")  # as of -d @FILE
        except OSError as error:
            raise UsageError(f"-w {text}: {(error.strerror or str(error)).lower()}") from None
    for found in PIECE.finditer(text):
        name = found[3]
        if name is not None and name not in VARIABLES and name not in ("stdout", "stderr"):
            near = difflib.get_close_matches(name, VARIABLES, 1)
            hint = f"do you mean {near[0]}?" if near else f"known: {', '.join(VARIABLES)}"
            raise UsageError(f"-w: no variable {name!r}; {hint}")
    return text
