"""Messages as bytes: generated code brings its own serializers, so our calls carry what these made."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from catenet.codec import CodecError
from catenet.rpc.model.method import Kind, Method

__all__ = ["CODECS", "method_of", "serialize"]

M = TypeVar("M")


class _RawCodec:
    """Bytes are the message."""

    name = "proto"
    stable = True

    def encode(self, message: Any) -> bytes:
        """Return the message."""
        if type(message) is not bytes:
            raise CodecError(f"serializers return bytes, not {type(message).__name__}")
        return message

    def decode(self, message_class: type[M], data: bytes) -> M:
        """Return the bytes."""
        return cast(M, bytes(data))


CODECS = {"proto": _RawCodec()}


def method_of(path: str | bytes, kind: Kind) -> Method[bytes, bytes]:
    """Return the method at `/package.Service/Method`, for messages of bytes. Raises `ValueError`."""
    text = path.decode() if isinstance(path, bytes) else path
    service, slash, name = text.removeprefix("/").rpartition("/")
    if not slash or not name:
        raise ValueError(f"method {text!r}: write /package.Service/Method")
    return Method(service, name, kind, bytes, bytes)


def serialize(message: Any, serializer: Any) -> bytes:
    """Return a message as bytes; without a serializer it is bytes already."""
    return cast(bytes, message if serializer is None else serializer(message))
