"""Messages as canonical ProtoJSON (protobuf.dev, "ProtoJSON Format")."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from google.protobuf import json_format

from catenet.codec.base import CodecError, plain_class_of, plain_of
from catenet.codec.protojson_decode import Decoders, Store, parse_json
from catenet.codec.protojson_encode import Encode, Encoders

__all__ = ["JSON", "JsonCodec"]

M = TypeVar("M")


class JsonCodec:
    """Canonical ProtoJSON.

    Unknown fields are ignored when decoding, so that old servers understand new clients as they do in binary; give
    `ignore_unknown=False` where a person writes the JSON and wants to hear about a typo.
    """

    name = "json"
    stable = True

    def __init__(self, ignore_unknown: bool = True) -> None:
        self._encoders = Encoders()
        self._decoders = Decoders(ignore_unknown)
        self._encode: dict[type, Encode] = {}
        self._decode: dict[type, tuple[Any, Store]] = {}
        """By class of messages: the class of protobuf's own that it is or stands for, and what fills its messages."""

    def encode(self, message: Any) -> bytes:
        """Return the message as JSON on one line; raise `CodecError` for what JSON cannot say."""
        kind = type(message)
        encode = self._encode.get(kind)
        if encode is None:
            plain = plain_of(message)
            encode = self._encoders.of_message(plain.DESCRIPTOR)
            if plain is message:
                self._encode[kind] = encode
            message = plain
        try:
            return encode(message).encode()
        except RecursionError:
            raise CodecError(f"cannot encode {message.DESCRIPTOR.full_name} as JSON: it is nested too deeply") from None
        except (json_format.SerializeToJsonError, ValueError, TypeError) as error:
            raise CodecError(f"cannot encode {message.DESCRIPTOR.full_name} as JSON: {error}") from None

    def decode(self, message_class: type[M], data: bytes) -> M:
        """Return the message in `data`; raise `CodecError` that names the field at fault."""
        found = self._decode.get(message_class)
        if found is None:
            plain = plain_class_of(message_class)
            found = self._decode[message_class] = (plain, self._decoders.of_message(plain.DESCRIPTOR))
        message = found[0]()
        try:
            found[1](message, parse_json(data), 1)
        except CodecError:
            raise
        except ValueError as error:
            raise CodecError(str(error)) from None
        return cast(M, message if found[0] is message_class else cast(Any, message_class)(message))


JSON = JsonCodec()
