"""Messages as XML (docs/rpc-xml.md): `application/xml` beside `application/json` and `application/proto`."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from catenet.codec.base import CodecError, plain_class_of, plain_of
from catenet.codec.protoxml_decode import XmlDecoders
from catenet.codec.protoxml_encode import XmlEncoders

__all__ = ["XML", "XmlCodec"]

M = TypeVar("M")


class XmlCodec:
    """XML, with unknown fields and extensions kept.

    Unknown elements are ignored when decoding, as in JSON; `ignore_unknown=False` refuses them.
    """

    name = "xml"
    stable = True

    def __init__(self, ignore_unknown: bool = True) -> None:
        self._encoders = XmlEncoders()
        self._decoders = XmlDecoders(ignore_unknown)

    def encode(self, message: Any) -> bytes:
        """Return the message as XML; raise `CodecError` for what XML cannot say."""
        message = plain_of(message)
        if not message.IsInitialized():
            missing = message.FindInitializationErrors()
            raise CodecError(f"cannot encode {message.DESCRIPTOR.full_name} as XML: it lacks {', '.join(missing)}")
        try:
            return self._encoders.document(message).encode()
        except RecursionError:
            raise CodecError(f"cannot encode {message.DESCRIPTOR.full_name} as XML: it is nested too deeply") from None
        except (ValueError, TypeError) as error:
            raise CodecError(f"cannot encode {message.DESCRIPTOR.full_name} as XML: {error}") from None

    def decode(self, message_class: type[M], data: bytes) -> M:
        """Return the message in `data`; raise `CodecError` that names the field at fault."""
        message = plain_class_of(message_class)()
        self._decoders.fill(message, data)
        if not message.IsInitialized():
            raise CodecError(f"the message lacks {', '.join(message.FindInitializationErrors())}")
        return cast(M, message if type(message) is message_class else cast(Any, message_class)(message))


XML = XmlCodec()
