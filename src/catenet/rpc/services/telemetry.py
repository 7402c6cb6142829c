"""OpenTelemetry: spans around calls on either side, by an interceptor; and metrics of a server.

Names and attributes are those of the semantic conventions for RPC. Tracer and propagator are handed in, or taken
from `opentelemetry` if that is installed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from catenet.rpc.model.context import Context
from catenet.rpc.model.interceptor import Interceptor, Proceed
from catenet.rpc.model.metrics import OTHER, Meter, Meters
from catenet.rpc.model.status import Code, RpcError

__all__ = ["SeveralMetrics", "Telemetry", "TelemetryMetrics"]

# What a server's span counts as its own failure; the other codes are the caller's doing.
_SERVER_FAILURES = frozenset(
    (Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS)
)


class Telemetry(Interceptor):
    """One span per call: give it to a server (it continues the caller's trace) or to a channel (it passes it on).

    `tracer` has `start_as_current_span`, `propagator` has `extract(carrier=)` and `inject(carrier)`. Raises
    `ValueError` if one is missing and `opentelemetry-api` is not installed.
    """

    def __init__(self, tracer: Any = None, propagator: Any = None) -> None:
        if tracer is None or propagator is None:
            try:
                from opentelemetry import propagate, trace  # type: ignore[import-not-found, unused-ignore]
            except ImportError:
                raise ValueError(
                    "Telemetry needs a tracer and a propagator, or: pip install opentelemetry-api"
                ) from None
            tracer = tracer or trace.get_tracer("catenet.rpc")
            propagator = propagator or propagate
        self._tracer = tracer
        self._propagator = propagator

    async def around(self, call: Any, proceed: Proceed) -> Any:
        """Open a span, let the call proceed, note how it ended."""
        attributes = {"rpc.system": "grpc", "rpc.service": call.method.service, "rpc.method": call.method.name}
        options: dict[str, Any] = {
            "attributes": attributes,
            "record_exception": False,
            "set_status_on_exception": False,
        }
        serving = isinstance(call, Context)
        if serving:
            carrier = {key: value for key, value in call.metadata if isinstance(value, str)}
            options["context"] = self._propagator.extract(carrier=carrier)
        with self._tracer.start_as_current_span(call.method.full_name, **options) as span:
            if not serving:
                carrier = {}
                self._propagator.inject(carrier)
                call.metadata = (*call.metadata, *carrier.items())
            try:
                result = await proceed()
            except RpcError as error:
                self._note(span, error.code, serving)
                raise
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._note(span, Code.UNKNOWN, serving)
                raise
            self._note(span, Code.OK, serving)
            return result

    def _note(self, span: Any, code: Code, serving: bool) -> None:
        span.set_attribute("rpc.grpc.status_code", int(code))
        if code in _SERVER_FAILURES or (code is not Code.OK and not serving):
            span.set_attribute("error.type", code.name)


class TelemetryMetrics:
    """Counts the calls of a server by OpenTelemetry, with the instruments of gRFC A66.

    Give it to a `Server` as `metrics`. `meter` has `create_counter` and `create_histogram`. Raises `ValueError` if it
    is missing and `opentelemetry-api` is not installed.
    """

    def __init__(self, meter: Any = None) -> None:
        if meter is None:
            try:
                from opentelemetry import metrics  # type: ignore[import-not-found, unused-ignore]
            except ImportError:
                raise ValueError("TelemetryMetrics needs a meter, or: pip install opentelemetry-api") from None
            meter = metrics.get_meter("catenet.rpc")
        self._started = meter.create_counter("grpc.server.call.started", unit="{call}")
        self._ended = tuple(
            meter.create_histogram(f"grpc.server.call.{name}", unit=unit)
            for name, unit in (
                ("duration", "s"),
                ("rcvd_total_compressed_message_size", "By"),
                ("sent_total_compressed_message_size", "By"),
            )
        )

    def method(self, name: str) -> Meter:
        """Return what counts a method."""
        return _TelemetryMeter(name, self._started, self._ended)

    def refuse(self, status: int, known: bool) -> None:
        """A request became no call."""
        if not known:
            meter = self.method(OTHER)
            meter.begin()
            meter.end(Code.UNIMPLEMENTED.name, 0.0, 0, 0)


class _TelemetryMeter:
    def __init__(self, name: str, started: Any, ended: tuple[Any, ...]) -> None:
        self._attributes = {"grpc.method": name}
        self._started = started
        self._ended = ended

    def begin(self) -> None:
        self._started.add(1, self._attributes)

    def end(self, status: str, seconds: float, received: int, sent: int) -> None:
        attributes = {**self._attributes, "grpc.status": status}
        for instrument, value in zip(self._ended, (seconds, received, sent), strict=True):
            instrument.record(value, attributes)


class SeveralMetrics:
    """Hands what is counted to all of several `Meters`."""

    def __init__(self, several: Sequence[Meters]) -> None:
        self._several = several

    def method(self, name: str) -> Meter:
        """Return what counts a method, everywhere."""
        return _SeveralMeters([each.method(name) for each in self._several])

    def refuse(self, status: int, known: bool) -> None:
        """A request became no call."""
        for each in self._several:
            each.refuse(status, known)


class _SeveralMeters:
    def __init__(self, several: Sequence[Meter]) -> None:
        self._several = several

    def begin(self) -> None:
        for each in self._several:
            each.begin()

    def end(self, status: str, seconds: float, received: int, sent: int) -> None:
        for each in self._several:
            each.end(status, seconds, received, sent)
