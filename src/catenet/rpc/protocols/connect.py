"""The Connect protocol: unary calls as plain HTTP (POST, and GET where nothing changes), streams as envelopes.

Source: https://connectrpc.com/docs/protocol. Unary calls have no envelope: the body is the message, an error is a JSON
document under a fitting HTTP status, trailing metadata are header fields that start with `trailer-`. Streams answer
200 and end with an envelope of JSON that holds the error and the trailing metadata. No HTTP trailers anywhere.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, urlencode

from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.rpc.model.error_text import shown
from catenet.rpc.model.metadata import Metadata, decode_base64, decode_metadata, encode_metadata
from catenet.rpc.model.method import Idempotency, Kind
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.connect_json import build_end_of_stream, build_error, parse_end_of_stream, parse_error
from catenet.rpc.protocols.framing import COMPRESSED, EnvelopeReader, MessageReader, WholeReader, envelope
from catenet.rpc.protocols.protocol import Answer, AnyMethod, Ending, Outcome, Outgoing, Plan, Reply

__all__ = ["ConnectClientWire", "ConnectServerWire"]

END_OF_STREAM = 0x02
"""Flag of the envelope that ends a stream."""

# Proxies and servers refuse targets from about 8 KB on; a longer message goes as POST.
_LONGEST_TARGET = 7500
_TIMEOUT = re.compile(rb"[0-9]{1,10}")
_STREAM_PREFIX = b"application/connect+"
_UNARY_PREFIX = b"application/"
_TRAILER_PREFIX = b"trailer-"


@dataclass(frozen=True, slots=True)
class _Names:
    """The header fields whose names differ between unary calls and streams."""

    prefix: bytes
    encoding: bytes
    accept_encoding: bytes


_UNARY = _Names(_UNARY_PREFIX, b"content-encoding", b"accept-encoding")
_STREAM = _Names(_STREAM_PREFIX, b"connect-content-encoding", b"connect-accept-encoding")


def _names(method: AnyMethod) -> _Names:
    return _UNARY if method.kind is Kind.UNARY else _STREAM


def media_type(value: bytes | None) -> bytes:
    """Return a content type without its parameters, in lower case; empty if it names a charset other than UTF-8."""
    kind, _, parameters = (value or b"").lower().partition(b";")
    if parameters and b"charset" in parameters and b"utf-8" not in parameters:
        return b""
    return kind.strip()


def parse_accept(value: bytes | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return the content codings of an Accept-Encoding field that are `known`, in the order given."""
    if value is None:
        return ()
    offered = [part.partition(b";")[0].strip().decode("latin-1") for part in value.split(b",")]
    return tuple(name for name in offered if name in known)


