"""Metadata: the pairs of text or bytes that travel beside messages, and how header fields spell them.

Names are `[0-9a-z_.-]+`; a name that ends in `-bin` has a value of bytes, base64 in the header (gRPC
PROTOCOL-HTTP2, "Custom-Metadata"; Connect, "Leading-Metadata").
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping

from catenet.http.message import Fields
from catenet.rpc.model.error_text import shown
from catenet.rpc.model.status import Code, RpcError

__all__ = [
    "Metadata",
    "check_metadata",
    "decode_base64",
    "decode_metadata",
    "decode_pair",
    "encode_metadata",
    "encode_value",
]

Metadata = tuple[tuple[str, str | bytes], ...]

# Fields of HTTP itself, which no application sees as metadata.
HTTP_FIELDS = frozenset(
    b"accept-encoding connection content-encoding content-length content-type date expect host keep-alive "
    b"proxy-connection server te trailer transfer-encoding upgrade vary".split()
)
RESERVED_PREFIXES = (b"grpc-", b"connect-", b":")
# Names with a prefix of the protocols that programs may give and see all the same (gRFC A6; OpenCensus).
_VISIBLE = frozenset((b"grpc-retry-pushback-ms", b"grpc-previous-rpc-attempts", b"grpc-trace-bin", b"grpc-tags-bin"))

_NAME = re.compile(r"[0-9a-z_.-]+")
_TEXT = re.compile(r"[\x20-\x7e]*")


def check_metadata(pairs: Iterable[tuple[str, str | bytes]] | Mapping[str, str | bytes]) -> Metadata:
    """Return what a program gives as metadata, names in lower case; raise `ValueError` that names the bad pair.

    Blanks around text are taken off: HTTP does not carry them (RFC 9110 section 5.5).
    """
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    checked = []
    for name, value in items:
        if not isinstance(name, str) or not isinstance(value, str | bytes):
            raise ValueError(f"metadata: {name!r}: a name is text, a value text or bytes")
        name = name.lower()
        encoded = name.encode("ascii", "replace")
        if not _NAME.fullmatch(name) or _is_reserved(encoded):
            raise ValueError(f"metadata: {name!r} cannot be the name of metadata")
        if isinstance(value, bytes) is not name.endswith("-bin"):
            raise ValueError(f"metadata: {name!r}: a value is bytes exactly when its name ends in -bin")
        if isinstance(value, str) and not _TEXT.fullmatch(value):
            raise ValueError(f"metadata: {name!r}: text must be printable ASCII; name it {name}-bin and give bytes")
        checked.append((name, value.strip(" ") if isinstance(value, str) else value))
    return tuple(checked)


def encode_metadata(metadata: Metadata, prefix: bytes = b"") -> list[tuple[bytes, bytes]]:
    """Return metadata as header fields; binary values in base64 without padding, as the protocols recommend."""
    return [(prefix + name.encode("ascii"), encode_value(value)) for name, value in metadata]


def encode_value(value: str | bytes) -> bytes:
    """Return one value as a header field carries it."""
    return b64encode(value).rstrip(b"=") if isinstance(value, bytes) else value.encode("latin-1")


def decode_metadata(fields: Fields, prefix: bytes = b"", damaged: Code = Code.INTERNAL) -> Metadata:
    """Return the metadata among header fields that start with `prefix`, with the prefix removed.

    Fields of HTTP and of the protocols are left out. Raises `RpcError` with the code `damaged` for base64 that
    is none: a server gives `INVALID_ARGUMENT`, as the fault is the caller's.
    """
    pairs: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if prefix:
            if not name.startswith(prefix):
                continue
            name = name[len(prefix) :]
        if _is_reserved(name):
            continue
        pairs.extend(decode_pair(name.decode("latin-1"), value, damaged))
    return tuple(pairs)


def _is_reserved(name: bytes) -> bool:
    return name in HTTP_FIELDS or (name.startswith(RESERVED_PREFIXES) and name not in _VISIBLE)


def decode_pair(name: str, value: bytes, damaged: Code = Code.INTERNAL) -> list[tuple[str, str | bytes]]:
    """Return the pairs that one field stands for; binary values may have been joined by commas on the way."""
    if not name.endswith("-bin"):
        return [(name, value.decode("latin-1"))]
    return [(name, decode_base64(part.strip(), name, damaged)) for part in value.split(b",")]


def decode_base64(text: bytes, name: str, damaged: Code = Code.INTERNAL) -> bytes:
    """Return bytes from base64 with or without padding; raise `RpcError` `damaged` that names the field."""
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        raise RpcError(damaged, f"metadata {shown(name)} is not base64") from None
