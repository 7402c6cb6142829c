"""A UDP datagram that several calls make (udp(7): MSG_MORE, UDP_CORK)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from catenet.posix.errors import os_error
from catenet.stack.datagram.udp import MAX_PAYLOAD

if TYPE_CHECKING:
    from catenet.stack.datagram.datagram import Prepared

__all__ = ["Cork"]


class Cork:
    """What waits for more. The first call has decided where it goes, and how."""

    __slots__ = ("data", "prepared")

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.data = b""

    def append(self, data: bytes) -> None:
        """Add to the datagram; EMSGSIZE when it gets too long, and then all of it is lost."""
        version = 4 if len(self.prepared[1].address) == 4 else 6
        if len(self.data) + len(data) > MAX_PAYLOAD[version]:
            raise os_error(errno.EMSGSIZE)
        self.data += data
