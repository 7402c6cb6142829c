"""A client wire and a server wire face to face: no sockets, no codecs, the payloads are plain bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from catenet.codec import COMPRESSIONS
from catenet.http.message import ResponseHead
from catenet.rpc.model.method import Idempotency, Kind, Method
from catenet.rpc.model.status import RpcError
from catenet.rpc.protocols.framing import COMPRESSED
from catenet.rpc.protocols.protocol import Answer, Outgoing, Plan

METHODS = {kind: Method("t.Test", kind.name.title(), kind, bytes, bytes) for kind in Kind}
SAFE = Method("t.Test", "Safe", Kind.UNARY, bytes, bytes, Idempotency.NO_SIDE_EFFECTS)


def outgoing(method: Any = METHODS[Kind.UNARY], **more: Any) -> Any:
    return Outgoing(method, b"http", b"localhost", more.pop("codec", "proto"), **more)


@dataclass
class Result:
    plan: Plan | Answer
    requests: list[Any] = field(default_factory=list)
    head: ResponseHead | None = None
    metadata: tuple[Any, ...] = ()
    responses: list[Any] = field(default_factory=list)
    error: RpcError | None = None
    trailing: tuple[Any, ...] = ()


def open_frames(frames: Any, compression: Any) -> Any:
    return [
        COMPRESSIONS[compression].decompress(payload, 10**9) if flags & COMPRESSED else payload
        for flags, payload in frames
    ]


def pieces(data: bytes, size: int) -> Any:
    return [data[start : start + size] for start in range(0, len(data), size)]


def drive(
    client: Any,
    server: Any,
    out: Any,
    requests: Any,
    responses: Any,
    error: Any = None,
    leading: Any = (),
    trailing: Any = (),
    step: int = 7,
    reply_with: str = "identity",
) -> Any:
    """One call. Bodies arrive `step` bytes at a time; `reply_with` compresses the responses."""
    squeeze = out.compression != "identity"
    packed = [COMPRESSIONS[out.compression].compress(payload) for payload in requests]
    if len(packed) == 1:
        head, body = client.whole_request(out, packed[0], squeeze)
    else:
        head, body = client.request(out), b"".join(client.frame(out, payload, squeeze) for payload in packed)
    assert server.recognises(head)
    plan = server.plan(head, out.method, out.http_version)
    result = Result(plan)
    if isinstance(plan, Answer):
        answer = plan
    else:
        if plan.message is not None:
            frames = [plan.message]
        else:
            reader = server.reader(plan, 1 << 20)
            frames = [frame for piece in pieces(body, step) for frame in reader.feed(piece)] + reader.finish()
        result.requests = open_frames(frames, plan.compression)
        answer = respond(server, plan, responses, error, leading, trailing, reply_with)
    result.head = answer.head
    receive(client, out, answer, result, step)
    return result


def respond(server: Any, plan: Any, responses: Any, error: Any, leading: Any, trailing: Any, compression: Any) -> Any:
    packed = [COMPRESSIONS[compression].compress(payload) for payload in responses]
    if plan.buffered or (error is not None and not packed):
        return server.whole(
            plan, leading, packed[0] if packed and error is None else None, compression, error, trailing
        )
    body = b"".join(server.frame(plan, payload, compression != "identity") for payload in packed)
    ending = server.end(plan, error, trailing)
    return Answer(server.start(plan, leading, compression), body + ending.body, ending.trailers)


def receive(client: Any, out: Any, answer: Any, result: Any, step: int = 7) -> None:
    """The client's half: read an answer into `result`."""
    reply = client.reply(out, answer.head)
    result.metadata = reply.metadata
    if reply.error is not None:
        result.error = reply.error
        return
    reader = client.reader(out, reply, 1 << 20)
    try:
        frames = [frame for piece in pieces(answer.body, step) for frame in reader.feed(piece)] + reader.finish()
    except RpcError as damaged:
        result.error = damaged
        return
    final = None
    if reply.failed:
        final = (0, open_frames(frames, reply.compression)[0])
    elif frames and frames[-1][0] & client.final_flags:
        flags, payload = frames.pop()
        final = (flags, open_frames([(flags, payload)], reply.compression)[0])
    if not reply.failed:
        result.responses = open_frames(frames, reply.compression)
    outcome = client.outcome(out, reply, final, answer.trailers or (), not answer.body)
    result.error, result.trailing = outcome.error, outcome.metadata
    if outcome.alone:
        result.metadata = ()
