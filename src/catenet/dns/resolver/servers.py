"""What is known of other servers: how quick they are, what they can, which of them to ask (RFC 6298, RFC 7873).

The choice is random among those that are about as quick as the best. A server that nobody has asked yet counts as
moderately quick, so that it gets its turn; one that does not answer is left alone for longer each time, and then tried
with one question before it is trusted with more.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from catenet.wire.dns.stub import Server

__all__ = ["LONGEST_WAIT", "ServerState", "Servers"]

UNKNOWN: Final = 0.376
"""Seconds that a server which was never asked gets: what Unbound found reasonable."""
LEAST_TIMEOUT: Final = 0.05
MOST_TIMEOUT: Final = 120.0
LONGEST_WAIT: Final = 5.0
"""Seconds that are waited for one message, however slow the server was."""
BAND: Final = 0.4
"""Seconds by which a server may be slower than the best and still be asked."""
BLOCKED: Final = 12.0
"""Timeout from which on a server counts as down: one question at a time probes it."""
DOWN_AGAIN: Final = 8
MOST_LAME: Final = 64


@dataclass(slots=True)
class ServerState:
    """One address.

    Attributes:
        smoothed, variation: of its round-trip times, in seconds; `smoothed` is None before the first answer.
        timeout: how long it gets for the next answer.
        since: when this began to be remembered.
        probing: until when a question is under way to one that counts as down.
        edns: whether it understands EDNS; None while nobody knows.
        cookie: the server's cookie.
        client_cookie: ours for it.
        opt_record: what goes out with queries by UDP, and the server's cookie in it.
        exact_case: False for one that changes the case of names.
        lame: zones that it does not serve, and until when that is believed.
    """

    smoothed: float | None = None
    variation: float = 0.0
    timeout: float = UNKNOWN
    since: float = 0.0
    probing: float = 0.0
    edns: bool | None = None
    cookie: bytes = b""
    client_cookie: bytes = b""
    opt_record: tuple[bytes | None, bytes] = (None, b"")
    exact_case: bool = True
    lame: dict[bytes, float] = field(default_factory=dict)
    timeouts: int = 0

    def answered(self, seconds: float) -> None:
        """An answer came after `seconds` (RFC 6298 2)."""
        if self.smoothed is None:
            self.smoothed, self.variation = seconds, seconds / 2
        else:
            self.variation = 0.75 * self.variation + 0.25 * abs(self.smoothed - seconds)
            self.smoothed = 0.875 * self.smoothed + 0.125 * seconds
        self.timeout = max(LEAST_TIMEOUT, min(self.smoothed + 4 * self.variation, MOST_TIMEOUT))
        self.timeouts = 0
        self.probing = 0.0

    def timed_out(self, waited: float) -> None:
        """No answer came within `waited`: the next question may wait twice as long, once for questions side by side."""
        if waited >= self.timeout:
            self.timeout = min(2 * self.timeout, MOST_TIMEOUT)
        self.timeouts += 1

    @property
    def is_down(self) -> bool:
        """Whether it has not answered for so long that it is tried with one question at a time only."""
        return self.timeout >= BLOCKED

    def is_lame(self, zone: bytes, now: float) -> bool:
        """Whether it is known not to serve the zone."""
        return self.lame.get(zone, 0.0) > now


class Servers:
    """All of them, of which so many are remembered for so long."""

    def __init__(self, rng: random.Random, most: int = 10_000, memory: float = 900.0) -> None:
        self._rng = rng
        self._most = most
        self._memory = memory
        self._states: OrderedDict[Server, ServerState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def state(self, server: Server, now: float) -> ServerState:
        """What is known of this one."""
        state = self._states.get(server)
        if state is None:
            state = self._states[server] = ServerState(since=now)
            if len(self._states) > self._most:
                self._states.popitem(last=False)
            return state
        self._states.move_to_end(server)
        if now - state.since > self._memory:
            # What was slow or lame may have been mended; what the server can is kept, with its cookie.
            was_down = state.is_down
            state.since, state.smoothed, state.lame = now, None, {}
            state.timeout = BLOCKED / DOWN_AGAIN if was_down else UNKNOWN
            if state.edns is False:
                state.edns = None
            state.exact_case = True
        return state

    def mark_lame(self, server: Server, zone: bytes, now: float) -> None:
        """It does not serve the zone; `zone` may say for what, as some servers know no type but A."""
        lame = self.state(server, now).lame
        if len(lame) >= MOST_LAME:
            del lame[next(iter(lame))]
        lame[zone] = now + self._memory

    def choose(self, candidates: Iterable[tuple[Server, int]], now: float) -> Server | None:
        """One of these servers, each with how often this question was sent to it; None if all seem down."""
        rated = []
        for server, sent in candidates:
            state = self.state(server, now)
            if state.is_down and state.probing > now:
                continue
            expected = UNKNOWN if state.smoothed is None and not state.timeouts else state.timeout
            rated.append((sent, expected, server))
        if not rated:
            return None
        fewest = min(sent for sent, _, _ in rated)
        rated = [one for one in rated if one[0] == fewest]
        best = min(expected for _, expected, _ in rated)
        close = [server for _, expected, server in rated if expected <= best + BAND]
        chosen = close[self._rng.randrange(len(close))] if len(close) > 1 else close[0]
        state = self.state(chosen, now)
        if state.is_down:
            state.probing = now + LONGEST_WAIT
        return chosen

    def dump(self, text: Callable[[Server], str]) -> Iterable[str]:
        """Lines that say what is known."""
        for server, state in self._states.items():
            rtt = "unknown" if state.smoothed is None else f"{state.smoothed * 1000:.0f} ms"
            timeout = f"{state.timeout * 1000:.0f} ms"
            yield f"{text(server)}: rtt {rtt}, timeout {timeout}, edns {state.edns}, lame {len(state.lame)}"
