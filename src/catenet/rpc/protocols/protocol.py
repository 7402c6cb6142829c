"""The plug between an RPC protocol (gRPC, gRPC-Web, Connect) and the runtime.

A wire is pure and holds no state of a call: it turns heads into plans and outcomes into heads, bodies and trailers.
The runtime owns everything else: streams, flow control, limits, codecs, compression, deadlines, handlers, retries.
A plan depends on nothing but the head (and the method), so the runtime keeps it beside the memoised head: a wire reads
the head of a frequent call once, not once per call.

Server::

    head -> wire.plan(head, method) -> Plan | Answer       an Answer refuses the request in plain HTTP
    body -> wire.reader(plan, limit) -> (flags, payload)*  the runtime decompresses and decodes
    outcome, nothing sent yet   -> wire.whole(...)  -> Answer
    outcome, message by message -> wire.start(...), wire.frame(...)*, wire.end(...)

Client::

    wire.request(outgoing) -> RequestHead, then wire.frame(...)*; or wire.whole_request(outgoing, ...) -> head, body
    head -> wire.reply(outgoing, head) -> Reply
    body -> wire.reader(reply, limit) -> (flags, payload)*
    end  -> wire.outcome(reply, final, trailers) -> Outcome
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.rpc.model.metadata import Metadata as Metadata
from catenet.rpc.model.method import Method
from catenet.rpc.model.status import RpcError
from catenet.rpc.protocols.framing import MessageReader

__all__ = [
    "Answer",
    "AnyMethod",
    "ClientWire",
    "Ending",
    "Outcome",
    "Outgoing",
    "Plan",
    "Reply",
    "ServerWire",
]

AnyMethod = Method[Any, Any]


@dataclass(slots=True, eq=False)
class Plan:
    """What a request head asks for: everything the runtime must know before it reads the body.

    `codec` is a codec's name (`"proto"`, `"json"`), `compression` the encoding of the messages (`"identity"`
    if none), `accepts` the encodings the peer takes, best first, only those the server knows. `timeout` is in
    seconds. `message` is set when the head carries the message itself (Connect GET); `buffered` says that the reply
    cannot start before its outcome is known (unary Connect), so the runtime answers with `whole` only. `extra` is
    the wire's own.
    """

    wire: ServerWire
    method: AnyMethod
    codec: str
    compression: str = "identity"
    accepts: tuple[str, ...] = ()
    timeout: float | None = None
    metadata: Metadata = ()
    message: tuple[int, bytes] | None = None
    buffered: bool = False
    extra: Any = None


@dataclass(slots=True)
class Answer:
    """A complete HTTP response. `trailers` None: the response ends with its body (or its head, if that is empty)."""

    head: ResponseHead
    body: bytes = b""
    trailers: Fields | None = None


@dataclass(slots=True)
class Ending:
    """What ends a response that was started: last bytes of the body, then trailers if not None."""

    body: bytes = b""
    trailers: Fields | None = None


class ServerWire(Protocol):
    """One RPC protocol, seen from the server. Made once per server with the names of its codecs and compressions."""

    name: str

    def recognises(self, head: RequestHead) -> bool:
        """Whether the request is of this protocol: by method, content type and protocol headers. Must be cheap."""

    def plan(self, head: RequestHead, method: AnyMethod | None, http_version: int) -> Plan | Answer:
        """Read the head. `method` is None if the server has none under that path. `http_version` is 1 or 2.

        Whatever is wrong is answered in the protocol's own way (status in trailers, JSON error, 405, 415, ...).
        """

    def reader(self, plan: Plan, limit: int) -> MessageReader:
        """Return a fresh reader for the request body."""

    def start(self, plan: Plan, metadata: Metadata, compression: str) -> ResponseHead:
        """Return the head of a response whose messages follow one by one."""

    def frame(self, plan: Plan, payload: bytes, compressed: bool) -> bytes:
        """Return one message as bytes of the response body."""

    def end(self, plan: Plan, error: RpcError | None, metadata: Metadata) -> Ending:
        """End a started response with OK (None) or an error; `metadata` is the trailing metadata.

        `error.metadata` is already part of `metadata`.
        """

    def whole(
        self,
        plan: Plan,
        metadata: Metadata,
        payload: bytes | None,
        compression: str,
        error: RpcError | None,
        trailing: Metadata,
    ) -> Answer:
        """Answer in one piece: a unary result (`payload`), or an error before anything was sent (`payload` None).

        `compression` names the encoding that `payload` already has.
        """


@dataclass(slots=True, eq=False)
class Outgoing:
    """What a client asks for. `timeout` in seconds; `accepts` the encodings it takes, best first.

    `base` is the path that stands before `/service/method`.
    """

    method: AnyMethod
    scheme: bytes
    authority: bytes
    codec: str
    compression: str = "identity"
    accepts: tuple[str, ...] = ()
    timeout: float | None = None
    metadata: Metadata = ()
    user_agent: bytes = b""
    use_get: bool = False
    http_version: int = 2
    base: str = ""

    @property
    def path(self) -> str:
        """Where the method is."""
        return f"{self.base}{self.method.path}"


@dataclass(slots=True, eq=False)
class Reply:
    """What a response head says.

    `error`: the call has failed and nothing of the body matters. `failed`: the body is not messages but, read to
    its end, the account of what went wrong; the runtime hands it to `outcome` as `final`. `text`: the body is in
    base64. `extra` is the wire's own (trailing metadata that came in the head, the HTTP status, ...).
    """

    compression: str = "identity"
    metadata: Metadata = ()
    error: RpcError | None = None
    failed: bool = False
    text: bool = False
    extra: Any = None


@dataclass(slots=True)
class Outcome:
    """How a call ended: `error` None for OK, and the trailing metadata.

    `alone` says that all this came in the head: what was taken for initial metadata is the trailing one.
    """

    error: RpcError | None = None
    metadata: Metadata = field(default=())
    alone: bool = False


class ClientWire(Protocol):
    """One RPC protocol, seen from the client."""

    name: str
    final_flags: int
    """Mask of envelope flags that mark the frame that ends a stream (gRPC-Web 0x80, Connect 0x02, gRPC 0)."""

    def request(self, outgoing: Outgoing) -> RequestHead:
        """Return the head of a request whose messages follow one by one."""

    def whole_request(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> tuple[RequestHead, bytes]:
        """Return head and body of a request with exactly one message."""

    def frame(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> bytes:
        """Return one message as bytes of the request body."""

    def reply(self, outgoing: Outgoing, head: ResponseHead) -> Reply:
        """Read the head of the response. Never raises: what is wrong becomes `Reply.error`."""

    def reader(self, outgoing: Outgoing, reply: Reply, limit: int) -> MessageReader:
        """Return a fresh reader for the response body; it lets `final_flags` through."""

    def outcome(
        self, outgoing: Outgoing, reply: Reply, final: tuple[int, bytes] | None, trailers: Fields, empty: bool
    ) -> Outcome:
        """The response has ended. `final` is the (decompressed) payload of the ending frame, or of a failed body.

        `empty` says that no byte of a body has come: only then does a status in the head count. A stream that ended
        without what its protocol ends streams with is an error here.
        """


ServerWires = Sequence[ServerWire]
