"""Exit statuses of a transfer: the numbers of curl's manual page, section EXIT CODES, so that scripts keep working."""

from __future__ import annotations

import enum

__all__ = ["TRANSIENT", "Code", "TransferError"]


class Code(enum.IntEnum):
    """What went wrong."""

    FAILED = 1  # curl: unsupported protocol
    MALFORMED_URL = 3
    PROXY_NAME = 5
    NAME = 6
    CONNECT = 7
    PARTIAL = 18
    STATUS = 22
    WRITE = 23
    READ = 26
    TIMEOUT = 28
    RANGE = 33
    TLS = 35
    REDIRECTS = 47
    NOTHING = 52
    RECEIVE = 56
    CERTIFICATE = 60
    CODING = 61
    TFTP_NOT_FOUND = 68
    TFTP_ACCESS = 69
    TFTP_DISK_FULL = 70
    TFTP_ILLEGAL = 71
    TFTP_UNKNOWN_ID = 72
    TFTP_EXISTS = 73
    TFTP_NO_USER = 74
    HTTP2 = 92


TRANSIENT = (Code.PARTIAL, Code.NOTHING, Code.RECEIVE, Code.HTTP2)
"""A connection broke off: what there is may be gone on with."""


class TransferError(Exception):
    """A transfer that failed; one line for the user, and the exit status."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
