"""MSG_ZEROCOPY for streams: when the memory of a send may be used again (Linux, Documentation/networking/msg_zerocopy).

Our stack copies, as Linux does over the loopback, and says so (SO_EE_CODE_ZEROCOPY_COPIED). The notification still
comes when the data are acknowledged, by which programs that count on it are tested.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from catenet.posix.structures import EXTENDED_ERROR

if TYPE_CHECKING:
    from catenet.stack.tcp.user.endpoint import TcpEndpoint

__all__ = ["ZeroCopy"]

SO_EE_ORIGIN_ZEROCOPY: Final = 5
SO_EE_CODE_ZEROCOPY_COPIED: Final = 1


class ZeroCopy:
    """Sends of one connection that wait for their acknowledgment, and notifications that wait to be read."""

    __slots__ = ("_endpoint", "_next", "_ready", "_waiting", "_written")

    def __init__(self, endpoint: TcpEndpoint, just_written: int = 0) -> None:
        self._endpoint = endpoint
        self._next = 0
        self._ready: deque[list[int]] = deque()
        self._waiting: deque[tuple[int, int]] = deque()
        self._written = max(endpoint.unsent() - just_written, 0)

    def on_write(self, count: int, wanted: bool) -> None:
        """Note that `count` bytes were taken, with MSG_ZEROCOPY if `wanted`; those sends are numbered from 0."""
        self._written += count
        if wanted and count:
            self._waiting.append((self._written, self._next))
            self._next += 1
            self._endpoint.wake_on_acknowledgment()

    def is_ready(self) -> bool:
        """Whether a notification can be read."""
        waiting = self._waiting
        if waiting and self._endpoint.state != "SYN-SENT":
            acknowledged = self._written - self._endpoint.unsent()
            while waiting and waiting[0][0] <= acknowledged:
                self._complete(waiting.popleft()[1])
            if waiting:
                self._endpoint.wake_on_acknowledgment()
        return bool(self._ready)

    def _complete(self, number: int) -> None:
        """Notifications in a row are one, from the first number to the last."""
        if self._ready and self._ready[-1][1] == number - 1:
            self._ready[-1][1] = number
        else:
            self._ready.append([number, number])

    def take(self) -> bytes | None:
        """The next notification as `struct sock_extended_err`, None without."""
        if not self.is_ready():
            return None
        low, high = self._ready.popleft()
        return EXTENDED_ERROR.pack(0, SO_EE_ORIGIN_ZEROCOPY, 0, SO_EE_CODE_ZEROCOPY_COPIED, 0, low, high)
