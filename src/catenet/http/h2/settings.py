"""What a peer may set (RFC 9113 section 6.5.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from catenet.http.errors import ErrorCode, HttpError
from catenet.http.h2 import frames

__all__ = ["PeerSettings", "read_settings"]

_MAX_SETTINGS = 64


@dataclass(slots=True)
class PeerSettings:
    """The values of one SETTINGS frame that concern us; None: not in it."""

    table_size: int | None = None
    max_streams: int | None = None
    initial_window: int | None = None
    max_frame: int | None = None
    max_header_list: int | None = None
    connect_protocol: bool | None = None


def read_settings(payload: bytes, from_server: bool) -> PeerSettings:
    """Read and check a SETTINGS payload; raise `HttpError`."""
    if len(payload) % 6:
        raise HttpError("SETTINGS is not a multiple of 6 bytes", ErrorCode.FRAME_SIZE_ERROR)
    if len(payload) > 6 * _MAX_SETTINGS:
        raise HttpError("too many settings in one frame", ErrorCode.ENHANCE_YOUR_CALM)
    new = PeerSettings()
    for key, value in struct.iter_unpack(">HI", payload):
        if key == frames.HEADER_TABLE_SIZE:
            new.table_size = value
        elif key == frames.ENABLE_PUSH:
            if value > 1 or (from_server and value):
                raise HttpError(f"ENABLE_PUSH is {value}")
        elif key == frames.MAX_CONCURRENT_STREAMS:
            new.max_streams = value
        elif key == frames.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise HttpError(f"INITIAL_WINDOW_SIZE is {value}", ErrorCode.FLOW_CONTROL_ERROR)
            new.initial_window = value
        elif key == frames.MAX_FRAME_SIZE:
            if not frames.DEFAULT_FRAME_SIZE <= value < 1 << 24:
                raise HttpError(f"MAX_FRAME_SIZE is {value}")
            new.max_frame = value
        elif key == frames.MAX_HEADER_LIST_SIZE:
            new.max_header_list = value
        elif key == frames.ENABLE_CONNECT_PROTOCOL:
            if value > 1:
                raise HttpError(f"ENABLE_CONNECT_PROTOCOL is {value}")
            new.connect_protocol = value == 1
    return new
