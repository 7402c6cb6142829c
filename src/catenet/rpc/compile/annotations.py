"""Compiling what imports `buf/validate/validate.proto`, without a copy of that file."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Final

__all__ = ["descriptor_set", "import_ours"]

_NAME: Final = "buf/validate/validate.proto"
_IMPORT: Final = re.compile(r"^from buf\.validate import validate_pb2 as (\w+)$", re.MULTILINE)
_OURS: Final = r"from catenet.rpc.model import annotations as \1"


def descriptor_set(complaint: str) -> bytes | None:
    """Return a FileDescriptorSet with the annotations if that is what protoc misses, and it can be had."""
    if f"{_NAME}: File not found" not in complaint and f'"{_NAME}" was not found' not in complaint:
        return None
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

    try:
        from catenet.rpc.model.annotations import annotations_file
    except ImportError:
        return None
    return FileDescriptorSet(file=[FileDescriptorProto.FromString(annotations_file())]).SerializeToString()


def import_ours(module: Path) -> None:
    """Let a generated module import the annotations from us, unless their own module is installed."""
    try:
        installed = importlib.util.find_spec("buf.validate.validate_pb2") is not None
    except ModuleNotFoundError:
        installed = False
    text = module.read_text()
    if not installed and (changed := _IMPORT.sub(_OURS, text)) != text:
        module.write_text(changed)
