"""Canonical order of names (RFC 4034 6.1) as bytes that sort so: one object a name, however many labels."""

from __future__ import annotations

from typing import Final

from catenet.wire.dns.name import ROOT, join, labels

__all__ = ["name_of_key", "order_key"]

_END: Final = b"\0"
"""Behind each label; less than all that a label can hold after escaping, so that a shorter label comes first."""


def order_key(name: bytes) -> bytes:
    """What a folded name is sorted by: its labels from the root on, the bytes 0 and 1 in them escaped by 1."""
    if len(name) == 1:
        return b""
    parts = labels(name)
    parts.reverse()
    if b"\0" in name[:-1] or any(b"\1" in part for part in parts):
        parts = [part.replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") for part in parts]
    return _END.join(parts) + _END


def name_of_key(key: bytes) -> bytes:
    """The folded name that has this key."""
    if not key:
        return ROOT
    parts = key[:-1].split(_END)
    parts.reverse()
    if b"\1" in key:
        parts = [part.replace(b"\1\1", b"\0").replace(b"\1\2", b"\1") for part in parts]
    return join(parts)
