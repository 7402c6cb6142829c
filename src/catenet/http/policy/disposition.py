"""Content-Disposition (RFC 6266): what a response calls its file, and what may become a file's name here."""

from __future__ import annotations

import re

from catenet.http.policy.parameters import extended_value, parse_parameters
from catenet.http.url import percent_encode

__all__ = ["disposition_name", "format_disposition", "is_hidden", "safe_name"]

MAX_NAME = 255
"""Bytes that a name of a file may have on Linux."""

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
# Names that another operating system takes for a device.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE).fullmatch


def disposition_name(value: str | None) -> str | None:
    """Return the name of the file that the field proposes (`filename*` before `filename`), as it stands; None: none."""
    parsed = None if value is None else parse_parameters(value)
    if parsed is None:
        return None
    extended = parsed[1].get("filename*")
    name = None if extended is None else extended_value(extended)
    if name is None:
        name = parsed[1].get("filename")
        if name is not None:
            name = _as_utf8(name)
    return name or None


def safe_name(proposed: str | None) -> str | None:
    """Return the last component of a proposed name as one that stays in its folder, None if nothing is left of it.

    No separators of any system, no control or bidirectional characters, no leading dot (a hidden file such as
    `.bashrc` is not what somebody asked for), at most 255 bytes with the ending kept (RFC 6266 section 4.3).
    """
    if proposed is None:
        return None
    name = _last(proposed).lstrip(".").rstrip(" .")
    name = re.sub(r'[:*?"<>|]', "_", name)
    if not name or _DEVICES(name):
        return None
    if len(name.encode()) > MAX_NAME:
        stem, dot, ending = name.rpartition(".")
        tail = f".{ending}" if dot and stem and len(ending.encode()) <= 16 else ""
        kept = (stem if tail else name).encode()[: MAX_NAME - len(tail.encode())]
        name = kept.decode(errors="ignore") + tail
    return name


def is_hidden(proposed: str) -> bool:
    """Whether a proposed name is that of a hidden file, of which `safe_name` makes another one."""
    return _last(proposed).startswith(".")


def format_disposition(name: str, disposition: str = "attachment") -> str:
    """Return the field's value for a file called `name`, readable by clients that know `filename*` and by others."""
    plain = _UNSAFE.sub("_", name).encode("ascii", "replace").decode().replace("\\", "_").replace('"', "_")
    if plain == name:
        return f'{disposition}; filename="{name}"'
    encoded = percent_encode(name.encode(errors="replace").decode())
    return f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _last(proposed: str) -> str:
    return _UNSAFE.sub("", re.split(r"[/\\]", proposed)[-1]).strip(" ")


def _as_utf8(name: str) -> str:
    """Many servers send UTF-8 where ISO-8859-1 is meant; what is valid UTF-8 beyond ASCII hardly is anything else."""
    try:
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name
