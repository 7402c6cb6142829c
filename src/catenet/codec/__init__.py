"""OSI layer 6: how values become bytes, and how bytes become fewer.

A codec turns one message into bytes and back (`Codec`), a compression shrinks bytes (`Compression`). Both
are small values without state; a registry is a plain dict from name to value, so that a program adds its own by handing
a larger dict to the server or the channel.
"""

from catenet.codec.base import Codec, CodecError, Compression, Oversized
from catenet.codec.compression import COMPRESSIONS, DEFLATE, GZIP, IDENTITY, ZSTD
from catenet.codec.protobuf import PROTO, ProtobufCodec
from catenet.codec.protojson import JSON, JsonCodec

CODECS: dict[str, Codec] = {codec.name: codec for codec in (PROTO, JSON)}

__all__ = [
    "CODECS",
    "COMPRESSIONS",
    "DEFLATE",
    "GZIP",
    "IDENTITY",
    "JSON",
    "PROTO",
    "ZSTD",
    "Codec",
    "CodecError",
    "Compression",
    "JsonCodec",
    "Oversized",
    "ProtobufCodec",
]
