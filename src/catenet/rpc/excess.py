"""Status and metadata that are more than the peer takes (SETTINGS_MAX_HEADER_LIST_SIZE): what is sent instead.

The code of a status says most and the text of an error is for people: so first the text is cut, then the details are
left out. Metadata means something only as a whole: with too much of it the call ends with ``RESOURCE_EXHAUSTED``, as
with gRPC.
"""

from __future__ import annotations

from catenet.http.errors import PeerLimit
from catenet.rpc.metadata import Metadata
from catenet.rpc.status import Code, RpcError, pack_status
from catenet.rpc.text import cut, encoded_size, shown, well_formed

_REMARK = 80
_SLACK = 16
_SHORTEST = 256
"""Bytes of text, encoded, below which cutting goes no further."""


def shorter(error: RpcError | None, metadata: Metadata, excess: PeerLimit) -> tuple[RpcError, Metadata]:
    """Return an ending that is shorter by what the fields of ``error`` and ``metadata`` had too much, or nearly."""
    if error is not None:
        much = excess.size - excess.limit + _SLACK
        text = encoded_size(error.message)
        if not error.details:
            if text - much >= _SHORTEST:
                return _with(error, cut(error.message, text - much), True), metadata
        else:
            # The packed status has the text once more, and all of it in base64.
            packed = len(pack_status(error)) * 4 // 3
            inside = len(well_formed(error.message).encode()) * 4 // 3
            room = text - text * much // (text + inside + 1) - 1
            if room >= _SHORTEST:
                return _with(error, cut(error.message, room), True), metadata
            room = text + packed - much - _REMARK
            if room >= _SHORTEST:
                return _with(error, _left_out(error, cut(error.message, room)), False), metadata
    return too_much(excess, "trailing", error), ()


def too_much(excess: PeerLimit, which: str, error: RpcError | None = None) -> RpcError:
    """Return the error that stands for metadata over the peer's limit; ``error``: how the call had ended before."""
    message = f"the {which} metadata is over the peer's limit: {excess}"
    if error is not None:
        message += f"; the call itself ended with {error.code.name}: {shown(error.message)}"
    return RpcError(Code.RESOURCE_EXHAUSTED, message)


def _with(error: RpcError, message: str, details: bool) -> RpcError:
    return RpcError(error.code, message, error.details if details else (), error.metadata)


def _left_out(error: RpcError, message: str) -> str:
    size = sum(len(detail.value) for detail in error.details)
    return f"{message}… ({len(error.details)} details of {size} bytes left out)"
