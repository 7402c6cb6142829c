"""Status and metadata that are more than the peer takes (SETTINGS_MAX_HEADER_LIST_SIZE): what is sent instead.

The code of a status says most and the text of an error is for people: so first the text is cut, then the details are
left out. Metadata means something only as a whole: with too much of it the call ends with `RESOURCE_EXHAUSTED`, as
with gRPC.
"""

from __future__ import annotations

from catenet.http.errors import PeerLimit
from catenet.http.message import list_size
from catenet.rpc.model.error_text import cut, encoded_size, shown, well_formed
from catenet.rpc.model.metadata import Metadata
from catenet.rpc.model.status import Code, RpcError, pack_status
from catenet.rpc.protocols.grpc import status_fields

__all__ = ["brief", "shorter", "too_much"]

_REMARK = 80
_SLACK = 16
_SURELY_BRIEF = 300
_STEPS = 4
_HEAD = 512
"""What the fields of a head count that come with the status if nothing else does."""
_SHORTEST = 256
"""Bytes of text, encoded, below which cutting goes no further."""


def brief(error: RpcError, metadata: Metadata, limit: int) -> RpcError:
    """Return the error as gRPC may send it to a peer with this limit: cut, if it takes more than half of that.

    What grpcio announces is a hard limit; from its soft limit on, half or four fifths of the other, it rejects
    responses at random. Metadata may take all there is, and is left as it is.
    """
    if len(error.message) + sum(len(detail.value) for detail in error.details) < _SURELY_BRIEF:
        return error
    shortened, room = error, max(limit // 2 - _HEAD, 0)
    for _ in range(_STEPS):
        much = list_size(status_fields(shortened, metadata)) - room
        if much <= 0:
            return shortened
        less = _with_less_text(shortened, much)
        if less is None:
            break
        shortened = less
    return error


def shorter(error: RpcError | None, metadata: Metadata, excess: PeerLimit) -> tuple[RpcError, Metadata]:
    """Return an ending that is shorter by what the fields of `error` and `metadata` had too much, or nearly."""
    less = None if error is None else _with_less_text(error, excess.size - excess.limit)
    return (too_much(excess, "trailing", error), ()) if less is None else (less, metadata)


def _with_less_text(error: RpcError, much: int) -> RpcError | None:
    """Return the error with some `much` bytes less of text, or without details; None if that is not enough."""
    text = encoded_size(error.message)
    much += _SLACK
    if not error.details:
        return _with(error, cut(error.message, text - much), True) if text - much >= _SHORTEST else None
    # The packed status has the text once more, and all of it in base64.
    packed = len(pack_status(error)) * 4 // 3
    inside = len(well_formed(error.message).encode()) * 4 // 3
    room = text - text * much // (text + inside + 1) - 1
    if room >= _SHORTEST:
        return _with(error, cut(error.message, room), True)
    room = text + packed - much - _REMARK
    return _with(error, _left_out(error, cut(error.message, room)), False) if room >= _SHORTEST else None


def too_much(excess: PeerLimit, which: str, error: RpcError | None = None) -> RpcError:
    """Return the error that stands for metadata over the peer's limit; `error`: how the call had ended before."""
    message = f"the {which} metadata is over the peer's limit: {excess}"
    if error is not None:
        message += f"; the call itself ended with {error.code.name}: {shown(error.message)}"
    return RpcError(Code.RESOURCE_EXHAUSTED, message)


def _with(error: RpcError, message: str, details: bool) -> RpcError:
    return RpcError(error.code, message, error.details if details else (), error.metadata)


def _left_out(error: RpcError, message: str) -> str:
    size = sum(len(detail.value) for detail in error.details)
    return f"{message}… ({len(error.details)} details of {size} bytes left out)"
