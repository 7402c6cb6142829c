"""What the servers in Python do, apart from how each library is told to do it."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from interop_pb2 import Request, Response

INITIAL = (("x-initial", "first"), ("x-initial-bin", b"\x00\xff\x01"))
TRAILING = (("x-trailing", "last"), ("x-trailing-bin", b"\xfe\x00"))
DETAIL = RetryInfo(retry_delay=Duration(seconds=3))
LIMIT = 8 << 20

cancelled = 0
"""Streams without end that the client has cancelled; Unary with the text "cancelled?" tells it."""


def respond(request: Request, metadata: Any = ()) -> Response:
    """The answer to one request."""
    count = cancelled if request.text == "cancelled?" else request.count
    response = Response(text=request.text, payload=request.payload, count=count)
    for name, value in metadata:
        if name.startswith("x-"):
            text = value.hex() if isinstance(value, bytes) else value
            response.metadata[name] = ", ".join(filter(None, [response.metadata.get(name, ""), text]))
    return response


def summary(requests: Any) -> Response:
    """The answer to a stream of requests."""
    return Response(count=len(requests), text=str(sum(len(request.payload) for request in requests)))


def note_cancelled() -> None:
    """A stream without end has ended."""
    global cancelled
    cancelled += 1