class ConnectServerWire:
    """Connect, seen from the server. `require_version` refuses requests that do not name the protocol version."""

    name = "connect"

    def __init__(self, codecs: Iterable[str], compressions: Iterable[str], require_version: bool = False) -> None:
        self._codecs = tuple(codecs)
        self._compressions = tuple(name for name in compressions if name != "identity")
        self._encodings = ",".join(self._compressions).encode()
        self._require_version = require_version
        self._post_types = b", ".join(
            prefix + codec.encode() for prefix in (_UNARY_PREFIX, _STREAM_PREFIX) for codec in self._codecs
        )

    def recognises(self, head: RequestHead) -> bool:
        """Whatever is not gRPC is Connect's to answer: plain JSON over HTTP is a call, and 404 and 415 are answers."""
        return not (head.get(b"content-type") or b"").startswith(b"application/grpc")

    def plan(self, head: RequestHead, method: AnyMethod | None, http_version: int) -> Plan | Answer:
        """Read the head of a request."""
        if method is None:
            target = shown(head.path.partition(b"?")[0].decode("latin-1"))
            return self._refusal(404, RpcError(Code.UNIMPLEMENTED, f"no method {target} here"))
        if head.method == b"GET":
            return self._plan_get(head, method)
        if head.method != b"POST":
            return self._method_not_allowed(method)
        names = _names(method)
        sent = head.get(b"content-type")
        kind = media_type(sent)
        codec = kind.removeprefix(names.prefix).decode("latin-1")
        if not kind.startswith(names.prefix) or codec not in self._codecs:
            named = shown((sent or b"").decode("latin-1"))
            return self._unsupported(f"no content type {named!r} for {method.full_name}")
        plan = Plan(self, method, codec, buffered=names is _UNARY)
        try:
            self._check_version(head.get(b"connect-protocol-version"), b"1", "Connect-Protocol-Version")
            plan.compression = self._read_compression(head.get(names.encoding))
            self._read_common(plan, head, names)
        except RpcError as error:
            return self._answer_early(plan, error)
        return plan

    def _plan_get(self, head: RequestHead, method: AnyMethod) -> Plan | Answer:
        """Connect, "Unary-Get-Request": the query carries what headers and body do otherwise."""
        if method.kind is not Kind.UNARY or method.idempotency is not Idempotency.NO_SIDE_EFFECTS:
            return self._method_not_allowed(method)
        query = _parse_query(head.path.partition(b"?")[2])
        codec = query.get("encoding", "")
        if codec not in self._codecs:
            return self._unsupported(f"no encoding {codec!r} for {method.full_name}")
        plan = Plan(self, method, codec, buffered=True)
        try:
            self._check_version(_latin(query.get("connect")), b"v1", "query parameter connect")
            plan.compression = self._read_compression(_latin(query.get("compression")))
            if "message" not in query:
                raise RpcError(Code.INVALID_ARGUMENT, "the query has no parameter message")
            text = query["message"].encode("latin-1")
            message = _decode_url_base64(text) if query.get("base64") == "1" else text
            plan.message = (COMPRESSED if plan.compression != "identity" else 0, message)
            self._read_common(plan, head, _UNARY)
        except RpcError as error:
            return self._answer_early(plan, error)
        return plan

    def _read_common(self, plan: Plan, head: RequestHead, names: _Names) -> None:
        plan.accepts = parse_accept(head.get(names.accept_encoding), self._compressions)
        plan.timeout = _read_timeout(head.get(b"connect-timeout-ms"))
        plan.metadata = decode_metadata(head.fields, damaged=Code.INVALID_ARGUMENT)

    def _check_version(self, value: bytes | None, expected: bytes, where: str) -> None:
        if value is None and not self._require_version:
            return
        if value != expected:
            given = "missing" if value is None else repr(value.decode("latin-1"))
            raise RpcError(Code.INVALID_ARGUMENT, f"{where} must be {expected.decode()!r}, it is {given}")

    def _read_compression(self, value: bytes | None) -> str:
        name = (value or b"identity").strip().decode("latin-1")
        if name != "identity" and name not in self._compressions:
            supported = ", ".join(self._compressions)
            raise RpcError(Code.UNIMPLEMENTED, f"no compression {name!r} here; supported: {supported}")
        return name

    def _answer_early(self, plan: Plan, error: RpcError) -> Answer:
        return self.whole(plan, (), None, "identity", error, ())

    def _refusal(self, status: int, error: RpcError, fields: Fields = ()) -> Answer:
        head = ResponseHead(status, ((b"content-type", b"application/json"), *fields))
        return Answer(head, build_error(error))

    def _unsupported(self, message: str) -> Answer:
        # Plain text: who speaks another protocol would take JSON for an error of that protocol, and miss its parts.
        head = ResponseHead(415, ((b"content-type", b"text/plain; charset=utf-8"), (b"accept-post", self._post_types)))
        return Answer(head, message.encode() + b"\n")

    def _method_not_allowed(self, method: AnyMethod) -> Answer:
        safe = method.kind is Kind.UNARY and method.idempotency is Idempotency.NO_SIDE_EFFECTS
        allowed = b"GET, POST" if safe else b"POST"
        message = f"{method.full_name} takes {allowed.decode().replace(', ', ' and ')}"
        return self._refusal(405, RpcError(Code.UNKNOWN, message), ((b"allow", allowed),))

    def reader(self, plan: Plan, limit: int) -> MessageReader:
        """Return a fresh reader for the request body."""
        if plan.method.kind is not Kind.UNARY:
            return EnvelopeReader(limit)
        return WholeReader(limit, COMPRESSED if plan.compression != "identity" else 0)

    def start(self, plan: Plan, metadata: Metadata, compression: str) -> ResponseHead:
        """Return the head of a stream's response; its status is always 200."""
        return ResponseHead(200, self._fields(_STREAM, plan.codec, compression, encode_metadata(metadata)))

    def _fields(self, names: _Names, codec: str, compression: str, more: list[tuple[bytes, bytes]]) -> Fields:
        fields = [(b"content-type", names.prefix + codec.encode()), *more]
        if compression != "identity":
            fields.append((names.encoding, compression.encode()))
        if self._encodings:
            fields.append((names.accept_encoding, self._encodings))
        return tuple(fields)

    def frame(self, plan: Plan, payload: bytes, compressed: bool) -> bytes:
        """Return one message of a stream."""
        return envelope(payload, COMPRESSED if compressed else 0)

    def end(self, plan: Plan, error: RpcError | None, metadata: Metadata) -> Ending:
        """End a stream."""
        return Ending(envelope(build_end_of_stream(error, metadata), END_OF_STREAM))

    def whole(
        self,
        plan: Plan,
        metadata: Metadata,
        payload: bytes | None,
        compression: str,
        error: RpcError | None,
        trailing: Metadata,
    ) -> Answer:
        """Answer in one piece."""
        if plan.method.kind is not Kind.UNARY:
            body = b"" if payload is None else self.frame(plan, payload, compression != "identity")
            return Answer(self.start(plan, metadata, compression), body + self.end(plan, error, trailing).body)
        more = encode_metadata(metadata) if metadata else []
        if trailing:
            more += encode_metadata(trailing, _TRAILER_PREFIX)
        if error is None:
            return Answer(ResponseHead(200, self._fields(_UNARY, plan.codec, compression, more)), payload or b"")
        return Answer(
            ResponseHead(error.code.http_status, self._fields(_UNARY, "json", "identity", more)), build_error(error)
        )


