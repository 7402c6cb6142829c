"""OSI layer 6: how values become bytes, and how bytes become fewer.

A codec turns one message into bytes and back (`Codec`), a compression shrinks bytes (`Compression`). Both
are small values without state; a registry is a plain dict from name to value, so that a program adds its own by handing
a larger dict to the server or the channel. What stands on the package protobuf is imported when it is asked for: text
and compression do without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from catenet.codec.base import Codec, CodecError, Compression, Oversized
from catenet.codec.compression import COMPRESSIONS, DEFLATE, GZIP, IDENTITY, ZSTD

if TYPE_CHECKING:
    from catenet.codec.protobuf import PROTO, ProtobufCodec
    from catenet.codec.protojson import JSON, JsonCodec
    from catenet.codec.protoxml import XML, XmlCodec

    CODECS: dict[str, Codec]

__all__ = [
    "CODECS",
    "COMPRESSIONS",
    "DEFLATE",
    "GZIP",
    "IDENTITY",
    "JSON",
    "PROTO",
    "XML",
    "ZSTD",
    "Codec",
    "CodecError",
    "Compression",
    "JsonCodec",
    "Oversized",
    "ProtobufCodec",
    "XmlCodec",
]

_LATER = ("CODECS", "JSON", "JsonCodec", "PROTO", "ProtobufCodec", "XML", "XmlCodec")


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from catenet.codec.protobuf import PROTO, ProtobufCodec
    from catenet.codec.protojson import JSON, JsonCodec
    from catenet.codec.protoxml import XML, XmlCodec

    codecs = {codec.name: codec for codec in (PROTO, JSON, XML)}
    globals().update(CODECS=codecs, JSON=JSON, JsonCodec=JsonCodec, PROTO=PROTO, ProtobufCodec=ProtobufCodec)
    globals().update(XML=XML, XmlCodec=XmlCodec)
    return globals()[name]
