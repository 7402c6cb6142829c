"""Metadata as values and as HTTP fields (gRPC PROTOCOL-HTTP2, "Custom-Metadata" and "Binary-Header")."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable

from catenet.http.message import Fields

Metadata = tuple[tuple[str, str | bytes], ...]
"""Pairs in order. Names in lower case; a value is ``bytes`` exactly when its name ends in ``-bin``."""

_NAME = re.compile(r"[0-9a-z_.\-]+").fullmatch
_VALUE = re.compile(r"[\x20-\x7e]*").fullmatch

# Fields that belong to HTTP or to one of the protocols are not metadata.
_RESERVED = frozenset(
    (b"te", b"content-type", b"content-length", b"content-encoding", b"accept-encoding", b"host", b"connection",
     b"transfer-encoding", b"keep-alive", b"upgrade", b"trailer", b"grpc-encoding", b"grpc-accept-encoding",
     b"grpc-timeout", b"grpc-status", b"grpc-message", b"grpc-status-details-bin", b"grpc-message-type",
     b"connect-protocol-version", b"connect-timeout-ms", b"connect-content-encoding", b"connect-accept-encoding")
)  # fmt: skip


def from_fields(fields: Fields) -> Metadata:
    """Return the metadata among ``fields``; values of ``-bin`` fields are decoded, one field may hold several.

    A ``-bin`` value that is not base64 is left out: it cannot be handed on as what it claims to be.
    """
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name in _RESERVED:
            continue
        text = name.decode("ascii")
        if not text.endswith("-bin"):
            pairs.append((text, value.decode("latin-1")))
            continue
        for part in value.split(b","):
            decoded = _decode_binary(part.strip())
            if decoded is not None:
                pairs.append((text, decoded))
    return tuple(pairs)


def to_fields(metadata: Metadata) -> Fields:
    """Return metadata as HTTP fields; binary values as base64 without padding. It must be normal (:func:`normal`)."""
    return tuple(
        (name.encode(), b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode())
        for name, value in metadata
    )


def normal(metadata: Iterable[tuple[str, str | bytes]]) -> Metadata:
    """Return metadata that a caller gave, checked: names in lower case, values of the kind that the name demands.

    Raises ``ValueError`` for a reserved or malformed name, or a value that HTTP cannot carry.
    """
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in metadata:
        lower = name.lower()
        if not _NAME(lower) or lower.encode() in _RESERVED or lower.startswith("grpc-"):
            raise ValueError(f"metadata: {name!r} is malformed or reserved")
        if lower.endswith("-bin"):
            if not isinstance(value, bytes | bytearray | memoryview):
                raise ValueError(f"metadata: the value of {name!r} must be bytes, for its name ends in -bin")
            pairs.append((lower, bytes(value)))
        elif isinstance(value, str) and _VALUE(value):
            pairs.append((lower, value.strip(" ")))
        else:
            raise ValueError(f"metadata: the value of {name!r} must be printable ASCII text")
    return tuple(pairs)


def _decode_binary(data: bytes) -> bytes | None:
    try:
        return b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except binascii.Error:
        return None
