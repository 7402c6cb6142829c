"""What can go wrong with a transfer, by the numbers of the protocol."""

from __future__ import annotations

import enum

from catenet.printable import printable

__all__ = ["ErrorCode", "NoAnswerError", "TftpError"]


class ErrorCode(enum.IntEnum):
    """Codes of ERROR packets (RFC 1350 appendix, RFC 2347)."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS = 2
    DISK_FULL = 3
    ILLEGAL = 4
    UNKNOWN_ID = 5
    EXISTS = 6
    NO_USER = 7
    OPTIONS = 8


_TEXTS = {
    ErrorCode.UNDEFINED: "it failed",
    ErrorCode.NOT_FOUND: "no such file",
    ErrorCode.ACCESS: "access is not allowed",
    ErrorCode.DISK_FULL: "no room for it",
    ErrorCode.ILLEGAL: "not a packet of this protocol",
    ErrorCode.UNKNOWN_ID: "unknown transfer",
    ErrorCode.EXISTS: "there is a file of this name already",
    ErrorCode.NO_USER: "no such user",
    ErrorCode.OPTIONS: "these options are refused",
}


class TftpError(OSError):
    """A transfer failed. `code`: of the ERROR packet; `told`: the peer sent it, instead of us."""

    def __init__(self, code: int, text: str = "", told: bool = False) -> None:
        self.code = code
        self.text = printable(text) or _text(code)
        self.told = told
        super().__init__(f"the peer says: {self.text} (error {code})" if told else self.text)


class NoAnswerError(TftpError, TimeoutError):
    """The peer was silent for too long, from the beginning (`begun` is False) or in the middle."""

    def __init__(self, seconds: float, begun: bool) -> None:
        super().__init__(ErrorCode.UNDEFINED, f"no answer in {seconds:.0f} s" if seconds >= 1 else "no answer")
        self.begun = begun


def _text(code: int) -> str:
    return _TEXTS.get(ErrorCode(code), "") if code in _TEXTS else f"error {code}"
