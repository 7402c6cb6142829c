"""The two interfaces of this layer and the errors that a peer's bytes can cause."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from google.protobuf.message import Message

__all__ = ["Codec", "CodecError", "Compression", "Oversized", "plain_class_of", "plain_of"]

M = TypeVar("M")


class CodecError(ValueError):
    """The bytes are not what the codec or the compression calls well formed, or the value cannot be encoded."""


class Oversized(CodecError):
    """The bytes would expand to more than the limit; found before they were."""


class Codec(Protocol):
    """Turns one message into bytes and back.

    `name` is the suffix of the content type: `proto` in `application/grpc+proto`, `json` in
    `application/json`. `stable` says that equal messages give equal bytes, which a cacheable GET wants.
    """

    @property
    def name(self) -> str:
        """The suffix of the content type."""

    @property
    def stable(self) -> bool:
        """Whether equal messages give equal bytes."""

    def encode(self, message: Any) -> bytes:
        """Return the message as bytes; raise `CodecError` if it cannot be encoded."""

    def decode(self, message_class: type[M], data: bytes) -> M:
        """Return the message in `data`; raise `CodecError` if there is none."""


class Compression(Protocol):
    """Shrinks bytes and restores them. `name` is the content coding (RFC 9110 section 8.4.1)."""

    @property
    def name(self) -> str:
        """The content coding, for example `gzip`."""

    def compress(self, data: bytes) -> bytes:
        """Return `data` compressed."""

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return the original bytes, at most `limit` of them.

        Raises `Oversized` without ever holding much more than `limit` bytes, and `CodecError` for
        bytes that are damaged, truncated or followed by others. No bytes are the compression of no bytes: several
        implementations of Connect and gRPC set the flag on an empty message and compress nothing.
        """


def plain_of(message: Any) -> Any:
    """Return the protobuf message that is meant, if `message` only stands for one (`codec.packed`)."""
    if isinstance(message, Message):  # which takes long to say that it has no such attribute
        return message
    plain = getattr(message, "__plain__", None)
    return message if plain is None else plain()


def plain_class_of(message_class: Any) -> Any:
    """Return the class of protobuf messages that `message_class` is, or stands for."""
    if isinstance(message_class, type) and issubclass(message_class, Message):
        return message_class
    return getattr(message_class, "__plain_class__", message_class)
