"""What a server counts of each method, under gRPC's names (gRFC A66), and as Prometheus reads it.

Series are bounded: a method has one for each status code, whatever callers ask for is of a method that is served or of
`other`, and nothing that a caller says becomes a label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

__all__ = ["OTHER", "Family", "Labels", "Meter", "Meters", "Metrics", "exposition"]

OTHER: Final = "other"
"""The method of all calls to methods that are not there (A66)."""
SECONDS: Final = (
    0.0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.013,
    0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 2.0,
    5.0, 10.0, 20.0, 50.0, 100.0,
)  # fmt: skip
SIZES: Final = (
    0.0, 1024.0, 2048.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0, 67108864.0, 268435456.0,
    1073741824.0, 4294967296.0,
)  # fmt: skip
"""Bounds of the buckets, as A66 has them."""

Labels = tuple[tuple[str, str], ...]
Family = tuple[str, str, str, Sequence[tuple[str, Labels, float]]]
"""A name, a type, a help text, and samples: what follows the name, labels, value."""


class Meter(Protocol):
    """Counts the calls of one method."""

    def begin(self) -> None:
        """A call has begun."""

    def end(self, status: str, seconds: float, received: int, sent: int) -> None:
        """A call has ended: with the name of its code, after so long, with so many bytes of messages as they came."""


class Meters(Protocol):
    """Counts the calls of a server."""

    def method(self, name: str) -> Meter:
        """Return what counts a method, of those that are served."""

    def refuse(self, status: int, known: bool) -> None:
        """A request became no call, and got this status of HTTP; `known`: its method is there."""


class _Histogram:
    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def samples(self, labels: Labels) -> Iterable[tuple[str, Labels, float]]:
        count = 0
        for bound, more in zip(self.bounds, self.counts, strict=False):
            count += more
            yield "_bucket", (*labels, ("le", _number(bound))), count
        count += self.counts[-1]
        yield "_bucket", (*labels, ("le", "+Inf")), count
        yield "_sum", labels, self.total
        yield "_count", labels, count


class _Status:
    """What has ended with one code."""

    __slots__ = ("duration", "received", "sent")

    def __init__(self) -> None:
        self.duration = _Histogram(SECONDS)
        self.received = _Histogram(SIZES)
        self.sent = _Histogram(SIZES)


class _MethodMeter:
    """The calls of one method."""

    def __init__(self) -> None:
        self.started = 0
        self.ended = 0
        self.by_status: dict[str, _Status] = {}

    def begin(self) -> None:
        """A call has begun."""
        self.started += 1

    def end(self, status: str, seconds: float, received: int, sent: int) -> None:
        """A call has ended."""
        found = self.by_status.get(status)
        if found is None:
            found = self.by_status[status] = _Status()
        self.ended += 1
        found.duration.observe(seconds)
        found.received.observe(received)
        found.sent.observe(sent)


class Metrics:
    """Counts the calls of a server, for Prometheus."""

    def __init__(self) -> None:
        self._methods: dict[str, _MethodMeter] = {}
        self._refused: dict[int, int] = {}

    def method(self, name: str) -> Meter:
        """Return what counts a method; the series are there before its first call."""
        return self._methods.setdefault(name, _MethodMeter())

    def refuse(self, status: int, known: bool) -> None:
        """A request became no call."""
        self._refused[status] = self._refused.get(status, 0) + 1
        if not known:
            meter = self.method(OTHER)
            meter.begin()
            meter.end("UNIMPLEMENTED", 0.0, 0, 0)

    def families(self, labels: Labels = ()) -> list[Family]:
        """Return what there is to be told; `labels` are added to each sample."""
        methods = [((*labels, ("grpc_method", name)), meter) for name, meter in sorted(self._methods.items())]
        return [
            (
                "grpc_server_call_started_total",
                "counter",
                "Calls that have begun.",
                [("", found, float(meter.started)) for found, meter in methods],
            ),
            (
                "catenet_rpc_calls",
                "gauge",
                "Calls that go on.",
                [("", found, float(meter.started - meter.ended)) for found, meter in methods],
            ),
            *(
                (name, "histogram", text, list(_ended(methods, attribute)))
                for name, attribute, text in (
                    ("grpc_server_call_duration_seconds", "duration", "Time from the head of a request to the status."),
                    (
                        "grpc_server_call_rcvd_total_compressed_message_size_bytes",
                        "received",
                        "Bytes of the messages of a request, as they came.",
                    ),
                    (
                        "grpc_server_call_sent_total_compressed_message_size_bytes",
                        "sent",
                        "Bytes of the messages of a response, as they were sent.",
                    ),
                )
            ),
            (
                "catenet_rpc_refused_requests_total",
                "counter",
                "Requests that became no calls, by the status of HTTP that they got.",
                [
                    ("", (*labels, ("http_status", str(status))), float(count))
                    for status, count in sorted(self._refused.items())
                ],
            ),
        ]


def _ended(methods: Sequence[tuple[Labels, _MethodMeter]], attribute: str) -> Iterable[tuple[str, Labels, float]]:
    for labels, meter in methods:
        for status, found in sorted(meter.by_status.items()):
            histogram: _Histogram = getattr(found, attribute)
            yield from histogram.samples((*labels, ("grpc_status", status)))


def exposition(families: Iterable[Family]) -> str:
    """Return families in Prometheus' text format 0.0.4; those of one name, from several workers, become one."""
    merged: dict[str, tuple[str, str, list[str]]] = {}
    for name, kind, text, samples in families:
        lines = merged.setdefault(name, (kind, text, []))[2]
        lines += [f"{name}{suffix}{_labels(labels)} {_number(value)}\n" for suffix, labels, value in samples]
    return "".join(
        f"# HELP {name} {text}\n# TYPE {name} {kind}\n{''.join(lines)}" for name, (kind, text, lines) in merged.items()
    )


_ESCAPES: Mapping[int, str] = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n"}


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
