"""What a transport calls, as a type: drivers do not derive from `asyncio.Protocol`, so that they can be compiled.

No event loop asks what a protocol derives from. Types that say so are told at the few places where one is handed over.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Callbacks"]


class Callbacks(Protocol):
    """The methods of an `asyncio.Protocol`, whatever has them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a connection."""

    def connection_lost(self, error: Exception | None, /) -> None:
        """There is none any more."""

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""

    def eof_received(self) -> bool | None:
        """Nothing more will come; true: the transport stays open for our direction."""

    def pause_writing(self) -> None:
        """The transport is full."""

    def resume_writing(self) -> None:
        """It can take more."""
