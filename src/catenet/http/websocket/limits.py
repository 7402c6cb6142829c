"""What a peer may cost one WebSocket, and how often we look whether it is still there."""

from __future__ import annotations

from dataclasses import dataclass

from catenet.checks import check_numbers

__all__ = ["WebSocketLimits"]


@dataclass(frozen=True, slots=True)
class WebSocketLimits:
    """Limits of one connection. Sizes in bytes, times in seconds. Raises `ValueError` that names the field.

    * `max_message`: a message of the peer, decompressed. Over it: the connection ends with 1009.
    * `max_frame`: a frame of the peer, as it comes.
    * `max_fragments`: frames that make one message; they may be empty.
    * `max_pongs`: Pings that wait for the transport to take the answer. Of more, the latest are answered
      (RFC 6455 section 5.5.3).
    * `close_timeout`: for the peer to answer our Close, and for a server to close the connection.
    * `ping_interval`: silence after which a Ping is sent; None: none is.
    * `ping_timeout`: for anything to come after that Ping; then the connection ends with 1011.
    """

    max_message: int = 16 << 20
    max_frame: int = 16 << 20
    max_fragments: int = 128 << 10
    max_pongs: int = 16
    close_timeout: float = 10.0
    ping_interval: float | None = 20.0
    ping_timeout: float = 20.0

    def __post_init__(self) -> None:
        check_numbers(self, ("max_message", "max_frame", "max_fragments", "max_pongs"), whole=True)
        check_numbers(self, ("close_timeout", "ping_timeout"))
        check_numbers(self, ("ping_interval",), none=True)
