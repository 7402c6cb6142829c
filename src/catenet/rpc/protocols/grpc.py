"""gRPC over HTTP/2, both sides (gRPC PROTOCOL-HTTP2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from catenet.http.message import Fields, RequestHead, ResponseHead, first
from catenet.rpc.model.error_text import percent_decode, percent_encode, shown
from catenet.rpc.model.metadata import Metadata, decode_base64, decode_metadata, encode_metadata, encode_value
from catenet.rpc.model.status import Code, RpcError, pack_status, unpack_details
from catenet.rpc.protocols.framing import EnvelopeReader, MessageReader, envelope
from catenet.rpc.protocols.protocol import Answer, AnyMethod, Ending, Outcome, Outgoing, Plan, Reply

__all__ = ["OK_TRAILERS", "GrpcClientWire", "GrpcServerWire", "status_fields"]

CONTENT_TYPE = b"application/grpc"
_CONTENT_TYPE = re.compile(rb"application/grpc(?:\+([a-z0-9.\-]+))?\s*(?:;.*)?", re.IGNORECASE).fullmatch
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])").fullmatch
_UNIT = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

_PLAIN: Fields = ((b"content-type", b"text/plain; charset=utf-8"),)
OK_TRAILERS: Fields = ((b"grpc-status", b"0"),)


def parse_timeout(value: bytes) -> float | None:
    """Return the seconds that a `grpc-timeout` means, or None if it is malformed."""
    match = _TIMEOUT(value)
    return int(match[1]) * _UNIT[match[2]] if match else None


def build_timeout(seconds: float) -> bytes:
    """Return `grpc-timeout` in the finest unit that eight digits hold."""
    for unit, size in ((b"n", 1e-9), (b"u", 1e-6), (b"m", 1e-3), (b"S", 1.0), (b"M", 60.0)):
        count = max(round(seconds / size), 0)
        # Whole larger units give shorter fields, which header compression can find again.
        if count < 10**8:
            return _shorten(count, unit)
    return b"%dH" % min(round(seconds / 3600), 10**8 - 1)


def _shorten(count: int, unit: bytes) -> bytes:
    for larger in {b"n": b"umS", b"u": b"mS", b"m": b"S"}.get(unit, b"").decode():
        if count == 0 or count % 1000:
            break
        count, unit = count // 1000, larger.encode()
    return b"%d%b" % (count, unit)


def status_fields(error: RpcError | None, metadata: Metadata) -> Fields:
    """Return the trailers that tell how a call ended."""
    if error is None:
        return (*OK_TRAILERS, *encode_metadata(metadata)) if metadata else OK_TRAILERS
    fields: list[tuple[bytes, bytes]] = [(b"grpc-status", b"%d" % error.code)]
    if error.message:
        fields.append((b"grpc-message", percent_encode(error.message)))
    fields += encode_metadata(metadata)
    if error.details:
        fields.append((b"grpc-status-details-bin", encode_value(pack_status(error))))
    return tuple(fields)


def read_status(fields: Fields) -> Outcome | None:
    """Return how a call ended according to its trailers, or None if they carry no status.

    The status stands even if what came with it (metadata, details) is damaged; that is then left out.
    """
    number = first(fields, b"grpc-status")
    if number is None:
        return None
    code = Code.from_number(int(number)) if number.isdigit() and len(number) < 4 else Code.UNKNOWN
    try:
        metadata = decode_metadata(fields)
        packed = first(fields, b"grpc-status-details-bin")
        details = unpack_details(decode_base64(packed, "grpc-status-details-bin")) if packed else ()
    except RpcError:
        metadata, details = (), ()
    if code is Code.OK:
        return Outcome(None, metadata)
    message = percent_decode(first(fields, b"grpc-message") or b"")
    return Outcome(RpcError(code, message, details, metadata), metadata)


class GrpcServerWire:
    """gRPC, seen from the server."""

    name = "grpc"

    def __init__(self, codecs: Iterable[str], compressions: Iterable[str]) -> None:
        self._codecs = frozenset(codecs)
        self._compressions = tuple(name for name in compressions if name != "identity")
        self._accept = (b"grpc-accept-encoding", ",".join(("identity", *self._compressions)).encode())
        self._heads: dict[tuple[str, str], ResponseHead] = {}

    def recognises(self, head: RequestHead) -> bool:
        """Whether the content type is `application/grpc` or `application/grpc+codec`."""
        kind = head.get(b"content-type") or b""
        return kind[:16].lower() == CONTENT_TYPE and kind[16:17] in (b"", b"+", b";", b" ")

    def plan(self, head: RequestHead, method: AnyMethod | None, http_version: int) -> Plan | Answer:
        """Read the head of a request."""
        if http_version < 2:
            return Answer(ResponseHead(505, _PLAIN), b"gRPC needs HTTP/2: over HTTP/1.1 call by gRPC-Web or Connect\n")
        if head.method != b"POST":
            return Answer(ResponseHead(405, ((b"allow", b"POST"),)))
        match = _CONTENT_TYPE(head.get(b"content-type") or b"")
        codec = (match[1] or b"proto").decode().lower() if match else ""
        if codec not in self._codecs:
            return Answer(ResponseHead(415))
        return self._read(head, method, codec)

    def _read(self, head: RequestHead, method: AnyMethod | None, codec: str) -> Plan | Answer:
        """Read what follows the content type; gRPC-Web has it in common."""
        if method is None:
            return self._refuse(codec, Code.UNIMPLEMENTED, f"no method {shown(head.path.decode('latin-1'))}")
        compression = (head.get(b"grpc-encoding") or b"identity").decode("latin-1").lower()
        if compression != "identity" and compression not in self._compressions:
            return self._refuse(codec, Code.UNIMPLEMENTED, f"no compression {shown(compression)}")
        timeout = None
        given = head.get(b"grpc-timeout")
        if given is not None:
            timeout = parse_timeout(given)
            if timeout is None:
                return self._refuse(codec, Code.INTERNAL, f"malformed grpc-timeout {shown(given.decode('latin-1'))}")
        accepts = self.accepted(head.get(b"grpc-accept-encoding") or b"")
        try:
            metadata = decode_metadata(head.fields, damaged=Code.INVALID_ARGUMENT)
        except RpcError as error:
            return self._refuse(codec, error.code, error.message)
        return Plan(self, method, codec, compression, accepts, timeout, metadata)

    def accepted(self, field: bytes) -> tuple[str, ...]:
        """Return the compressions in an accept field that the server has too."""
        names = [name.strip().lower() for name in field.decode("latin-1").split(",")]
        return tuple(name for name in names if name in self._compressions)

    def reader(self, plan: Plan, limit: int) -> MessageReader:
        """Return a reader of envelopes."""
        return EnvelopeReader(limit)

    def start(self, plan: Plan, metadata: Metadata, compression: str) -> ResponseHead:
        """Return the head of a response; one shared object if there is no metadata."""
        if metadata:
            return ResponseHead(200, (*self._head_fields(plan.codec, compression), *encode_metadata(metadata)))
        head = self._heads.get((plan.codec, compression))
        if head is None:
            head = ResponseHead(200, self._head_fields(plan.codec, compression))
            self._heads[plan.codec, compression] = head
        return head

    def frame(self, plan: Plan, payload: bytes, compressed: bool) -> bytes:
        """Return the message in its envelope."""
        return envelope(payload, compressed)

    def end(self, plan: Plan, error: RpcError | None, metadata: Metadata) -> Ending:
        """Return the trailers."""
        return Ending(b"", status_fields(error, metadata))

    def whole(
        self,
        plan: Plan,
        metadata: Metadata,
        payload: bytes | None,
        compression: str,
        error: RpcError | None,
        trailing: Metadata,
    ) -> Answer:
        """Answer in one piece; an error alone is Trailers-Only, unless there is initial metadata."""
        head = self.start(plan, metadata, compression)
        if payload is not None:
            return Answer(head, envelope(payload, compression != "identity"), status_fields(error, trailing))
        if metadata:
            # In Trailers-Only all metadata is trailing; clients would not find the initial one.
            return Answer(head, b"", status_fields(error, trailing))
        return Answer(ResponseHead(200, head.fields + status_fields(error, trailing)))

    def _head_fields(self, codec: str, compression: str) -> Fields:
        kind = CONTENT_TYPE if codec == "proto" else CONTENT_TYPE + b"+" + codec.encode()
        fields: Fields = ((b"content-type", kind), self._accept)
        return fields if compression == "identity" else (*fields, (b"grpc-encoding", compression.encode()))

    def _refuse(self, codec: str, code: Code, message: str) -> Answer:
        fields = self._head_fields(codec, "identity") + status_fields(RpcError(code, message), ())
        return Answer(ResponseHead(200, fields))


class GrpcClientWire:
    """gRPC, seen from the client."""

    name = "grpc"
    final_flags = 0

    def request(self, outgoing: Outgoing) -> RequestHead:
        """Return the head of a request, fields in the order that PROTOCOL-HTTP2 asks for."""
        kind = CONTENT_TYPE if outgoing.codec == "proto" else CONTENT_TYPE + b"+" + outgoing.codec.encode()
        fields: list[tuple[bytes, bytes]] = [(b"te", b"trailers")]
        if outgoing.timeout is not None:
            fields.append((b"grpc-timeout", build_timeout(outgoing.timeout)))
        fields += [(b"content-type", kind), (b"user-agent", outgoing.user_agent)]
        if outgoing.compression != "identity":
            fields.append((b"grpc-encoding", outgoing.compression.encode()))
        if outgoing.accepts:
            fields.append((b"grpc-accept-encoding", ",".join(("identity", *outgoing.accepts)).encode()))
        fields += encode_metadata(outgoing.metadata)
        path = outgoing.path.encode()
        return RequestHead(b"POST", path, tuple(fields), outgoing.authority, outgoing.scheme)

    def whole_request(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> tuple[RequestHead, bytes]:
        """Return head and body of a request with one message."""
        return self.request(outgoing), envelope(payload, compressed)

    def frame(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> bytes:
        """Return the message in its envelope."""
        return envelope(payload, compressed)

    def reply(self, outgoing: Outgoing, head: ResponseHead) -> Reply:
        """Read the head of a response, which may be Trailers-Only."""
        kind = (head.get(b"content-type") or b"").lower()
        # grpclib answers an unknown method with a status and no content type.
        bare = not kind and head.get(b"grpc-status") is not None
        if head.status != 200 or not (bare or kind.startswith(CONTENT_TYPE)):
            return Reply(error=_not_grpc(head, kind))
        compression = (head.get(b"grpc-encoding") or b"identity").decode("latin-1").lower()
        if compression != "identity" and compression not in outgoing.accepts:
            return Reply(error=RpcError(Code.INTERNAL, f"the server compressed with {compression}, not asked for"))
        try:
            return Reply(compression, decode_metadata(head.fields), extra=read_status(head.fields))
        except RpcError as error:
            return Reply(error=error)

    def reader(self, outgoing: Outgoing, reply: Reply, limit: int) -> MessageReader:
        """Return a reader of envelopes."""
        return EnvelopeReader(limit)

    def outcome(
        self, outgoing: Outgoing, reply: Reply, final: tuple[int, bytes] | None, trailers: Fields, empty: bool
    ) -> Outcome:
        """Read the status in the trailers, or the one that came in a Trailers-Only head."""
        return read_status(trailers) or _alone(reply, empty)


def _alone(reply: Reply, empty: bool) -> Outcome:
    """The status that came in the head, if nothing else has come (Trailers-Only)."""
    if empty and isinstance(reply.extra, Outcome):
        return Outcome(reply.extra.error, reply.extra.metadata, alone=True)
    return Outcome(RpcError(Code.INTERNAL, "the stream ended without a status"))


def _not_grpc(head: ResponseHead, kind: bytes) -> RpcError:
    """A response that is not of a gRPC server, perhaps with a status all the same (http-grpc-status-mapping)."""
    ended = read_status(head.fields) if head.status != 200 else None
    if ended is not None and ended.error is not None:
        return ended.error
    if head.status != 200:
        return RpcError(Code.from_http(head.status), f"HTTP status {head.status}")
    return RpcError(Code.UNKNOWN, f"content type {kind.decode('latin-1')!r} is not gRPC")
