"""The only error that bytes from the network can raise."""

from __future__ import annotations

from typing import Final

__all__ = ["HeaderProblem", "Malformed"]


class Malformed(Exception):
    """The peer's bytes are not what the standard allows; the message names the field."""


class HeaderProblem(Malformed):
    """An IP header that its sender is to be told about with an ICMP parameter problem.

    `pointer` is the offset in the packet of the byte at fault; `code` is ICMPv6's (RFC 4443 3.4, RFC 7112).
    """

    ERRONEOUS_FIELD: Final = 0
    UNKNOWN_NEXT_HEADER: Final = 1
    UNKNOWN_OPTION: Final = 2
    INCOMPLETE_FIRST_FRAGMENT: Final = 3

    def __init__(self, message: str, pointer: int, code: int = 0) -> None:
        super().__init__(message)
        self.pointer = pointer
        self.code = code
