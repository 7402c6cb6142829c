"""From a route to a call of the kind that it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catenet.http.message import RequestHead
from catenet.http.stream import Stream
from catenet.rpc.server.call import ServerCall
from catenet.rpc.server.guarded import GuardedCall
from catenet.rpc.server.measured import MeasuredCall, MeasuredGuardedCall

if TYPE_CHECKING:
    from catenet.rpc.server.carrier import Carrier
    from catenet.rpc.server.route import Route

__all__ = ["begin_call"]


def begin_call(connection: Carrier, stream: Stream, route: Route, head: RequestHead, end: bool) -> None:
    """Begin the call that a request is; `end`: nothing follows its head."""
    connection.counters.started += 1
    gate, watch = route.binding.gate, route.binding.watch  # a guard may change, and routes are kept with heads
    if gate is None:
        call = ServerCall(connection, stream, route) if watch is None else MeasuredCall(connection, stream, route)
        stream.owner = call
        if watch is not None and isinstance(call, MeasuredCall):
            call.measure(watch, head)
        call.open(end)
        return
    kind = GuardedCall if watch is None else MeasuredGuardedCall
    stream.owner = guarded = kind(connection, stream, route, gate)
    if watch is not None and isinstance(guarded, MeasuredGuardedCall):
        guarded.measure(watch, head)
    guarded.start(end)
