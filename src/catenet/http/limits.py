"""What a peer may cost us: every queue and every rate has a number here, and each number has a test that attacks it."""

from __future__ import annotations

from dataclasses import dataclass

from catenet.checks import check_numbers

__all__ = ["Guard", "Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one connection. Sizes in bytes. Raises `ValueError` that names the field.

    * `max_header_list`: a decoded head or trailer section (RFC 9113 section 10.5.1). Over it: status 431 or a stream
      error, the connection stays; over HTTP/2 a server counts one glitch for each whole limit. Four times as much
      encoded (a peer may send before it knows the limit), or 16 times as much decoded, is taken for an attack and ends
      the connection; a client bears with 32 and 128 times as much. A peer that announces no limit of its own is taken
      to have this one.
    * `max_continuations`: short frames in one header block.
    * `max_streams`: concurrent streams that the peer may have (SETTINGS_MAX_CONCURRENT_STREAMS).
    * `stream_window`, `connection_window`: receive windows.
    * `max_frame`: SETTINGS_MAX_FRAME_SIZE, and the largest frame we send: larger ones cost less per byte and keep
      other streams waiting longer.
    * `max_held`: received body bytes that the application has not consumed; beyond it the connection window closes.
    * `max_queued`: bytes that wait for the peer to open its window or read; beyond it the connection is given up.
    * `glitch_burst`, `glitch_rate`: frames that do no work (resets, pings, settings, empty DATA, refused and
      malformed streams) in a burst, and per second. Every stream that is served to its end pays for one more, so a
      busy client may cancel as often as it completes.
    * `max_interim`: 1xx responses to one request over HTTP/1.1.

    `connect_protocol`: a server announces SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441) and takes such requests.
    """

    max_header_list: int = 64 << 10
    max_continuations: int = 32
    max_streams: int = 1000
    stream_window: int = 512 << 10
    connection_window: int = 4 << 20
    max_frame: int = 64 << 10
    max_held: int = 16 << 20
    max_queued: int = 64 << 20
    glitch_burst: int = 1000
    glitch_rate: float = 100.0
    max_interim: int = 100
    connect_protocol: bool = False

    def __post_init__(self) -> None:
        check_numbers(self, ("max_header_list", "max_held", "max_queued"), whole=True)
        check_numbers(self, ("max_continuations", "glitch_burst", "max_interim"), whole=True)
        check_numbers(self, ("max_streams",), 0, (1 << 32) - 1, whole=True)
        check_numbers(self, ("stream_window",), 0, (1 << 31) - 1, whole=True)  # RFC 9113 section 6.5.2, as the next
        check_numbers(self, ("connection_window",), 65_535, (1 << 31) - 1, whole=True)
        check_numbers(self, ("max_frame",), 16_384, (1 << 24) - 1, whole=True)
        check_numbers(self, ("glitch_rate",))


class Guard:
    """A token bucket for what a well-behaved peer does rarely (rapid reset, SETTINGS and PING floods, ...)."""

    __slots__ = ("_burst", "_rate", "_served", "_then", "_tokens")

    def __init__(self, limits: Limits) -> None:
        self._burst = float(limits.glitch_burst)
        self._rate = limits.glitch_rate
        self._tokens = self._burst
        self._then: float | None = None
        self._served = 0

    @property
    def state(self) -> tuple[float, float, int]:
        """What is left, when that was, and how many streams had been served then."""
        return self._tokens, 0.0 if self._then is None else self._then, self._served

    def resume(self, tokens: float, then: float, served: int) -> None:
        """Go on from a `state`."""
        self._tokens, self._then, self._served = tokens, then, served

    def spend(self, cost: float, now: float, served: int) -> bool:
        """Take `cost` tokens; False if there are none left. `served` counts all streams served so far."""
        then = now if self._then is None else self._then
        tokens = self._tokens + (now - then) * self._rate + (served - self._served)
        self._then, self._served = now, served
        self._tokens = min(tokens, self._burst) - cost
        return self._tokens >= 0
