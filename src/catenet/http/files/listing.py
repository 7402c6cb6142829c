"""What is in a folder, as a page or as JSON. Names are others' texts: escaped in both, and never script."""

from __future__ import annotations

import html
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from catenet.folder.root import Root
from catenet.http.files.paths import FilePath, quoted
from catenet.http.message import Fields
from catenet.http.policy.dates import format_date
from catenet.printable import printable

__all__ = ["HTML_FIELDS", "JSON_FIELDS", "Entry", "as_html", "as_json", "entries"]

MAX_ENTRIES: Final = 100_000
HTML_FIELDS: Final[Fields] = (
    (b"content-type", b"text/html; charset=utf-8"),
    # Even if a name were to become markup, nothing in the page may run or be fetched.
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"),
    (b"vary", b"accept"),
)
JSON_FIELDS: Final[Fields] = ((b"content-type", b"application/json"), (b"vary", b"accept"))
_STYLE: Final = (
    "body{font:16px system-ui;margin:2em auto;max-width:60em;padding:0 1em;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.2em .8em;text-align:left}"
    "td:nth-child(n+2){text-align:right;white-space:nowrap;opacity:.7}tr:hover{background:#8882}a{text-decoration:none}"
)
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in a folder; `size` in bytes, `modified` in seconds of the epoch."""

    name: str
    folder: bool
    size: int
    modified: float


def entries(root: Root, folder: int, names: tuple[str, ...]) -> list[Entry]:
    """Return what may be seen in an open folder: folders first, each by name. Links count as what they lead to."""
    found = []
    with os.scandir(folder) as scan:
        for entry in scan:
            if not root.shows(entry.name):
                continue
            one = _entry(root, entry, names)
            if one is not None:
                found.append(one)
            if len(found) >= MAX_ENTRIES:
                break
    return sorted(found, key=lambda one: (not one.folder, one.name.casefold(), one.name))


def _entry(root: Root, entry: os.DirEntry[str], names: tuple[str, ...]) -> Entry | None:
    try:
        known = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(known.st_mode):
            descriptor, known = root.open((*names, entry.name))
            os.close(descriptor)
    except OSError:
        return None  # it has gone, or leads outside
    folder = stat.S_ISDIR(known.st_mode)
    if not folder and not stat.S_ISREG(known.st_mode):
        return None
    return Entry(entry.name, folder, 0 if folder else known.st_size, known.st_mtime)


def as_json(path: FilePath, found: list[Entry]) -> bytes:
    """Return a list of objects: `name`, `type` (`file` or `directory`), `size`, `mtime`, `url`."""
    listed = [
        {
            "name": os.fsencode(one.name).decode(errors="replace"),
            "type": "directory" if one.folder else "file",
            "size": None if one.folder else one.size,
            "mtime": _date(one.modified),
            "url": path.url + quoted(one.name) + ("/" if one.folder else ""),
        }
        for one in found
    ]
    return json.dumps(listed).encode() + b"\n"


def as_html(path: FilePath, found: list[Entry], upload: bool, archives: bool) -> bytes:
    """Return a page; `upload` adds a form, `archives` the folder as zip and tar."""
    return "".join(_lines(path, found, upload, archives)).encode(errors="replace")


def _lines(path: FilePath, found: list[Entry], upload: bool, archives: bool) -> Iterator[str]:
    title = _text("/" + "".join(f"{name}/" for name in path.names))
    yield f"<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>{title}</title>"
    yield f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>\n<h1>{title}</h1>\n"
    if archives:
        yield "<p><a href='?zip'>zip</a> <a href='?tar'>tar</a></p>\n"
    if upload:
        yield "<form method=post enctype=multipart/form-data><input type=file name=file multiple required> "
        yield "<button>Upload</button></form>\n"
    yield "<table>\n"
    if path.names:
        yield "<tr><td><a href='../'>../</a><td><td>\n"
    for one in found:
        slash = "/" if one.folder else ""
        link = html.escape(quoted(one.name) + slash, quote=True)
        size = "" if one.folder else _size(one.size)
        yield f"<tr><td><a href='./{link}'>{_text(one.name)}{slash}</a><td>{size}<td>{_date(one.modified)}\n"
    yield "</table>\n"


def _text(name: str) -> str:
    return html.escape(printable(os.fsencode(name).decode(errors="replace")))


def _date(seconds: float) -> str:
    try:
        return format_date(max(seconds, 0))
    except (ValueError, OverflowError):
        return ""


def _size(size: int) -> str:
    number, unit = float(size), 0
    while number >= 1024 and unit + 1 < len(_UNITS):
        number, unit = number / 1024, unit + 1
    return f"{size} B" if not unit else f"{number:.1f} {_UNITS[unit]}"
