"""How loaded a server is, as it tells its clients with each call: an ORCA load report (gRFC A51).

The report is the message `xds.data.orca.v3.OrcaLoadReport` in the trailing metadata `endpoint-load-metrics-bin`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from catenet.rpc.model.metadata import Metadata
from catenet.rpc.model.wellknown import ORCA_LOAD_REPORT

__all__ = ["LOAD_METADATA", "LoadReport", "load_of"]

LOAD_METADATA = "endpoint-load-metrics-bin"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a server says of itself. Utilizations are shares (1.0: all of it); 0: nothing is said.

    * `cpu_utilization`, `memory_utilization`; `application_utilization`: what the service itself takes for its load,
      which counts instead of the processor's.
    * `rps`, `eps`: calls and failed calls in a second.
    * `utilization`, `request_cost`, `named_metrics`: of other things, by name.
    """

    cpu_utilization: float = 0.0
    memory_utilization: float = 0.0
    application_utilization: float = 0.0
    rps: float = 0.0
    eps: float = 0.0
    utilization: dict[str, float] = field(default_factory=dict)
    request_cost: dict[str, float] = field(default_factory=dict)
    named_metrics: dict[str, float] = field(default_factory=dict)

    def encode(self) -> bytes:
        """Return the report as the value of `endpoint-load-metrics-bin`."""
        message: bytes = ORCA_LOAD_REPORT(
            cpu_utilization=self.cpu_utilization,
            mem_utilization=self.memory_utilization,
            application_utilization=self.application_utilization,
            rps_fractional=self.rps,
            eps=self.eps,
            utilization=self.utilization,
            request_cost=self.request_cost,
            named_metrics=self.named_metrics,
        ).SerializeToString()
        return message


def load_of(trailing: Metadata) -> LoadReport | None:
    """Return the report among the trailing metadata of a call; None if there is none that can be read."""
    for name, value in trailing:
        if name == LOAD_METADATA and isinstance(value, bytes):
            try:
                message = ORCA_LOAD_REPORT.FromString(value)
            except DecodeError:
                return None
            return LoadReport(
                message.cpu_utilization,
                message.mem_utilization,
                message.application_utilization,
                message.rps_fractional,
                message.eps,
                dict(message.utilization),
                dict(message.request_cost),
                dict(message.named_metrics),
            )
    return None
