"""Settings of congestion control, by the names that Linux gives them where it has them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ControlSettings"]


@dataclass
class ControlSettings:
    """What an administrator may change; read whenever it matters, so a change holds from the next event on."""

    tcp_hystart: int = 2
    """How CUBIC leaves its first slow start before a loss; 2: HyStart++ (RFC 9406), 1: Linux's HyStart, 0: not."""
    tcp_cubic_rfc9438: int = 0
    """Whether CUBIC's curve and its Reno-friendly region (4.3) are RFC 9438's instead of Linux's."""
    tcp_min_tso_segs: int = 2
