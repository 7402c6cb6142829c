"""Messages as protobuf bytes, by the `protobuf` package."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError, EncodeError

from catenet.codec.base import CodecError

__all__ = ["PROTO", "ProtobufCodec"]

M = TypeVar("M")


class ProtobufCodec:
    """The binary wire format. Deterministic encoding sorts map entries, at a price; plain calls do not need it."""

    name = "proto"

    def __init__(self, stable: bool = False) -> None:
        self.stable = stable

    def encode(self, message: Any) -> bytes:
        """Return the message as bytes; raise `CodecError` for one without its required fields."""
        try:
            if self.stable:
                return cast(bytes, message.SerializeToString(deterministic=True))
            encoded: bytes = message.SerializeToString()
            return encoded
        except EncodeError as error:
            raise CodecError(f"cannot encode {message.DESCRIPTOR.full_name}: {error}") from None

    def decode(self, message_class: type[M], data: bytes) -> M:
        """Return the message in `data`; raise `CodecError` if the bytes are no such message."""
        try:
            message: M = message_class.FromString(data)  # type: ignore[attr-defined]
            return message
        except DecodeError:
            # protobuf's own text varies between its implementations; this does not.
            raise CodecError(f"the bytes are no {message_class.DESCRIPTOR.full_name}") from None  # type: ignore[attr-defined]


PROTO = ProtobufCodec()
