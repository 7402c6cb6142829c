"""Netascii: lines end by CR LF, a CR alone is CR NUL (RFC 764 as RFC 1350 refers to it). Pure.

`codec.text.Newlines` has no escape for CR, and takes a CR LF in a file for one newline; here what was encoded comes
back.
"""

from __future__ import annotations

__all__ = ["NetasciiDecoder", "encode"]


def encode(data: bytes) -> bytes:
    """Return text with LF newlines as netascii; pieces can be encoded one by one."""
    return data.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


class NetasciiDecoder:
    """Makes LF of CR LF, CR of CR NUL; a CR before anything else stays."""

    def __init__(self) -> None:
        self._has_cr = False

    def feed(self, data: bytes) -> bytes:
        """Return what can be said with `data`; a CR at the end waits for what follows it."""
        if self._has_cr:
            data = b"\r" + data
        self._has_cr = data.endswith(b"\r")
        if self._has_cr:
            data = data[:-1]
        if b"\r" not in data:
            return data
        # CR CR NUL LF and the like: a CR NUL is taken out of the way before CR LF is looked for.
        return b"\r".join(part.replace(b"\r\n", b"\n") for part in data.split(b"\r\0"))

    def end(self) -> bytes:
        """Return what waits, at the end."""
        left = b"\r" if self._has_cr else b""
        self._has_cr = False
        return left