class ConnectClientWire:
    """Connect, seen from the client. `outgoing.use_get` sends unary calls of methods without side effects as GET."""

    name = "connect"
    final_flags = END_OF_STREAM

    def request(self, outgoing: Outgoing) -> RequestHead:
        """Return the head of a stream."""
        return self._post(outgoing, _names(outgoing.method), outgoing.compression)

    def whole_request(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> tuple[RequestHead, bytes]:
        """Return head and body of a request with one message."""
        names = _names(outgoing.method)
        if names is _STREAM:
            return self.request(outgoing), self.frame(outgoing, payload, compressed)
        compression = outgoing.compression if compressed else "identity"
        if outgoing.use_get and outgoing.method.idempotency is Idempotency.NO_SIDE_EFFECTS:
            target = _get_target(outgoing, payload, compression)
            if len(target) <= _LONGEST_TARGET:
                fields = tuple(self._common(outgoing, names))
                return RequestHead(b"GET", target, fields, outgoing.authority, outgoing.scheme), b""
        return self._post(outgoing, names, compression), payload

    def _post(self, outgoing: Outgoing, names: _Names, compression: str) -> RequestHead:
        fields = [
            (b"content-type", names.prefix + outgoing.codec.encode()),
            (b"connect-protocol-version", b"1"),
            *self._common(outgoing, names),
        ]
        if compression != "identity":
            fields.append((names.encoding, compression.encode()))
        path = outgoing.path.encode()
        return RequestHead(b"POST", path, tuple(fields), outgoing.authority, outgoing.scheme)

    def _common(self, outgoing: Outgoing, names: _Names) -> list[tuple[bytes, bytes]]:
        fields = [(b"user-agent", outgoing.user_agent)] if outgoing.user_agent else []
        if outgoing.accepts:
            fields.append((names.accept_encoding, ",".join(outgoing.accepts).encode()))
        if outgoing.timeout is not None:
            # Ten digits of milliseconds are 115 days; whoever waits longer waits for ever.
            milliseconds = max(0, math.ceil(outgoing.timeout * 1000))
            if milliseconds < 10**10:
                fields.append((b"connect-timeout-ms", str(milliseconds).encode()))
        fields += encode_metadata(outgoing.metadata)
        return fields

    def frame(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> bytes:
        """Return one message of a stream."""
        return envelope(payload, COMPRESSED if compressed else 0)

    def reply(self, outgoing: Outgoing, head: ResponseHead) -> Reply:
        """Read the head of the response."""
        names = _names(outgoing.method)
        reply = Reply(extra=_Status(Code.from_http(head.status)))
        kind = media_type(head.get(b"content-type"))
        try:
            reply.compression = (head.get(names.encoding) or b"identity").decode("latin-1")
            if names is _UNARY:
                reply.extra.trailing = decode_metadata(head.fields, _TRAILER_PREFIX)
                leading = tuple(item for item in head.fields if not item[0].startswith(_TRAILER_PREFIX))
                reply.metadata = decode_metadata(leading)
            else:
                reply.metadata = decode_metadata(head.fields)
        except RpcError as error:
            reply.error = error
            return reply
        if head.status != 200:
            if names is _UNARY and kind == b"application/json":
                reply.failed = True
            else:
                reply.error = RpcError(reply.extra.code, f"HTTP status {head.status}", metadata=reply.extra.trailing)
        elif kind != names.prefix + outgoing.codec.encode():
            foreign = Code.INTERNAL if kind.startswith(names.prefix) else Code.UNKNOWN
            named = shown((head.get(b"content-type") or b"").decode("latin-1"))
            reply.error = RpcError(foreign, f"response of content type {named!r}")
        elif reply.compression != "identity" and reply.compression not in outgoing.accepts:
            reply.error = RpcError(Code.INTERNAL, f"response with the encoding {reply.compression!r}")
        return reply

    def reader(self, outgoing: Outgoing, reply: Reply, limit: int) -> MessageReader:
        """Return a fresh reader for the response body."""
        if outgoing.method.kind is not Kind.UNARY:
            return EnvelopeReader(limit, COMPRESSED | END_OF_STREAM)
        return WholeReader(limit, COMPRESSED if reply.compression != "identity" else 0)

    def outcome(
        self, outgoing: Outgoing, reply: Reply, final: tuple[int, bytes] | None, trailers: Fields, empty: bool
    ) -> Outcome:
        """Read how the call ended."""
        if outgoing.method.kind is Kind.UNARY:
            trailing: Metadata = reply.extra.trailing
            if not reply.failed:
                return Outcome(None, trailing)
            error = parse_error(final[1] if final else b"", reply.extra.code)
            error.metadata = trailing
            return Outcome(error, trailing)
        if final is None:
            return Outcome(RpcError(Code.INTERNAL, "the stream ended without its end-of-stream message"))
        return Outcome(*parse_end_of_stream(final[1]))


@dataclass(slots=True)
class _Status:
    """What the head of a response says beyond the reply: the code of its HTTP status, trailing metadata of unary."""

    code: Code
    trailing: Metadata = ()


def _read_timeout(value: bytes | None) -> float | None:
    if value is None:
        return None
    if not _TIMEOUT.fullmatch(value):
        raise RpcError(Code.INVALID_ARGUMENT, f"Connect-Timeout-Ms {value.decode('latin-1')!r} is no number of ms")
    return int(value) / 1000


def _latin(value: str | None) -> bytes | None:
    return None if value is None else value.encode("latin-1")


def _parse_query(query: bytes) -> Mapping[str, str]:
    """Return the first value of each parameter; each character of a value stands for one byte."""
    try:
        pairs = parse_qs(query.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=100)
    except ValueError:
        return {}
    return {name: values[0] for name, values in pairs.items()}


def _decode_url_base64(text: bytes) -> bytes:
    try:
        return decode_base64(text.rstrip(b"=").translate(_URL_SAFE), "message")
    except RpcError:
        raise RpcError(Code.INVALID_ARGUMENT, "the query parameter message is not base64") from None


_URL_SAFE = bytes.maketrans(b"-_", b"+/")


def _get_target(outgoing: Outgoing, payload: bytes, compression: str) -> bytes:
    text = outgoing.codec == "json" and compression == "identity"
    # In the order that the protocol recommends, for the sake of caches.
    query = {"connect": "v1"}
    if not text:
        query["base64"] = "1"
    if compression != "identity":
        query["compression"] = compression
    query["encoding"] = outgoing.codec
    message = quote(payload, safe="") if text else b64encode(payload, b"-_").rstrip(b"=").decode("ascii")
    return f"{outgoing.path}?{urlencode(query)}&message={message}".encode()
