"""The annotations of `buf/validate/validate.proto`, which protobuf knows once this module is imported.

protovalidate brings their descriptor; there is no copy of it here. Modules that `catenet rpc compile` writes import
this one where they would import `buf.validate.validate_pb2`, unless that is installed.
"""

from __future__ import annotations

from typing import Final

__all__ = ["annotations_file"]

PROTO: Final = "buf/validate/validate.proto"


def annotations_file() -> bytes:
    """Return the FileDescriptorProto of the annotations. Raises `ImportError` without protovalidate."""
    try:
        from protovalidate._gen.buf.validate import validate_pb

        found: bytes = validate_pb._DESC.proto.to_binary()
    except (ImportError, AttributeError):
        raise ImportError(f"{PROTO} needs protovalidate: pip install 'catenet[auth]'", name="protovalidate") from None
    return found


def _register() -> None:
    from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, field_mask_pb2, timestamp_pb2

    pool = descriptor_pool.Default()
    try:
        pool.FindFileByName(PROTO)
    except KeyError:
        for needed in (descriptor_pb2, duration_pb2, field_mask_pb2, timestamp_pb2):
            assert needed.DESCRIPTOR
        pool.AddSerializedFile(annotations_file())


_register()
