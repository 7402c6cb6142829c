"""What a peer can do wrong, and how HTTP/2 numbers it (RFC 9113 section 7)."""

from __future__ import annotations

import enum

__all__ = ["ErrorCode", "HttpError", "PeerLimit", "StreamError", "TooLarge", "TooMuch", "TooSlow", "status_of"]


class ErrorCode(enum.IntEnum):
    """Error codes of RST_STREAM and GOAWAY."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class HttpError(Exception):
    """The peer broke the protocol: the connection cannot go on. `code` is what GOAWAY says about it."""

    def __init__(self, message: str, code: int = ErrorCode.PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.code = code


class StreamError(HttpError):
    """The peer broke the protocol within one stream: that stream is reset, the connection goes on."""


class PeerLimit(Exception):
    """Fields that we are to send are over the limit that the peer has announced; nothing was sent of them.

    `size` and `limit` in bytes, as SETTINGS_MAX_HEADER_LIST_SIZE counts them (RFC 9113 section 6.5.2).
    """

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"fields of {size} bytes are over the peer's limit of {limit}")
        self.size = size
        self.limit = limit


class TooLarge(StreamError):
    """A head or a trailer section is over the limit (RFC 6585 section 5: status 431)."""


class TooMuch(HttpError):
    """The peer sends too much of what does no work (RFC 6585 section 4: status 429)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ErrorCode.ENHANCE_YOUR_CALM)


class TooSlow(HttpError):
    """The peer did not finish in time what it had begun (RFC 9110 section 15.5.9: status 408)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ErrorCode.ENHANCE_YOUR_CALM)


def status_of(error: HttpError) -> int:
    """Return what a server of HTTP/1.1 says about an error; over HTTP/2 it stands in the access log.

    No method of the classes: compiled exceptions can have none.
    """
    if isinstance(error, TooSlow):
        return 408
    if isinstance(error, TooMuch):
        return 429
    return 431 if error.code == ErrorCode.ENHANCE_YOUR_CALM else 400
