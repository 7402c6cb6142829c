"""Messages as canonical ProtoJSON, by ``google.protobuf.json_format``."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from google.protobuf import json_format

from catenet.codec.base import CodecError

M = TypeVar("M")


class JsonCodec:
    """Canonical ProtoJSON (protobuf.dev, "ProtoJSON Format").

    Unknown fields are ignored when decoding, so that old servers understand new clients as they do in binary; give
    ``ignore_unknown=False`` where a person writes the JSON and wants to hear about a typo.
    """

    name = "json"
    stable = True

    def __init__(self, ignore_unknown: bool = True) -> None:
        self.ignore_unknown = ignore_unknown

    def encode(self, message: Any) -> bytes:
        """Return the message as JSON on one line; raise :class:`CodecError` for what JSON cannot say."""
        try:
            return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()
        except (json_format.SerializeToJsonError, ValueError, TypeError) as error:
            raise CodecError(f"cannot encode {message.DESCRIPTOR.full_name} as JSON: {error}") from None

    def decode(self, message_class: type[M], data: bytes) -> M:
        """Return the message in ``data``; raise :class:`CodecError` that names the field at fault."""
        message = cast(Any, message_class())
        try:
            if not message.DESCRIPTOR.full_name.startswith("google.protobuf.") and not data.lstrip().startswith(b"{"):
                # json_format takes a list or a string as a message without fields.
                raise CodecError("a message is a JSON object")
            json_format.Parse(data, message, ignore_unknown_fields=self.ignore_unknown)
        except CodecError:
            raise
        except RecursionError:
            raise CodecError("the JSON is nested too deeply") from None
        except Exception as error:  # json_format promises ParseError, but odd input makes it raise half a dozen others
            raise CodecError(str(error) or type(error).__name__) from None
        return cast(M, message)


JSON = JsonCodec()
