"""The JSON of the Connect protocol: errors, and the message that ends a stream."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from catenet.rpc.model.error_text import well_formed
from catenet.rpc.model.metadata import Metadata, decode_base64, decode_pair, encode_value
from catenet.rpc.model.status import Code, Detail, RpcError

__all__ = [
    "build_end_of_stream",
    "build_error",
    "parse_end_of_stream",
    "parse_error",
    "readable_detail",
]


def build_error(error: RpcError) -> bytes:
    """Return the body of a unary response that failed (Connect, "Error-End-Of-Stream")."""
    return _dump(_error_value(error))


def build_end_of_stream(error: RpcError | None, metadata: Metadata) -> bytes:
    """Return the payload of the envelope that ends a stream."""
    value: dict[str, Any] = {}
    if error is not None:
        value["error"] = _error_value(error)
    if metadata:
        pairs: dict[str, list[str]] = {}
        for name, item in metadata:
            pairs.setdefault(name, []).append(encode_value(item).decode("latin-1"))
        value["metadata"] = pairs
    return _dump(value)


def parse_error(data: bytes, fallback: Code) -> RpcError:
    """Return the error in the body of a response; `fallback` is the code its HTTP status stands for.

    Whatever is missing or of the wrong type is taken as absent: the call has failed in any case.
    """
    return _read_error(_load(data), fallback)


def parse_end_of_stream(data: bytes) -> tuple[RpcError | None, Metadata]:
    """Return the outcome and the trailing metadata that end a stream; damaged JSON is an `INTERNAL` error."""
    value = _load(data)
    if not isinstance(value, dict):
        return RpcError(Code.INTERNAL, "the message that ends the stream is not a JSON object"), ()
    try:
        metadata = _read_metadata(value.get("metadata"))
    except RpcError as damaged:
        return damaged, ()
    if value.get("error") is None:
        return None, metadata
    error = _read_error(value["error"], Code.UNKNOWN)
    error.metadata = metadata
    return error, metadata


def _dump(value: Any) -> bytes:
    return well_formed(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()


def _load(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _error_value(error: RpcError) -> dict[str, Any]:
    value: dict[str, Any] = {"code": error.code.connect_name}
    if error.message:
        value["message"] = error.message
    if error.details:
        value["details"] = [_detail_value(detail) for detail in error.details]
    return value


def _detail_value(detail: Detail) -> dict[str, Any]:
    value: dict[str, Any] = {
        "type": detail.type_name,
        "value": b64encode(detail.value).rstrip(b"=").decode("ascii"),
    }
    readable = readable_detail(detail)
    if readable is not None:
        value["debug"] = readable
    return value


def readable_detail(detail: Detail) -> Any:
    """Return the detail as a JSON value for people who read errors; None for types this program does not know."""
    from google.protobuf import descriptor_pool, json_format, message_factory
    from google.protobuf.message import DecodeError
    from google.rpc import error_details_pb2  # noqa: F401  (the usual details, so that they are known)

    try:
        descriptor = descriptor_pool.Default().FindMessageTypeByName(detail.type_name)
        message = message_factory.GetMessageClass(descriptor).FromString(detail.value)
        return json_format.MessageToDict(message)
    except (KeyError, DecodeError, ValueError, TypeError):
        return None


def _read_error(value: Any, fallback: Code) -> RpcError:
    if not isinstance(value, dict):
        return RpcError(fallback, "" if value is None else "the error is not a JSON object")
    name = value.get("code")
    code = Code.from_connect(name) if isinstance(name, str) else None
    message = value.get("message")
    details = value.get("details")
    return RpcError(
        code or fallback,
        message if isinstance(message, str) else "",
        [detail for item in details if (detail := _read_detail(item))] if isinstance(details, list) else (),
    )


def _read_detail(value: Any) -> Detail | None:
    if not isinstance(value, dict):
        return None
    type_name, data = value.get("type"), value.get("value")
    if not isinstance(type_name, str) or not isinstance(data, str):
        return None
    try:
        return Detail(type_name.rpartition("/")[2], decode_base64(data.encode("utf-8", "replace"), "detail"))
    except RpcError:
        return None


def _read_metadata(value: Any) -> Metadata:
    if not isinstance(value, dict):
        return ()
    pairs: list[tuple[str, str | bytes]] = []
    for name, items in value.items():
        for item in items if isinstance(items, list) else ():
            if isinstance(item, str):
                pairs.extend(decode_pair(name.lower(), item.encode("latin-1", "replace")))
    return tuple(pairs)
