"""From a request target to names of files, and back."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_to_bytes

__all__ = ["BadPath", "FilePath", "parse_path", "quoted"]

MAX_DEPTH = 128
"""Components of a path."""
MAX_NAME = 255
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class BadPath(ValueError):
    """The target can name no file: status 400."""


@dataclass(frozen=True, slots=True)
class FilePath:
    """A path as the names of its components; `folder`: it ends with a slash. `query` are the parameters behind it."""

    names: tuple[str, ...]
    folder: bool
    query: dict[str, str]

    @property
    def url(self) -> str:
        """The path as it is written in a URL, with one slash between two names, so that it never names a host."""
        return "/" + "/".join(map(quoted, self.names)) + ("/" if self.folder and self.names else "")

    @property
    def name(self) -> str:
        """The last component; empty for the root."""
        return self.names[-1] if self.names else ""


def parse_path(target: bytes) -> FilePath:
    """Return what a request target names. Raises `BadPath`.

    It is decoded once. Empty components do not count; `.`, `..`, a slash or NUL that was encoded, and what the file
    system takes for no name, are refused instead of being resolved: clients resolve them before they ask (RFC 3986
    section 5.2.4), and two readers that resolve in another order see two files.
    """
    path, _, query = target.partition(b"?")
    if _BAD_ESCAPE.search(path):
        raise BadPath("a percent sign that begins no escape")
    names = []
    for part in path.split(b"/"):
        raw = unquote_to_bytes(part)
        if not raw:
            continue
        if raw in (b".", b".."):
            raise BadPath("a path with . or .. in it")
        if b"/" in raw or b"\0" in raw or len(raw) > MAX_NAME:
            raise BadPath("a name with a slash or NUL in it, or too long")
        names.append(os.fsdecode(raw))
    if len(names) > MAX_DEPTH:
        raise BadPath("a path that is too deep")
    try:
        parameters = dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=32))
    except ValueError:
        parameters = {}
    return FilePath(tuple(names), path.endswith(b"/"), parameters)


def quoted(name: str) -> str:
    """Return a name as one component of a URL."""
    return quote(os.fsencode(name), safe="!$&'()*+,;=:@~")
