"""gRPC-Web, both sides: gRPC for HTTP without trailers (gRPC PROTOCOL-WEB).

The trailers are a last envelope in the body, flagged 0x80, spelled as an HTTP/1 header block. The `-text` variant is
base64 throughout, for browsers that cannot read bytes as they come; each piece may end with its own padding.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode

from catenet.http.message import Fields, RequestHead, ResponseHead
from catenet.rpc.model.metadata import Metadata, encode_metadata
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.protocols.framing import COMPRESSED, EnvelopeReader, Frame, MessageReader, envelope
from catenet.rpc.protocols.grpc import GrpcClientWire, GrpcServerWire, status_fields
from catenet.rpc.protocols.protocol import Answer, AnyMethod, Ending, Outcome, Outgoing, Plan, Reply

__all__ = [
    "TRAILERS",
    "GrpcWebClientWire",
    "GrpcWebServerWire",
    "TextReader",
    "build_trailers",
    "parse_trailers",
]

TRAILERS = 0x80
"""Flag of the envelope that holds the trailers."""

_CONTENT_TYPE = re.compile(rb"application/grpc-web(-text)?(?:\+([a-z0-9.\-]+))?\s*(?:;.*)?", re.IGNORECASE).fullmatch


def build_trailers(fields: Fields) -> bytes:
    """Return trailers as the payload of the last envelope."""
    return b"".join(b"%b: %b\r\n" % field for field in fields)


def parse_trailers(data: bytes) -> Fields:
    """Return the fields in the payload of the last envelope; lines without a colon are ignored."""
    pairs = (line.partition(b":") for line in data.replace(b"\r\n", b"\n").split(b"\n"))
    return tuple((name.strip().lower(), value.strip()) for name, colon, value in pairs if colon)


class TextReader:
    """Decodes base64 as it comes and hands the bytes to another reader."""

    __slots__ = ("_inner", "_rest")

    def __init__(self, inner: MessageReader) -> None:
        self._inner = inner
        self._rest = b""

    @property
    def buffered(self) -> int:
        """Bytes that wait for the rest of a message."""
        return self._inner.buffered + len(self._rest)

    @property
    def missing(self) -> int:
        """What a message still lacks, in base64."""
        return self._inner.missing * 4 // 3

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next characters of the body."""
        data = self._rest + data
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        return self._inner.feed(_decode_pieces(data[:whole])) if whole else []

    def finish(self) -> list[Frame]:
        """The body has ended; padding may be missing."""
        if not self._rest:
            return self._inner.finish()
        last = _decode_pieces(self._rest + b"=" * (4 - len(self._rest)))
        self._rest = b""
        return self._inner.feed(last) + self._inner.finish()


def _decode_pieces(text: bytes) -> bytes:
    """Decode base64 whose pieces, of four characters each, may be padded in the middle."""
    decoded = []
    start = 0
    try:
        while start < len(text):
            padding = text.find(b"=", start)
            stop = len(text) if padding < 0 else padding - padding % 4 + 4
            decoded.append(binascii.a2b_base64(text[start:stop], strict_mode=True))
            start = stop
    except binascii.Error:
        raise RpcError(Code.INTERNAL, "the body is not base64") from None
    return b"".join(decoded)


