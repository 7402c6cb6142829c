"""A server says with each call how loaded it is (gRFC A51): an interceptor that nothing else depends on.

Clients with `weighted_round_robin` send it its share of the calls then, those of other implementations too.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from catenet.rpc.model.context import Context
from catenet.rpc.model.interceptor import Interceptor, Proceed
from catenet.rpc.model.load_report import LOAD_METADATA, LoadReport

__all__ = ["LoadMeter", "LoadReports"]


class LoadMeter:
    """How many calls there were of late, and how much processor time they took. Pure.

    `window`: seconds that count; `interval`: seconds for which a report is good.
    """

    def __init__(self, window: float = 10.0, interval: float = 0.5) -> None:
        self._window = window
        self._interval = interval
        self._ended = 0
        self._failed = 0
        self._samples: deque[tuple[float, float, int, int]] = deque()
        self._report = LoadReport()
        self._due = float("-inf")

    def call_ended(self, failed: bool) -> None:
        """A call has ended."""
        self._ended += 1
        self._failed += failed

    def report(self, now: float, processor: float, utilization: float = 0.0) -> LoadReport:
        """Return the report. `processor`: seconds of processor time ever used; `utilization`: its own word."""
        if now < self._due:
            return self._report
        self._due = now + self._interval
        samples = self._samples
        while len(samples) > 1 and samples[1][0] <= now - self._window:
            samples.popleft()
        if samples:
            since, used, ended, failed = samples[0]
            span = max(now - since, 1e-9)
            self._report = LoadReport(
                cpu_utilization=max(processor - used, 0.0) / span,
                application_utilization=utilization,
                rps=(self._ended - ended) / span,
                eps=(self._failed - failed) / span,
            )
        samples.append((now, processor, self._ended, self._failed))
        return self._report


class LoadReports(Interceptor):
    """Give it to a server. `utilization` returns the load as the service sees it, 1.0 when it is full.

    Without it the processor time of this process counts, of which an interpreter can use that of one processor.
    """

    def __init__(self, utilization: Callable[[], float] | None = None) -> None:
        self._utilization = utilization
        self._meter = LoadMeter()
        self._told: LoadReport | None = None
        self._encoded = b""

    async def around(self, call: Any, proceed: Proceed) -> Any:
        """Count the call, and add the report to its trailers."""
        failed = True
        try:
            result = await proceed()
            failed = False
            return result
        finally:
            self._meter.call_ended(failed)
            if isinstance(call, Context):
                call.add_trailing_metadata([(LOAD_METADATA, self._current())])

    def _current(self) -> bytes:
        own = 0.0 if self._utilization is None else self._utilization()
        report = self._meter.report(time.monotonic(), time.process_time(), own)
        if report is not self._told:
            self._told, self._encoded = report, report.encode()
        return self._encoded