class GrpcWebServerWire(GrpcServerWire):
    """gRPC-Web, seen from the server; `plan.extra` is the content type of the response."""

    name = "grpc-web"

    def recognises(self, head: RequestHead) -> bool:
        """Whether the content type is `application/grpc-web` or its `-text`, with a codec or without."""
        return (head.get(b"content-type") or b"")[:20].lower() == b"application/grpc-web"

    def plan(self, head: RequestHead, method: AnyMethod | None, http_version: int) -> Plan | Answer:
        """Read the head of a request."""
        if head.method != b"POST":
            return Answer(ResponseHead(405, ((b"allow", b"POST"),)))
        match = _CONTENT_TYPE(head.get(b"content-type") or b"")
        codec = (match[2] or b"proto").decode().lower() if match else ""
        if match is None or codec not in self._codecs:
            return Answer(ResponseHead(415))
        kind = b"application/grpc-web" + (match[1] or b"").lower() + b"+" + codec.encode()
        plan = self._read(head, method, codec)
        if isinstance(plan, Answer):
            plan.head = ResponseHead(200, ((b"content-type", kind), *plan.head.fields[1:]))
        else:
            plan.extra = kind
        return plan

    def reader(self, plan: Plan, limit: int) -> MessageReader:
        """Return a reader of envelopes, through base64 if need be."""
        return TextReader(EnvelopeReader(limit)) if _is_text(plan.extra) else EnvelopeReader(limit)

    def start(self, plan: Plan, metadata: Metadata, compression: str) -> ResponseHead:
        """Return the head of a response."""
        fields = [(b"content-type", plan.extra), self._accept]
        if compression != "identity":
            fields.append((b"grpc-encoding", compression.encode()))
        return ResponseHead(200, (*fields, *encode_metadata(metadata)))

    def frame(self, plan: Plan, payload: bytes, compressed: bool) -> bytes:
        """Return the message in its envelope."""
        return _spell(plan.extra, envelope(payload, compressed))

    def end(self, plan: Plan, error: RpcError | None, metadata: Metadata) -> Ending:
        """Return the envelope of trailers."""
        return Ending(_spell(plan.extra, envelope(build_trailers(status_fields(error, metadata)), TRAILERS)))

    def whole(
        self,
        plan: Plan,
        metadata: Metadata,
        payload: bytes | None,
        compression: str,
        error: RpcError | None,
        trailing: Metadata,
    ) -> Answer:
        """Answer in one piece; trailers are in the body even if nothing else is."""
        body = b"" if payload is None else self.frame(plan, payload, compression != "identity")
        return Answer(self.start(plan, metadata, compression), body + self.end(plan, error, trailing).body)


class GrpcWebClientWire(GrpcClientWire):
    """gRPC-Web, seen from the client; `text` chooses base64, as browsers may have to."""

    name = "grpc-web"
    final_flags = TRAILERS

    def __init__(self, text: bool = False) -> None:
        self._kind = b"application/grpc-web-text" if text else b"application/grpc-web"

    def request(self, outgoing: Outgoing) -> RequestHead:
        """Return the head of a request."""
        head = super().request(outgoing)
        fields = [item for item in head.fields if item[0] not in (b"te", b"content-type")]
        kind = self._kind + b"+" + outgoing.codec.encode()
        own = [(b"content-type", kind), (b"accept", kind), (b"x-grpc-web", b"1")]
        return RequestHead(b"POST", head.path, (*own, *fields), head.authority, head.scheme)

    def whole_request(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> tuple[RequestHead, bytes]:
        """Return head and body of a request with one message."""
        return self.request(outgoing), self.frame(outgoing, payload, compressed)

    def frame(self, outgoing: Outgoing, payload: bytes, compressed: bool) -> bytes:
        """Return the message in its envelope."""
        return _spell(self._kind, envelope(payload, compressed))

    def reply(self, outgoing: Outgoing, head: ResponseHead) -> Reply:
        """Read the head of a response."""
        kind = (head.get(b"content-type") or b"").lower()
        reply = super().reply(outgoing, head)
        if reply.error is None and not kind.startswith(b"application/grpc-web"):
            return Reply(error=RpcError(Code.UNKNOWN, f"content type {kind.decode('latin-1')!r} is not gRPC-Web"))
        reply.text = _is_text(kind)
        return reply

    def reader(self, outgoing: Outgoing, reply: Reply, limit: int) -> MessageReader:
        """Return a reader of envelopes, the one with the trailers included."""
        inner = EnvelopeReader(limit, COMPRESSED | TRAILERS)
        return TextReader(inner) if reply.text else inner

    def outcome(
        self, outgoing: Outgoing, reply: Reply, final: tuple[int, bytes] | None, trailers: Fields, empty: bool
    ) -> Outcome:
        """Read the status in the last envelope, or the one that came in the head."""
        outcome = super().outcome(outgoing, reply, None, parse_trailers(final[1]) if final else (), empty)
        # Servers that put everything into the head do so with initial metadata too: nobody can tell it apart.
        outcome.alone = False
        return outcome


def _is_text(kind: bytes) -> bool:
    return kind.startswith(b"application/grpc-web-text")


def _spell(kind: bytes, data: bytes) -> bytes:
    return b64encode(data) if _is_text(kind) else data
