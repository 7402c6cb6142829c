"""Calls: the asynchronous channel, its four kinds of call, retries and hedging."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, Iterable
from typing import Any, TypeVar, Unpack, cast

from catenet.http.client.connection import ClientConnection
from catenet.http.target import authority
from catenet.net.tls_source import TlsSource
from catenet.rpc.client.attempt import Attempt, CallParameters
from catenet.rpc.client.bidi import BidiCall
from catenet.rpc.client.call import Call, CallInfo, CallOptions, coarse, pushback_of
from catenet.rpc.client.channel import Connections
from catenet.rpc.client.options import USER_AGENT, ChannelOptions
from catenet.rpc.client.service_config import Hedging, Retrying
from catenet.rpc.client.streams import ResponseStream
from catenet.rpc.model.context import SERVED_UNTIL
from catenet.rpc.model.interceptor import Chain, Interceptor
from catenet.rpc.model.metadata import Metadata, check_metadata
from catenet.rpc.model.method import Idempotency, Method
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.model.target import SESSION_SCHEMES, parse_target
from catenet.rpc.protocols.protocol import Outgoing
from catenet.rpc.protocols.registry import client_wire

__all__ = ["Channel"]

Q = TypeVar("Q")
S = TypeVar("S")
_PARAMETERS_LIMIT = 512
_USUAL = frozenset(("timeout", "info"))


class Channel:
    """Calls services at `target`: `tcp://`, `tls://`, `http(s)://`, `unix:`, `dns:///` (to all in turn), and
    `session+grpc(s)://`, over a session that survives its connections.

    Connections are made when the first call needs them, on the event loop of that call; the channel then belongs to
    that loop. In a child process after `fork`, or on a new loop after the old one was closed, it begins anew. `tls` may
    be a source (`catenet.net.tls_source`), which is asked at each connection.
    """

    def __init__(
        self,
        target: str,
        *,
        options: ChannelOptions | None = None,
        tls: TlsSource | None = None,
        interceptors: Iterable[Interceptor] = (),
    ) -> None:
        self.options = options or ChannelOptions()
        self.target = parse_target(target)
        if self.target.scheme in SESSION_SCHEMES:
            self.options.session.options()
        self._tls = tls
        self._wire = client_wire(self.options.protocol)
        self.chain = Chain(tuple(interceptors))
        self._codec = self.options.codecs[self.options.codec]
        self._connections: Connections | None = None
        self._parameters: dict[tuple[Any, ...], CallParameters] = {}
        self._recent_parameters: dict[tuple[Method[Any, Any], float | None], CallParameters] = {}
        secure = tls is not None or self.target.tls
        self._scheme = b"https" if secure else b"http"
        self._authority = (self.options.authority or authority(self.target)).encode()
        self._plain = not self.chain.around and not self.chain.request and not self.chain.response

    # Calls.

    async def unary(self, method: Method[Q, S], request: Q, **options: Unpack[CallOptions]) -> S:
        """Send one message, return the one that answers it. Raises `RpcError`."""
        connections = self._connections
        if connections is None or connections.loop is not asyncio.get_running_loop():
            connections = self.connections()
        attempt: Attempt | None = None
        usual = self._plain and (not options or options.keys() <= _USUAL) and SERVED_UNTIL.get(None) is None
        key = (method, options.get("timeout", self.options.timeout) if options else self.options.timeout)
        parameters = self._recent_parameters.get(key) if usual else None
        if parameters is not None:
            connection = connections.pick()
            if connection is not None and connection.core.version == parameters.outgoing.http_version:
                timeout = parameters.outgoing.timeout
                attempt = Attempt(connection, parameters, False)
                if connections.observer is not None:
                    attempt.observer = connections.observer
                # As _carry_out, without a coroutine of its own.
                try:
                    attempt.start_whole(request, None if timeout is None else connections.loop.time() + timeout)
                    await attempt.result  # type: ignore[misc]
                except asyncio.CancelledError:
                    attempt.cancel()
                    raise
                if attempt.error is None:
                    if options and "info" in options:
                        _note_usual(options["info"], method, attempt)
                    response: S = attempt.response()
                    return response
        call = Call(self.options, method, options, connections.loop.time())
        if not self._plain:
            return cast(S, await self._enclosed(call, request))
        response = await self._unary(connections, call, request, attempt)
        if usual and parameters is None:
            self._remember_parameters(call, key)
        return response

    def server_stream(self, method: Method[Q, S], request: Q, **options: Unpack[CallOptions]) -> ResponseStream[Q, S]:
        """Send one message; iterate over those that answer it."""
        return ResponseStream(self, method, options, request)

    async def client_stream(
        self, method: Method[Q, S], requests: Iterable[Q] | AsyncIterable[Q], **options: Unpack[CallOptions]
    ) -> S:
        """Send messages, return the one that answers them all. Raises `RpcError`."""
        if self.options.service_config.for_method(method).hedging is not None:
            from catenet.rpc.client.hedging import HedgedUpload

            return await HedgedUpload(self, method, options, single=True).run(requests)
        call = BidiCall(self, method, options, single=True)
        try:
            await call.start()
            sender = asyncio.ensure_future(call.send_all(requests))
            try:
                return cast(S, await call.response())
            finally:
                await _end(sender)
        except asyncio.CancelledError:
            call.cancel()
            raise

    def bidi(self, method: Method[Q, S], **options: Unpack[CallOptions]) -> BidiCall[Q, S]:
        """Return a call that sends and receives messages independently; use it as an asynchronous context manager."""
        return BidiCall(self, method, options)

    # The state of the channel.

    def connections(self) -> Connections:
        """Return the connections on the running loop."""
        connections = self._connections
        loop = asyncio.get_running_loop()
        if connections is None or connections.loop is not loop:
            if connections is not None and not connections.loop.is_closed() and connections.process == os.getpid():
                raise RuntimeError("this channel belongs to another event loop")
            connections = self._connections = Connections(self.target, self.options, self._tls)
        return connections

    async def close(self) -> None:
        """Close all connections; calls that run end with `CANCELLED`."""
        connections, self._connections = self._connections, None
        if connections is not None and connections.loop is asyncio.get_running_loop():
            await connections.close()

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Channel({authority(self.target)!r})"

    # Attempts.

    async def _enclosed(self, call: Call, request: Any) -> Any:
        async def innermost() -> Any:
            connections = self.connections()
            call.fix_deadline(connections.loop.time())
            call.info.metadata = check_metadata(call.info.metadata)
            message = self.chain.on_request(call.info, request)
            response = await self._unary(connections, call, message)
            return self.chain.on_response(call.info, response)

        return await self.chain.wrap(call.info, innermost)()

    async def _unary(self, connections: Connections, call: Call, request: Any, attempt: Attempt | None = None) -> Any:
        """Make attempts until one is the last; `attempt` is one that has failed already."""
        if call.config.hedging is not None:
            return await self._hedged(connections, call, request)
        retrying: Retrying | None = None
        while True:
            if attempt is None:
                attempt = await self.attempt(connections, call, False)
                await _carry_out(attempt, request, call.deadline)
            call.info.attempts += 1
            error = attempt.error
            if error is None or attempt.committed:
                self._note(call, attempt)
                if retrying is not None or call.config.retry is not None:
                    connections.budget.succeeded()
                return attempt.response()
            if retrying is None:
                retrying = Retrying(call.config.retry, connections.budget)
            await self.before_retry(connections, call, attempt, retrying, error)
            attempt = None

    def _remember_parameters(self, call: Call, key: tuple[Method[Any, Any], float | None]) -> None:
        """Let the next such call find its parameters at once, if there is nothing to decide about it."""
        if call.config.hedging is not None or self.options.service_config.throttling is not None:
            return
        parameters = next((t for key, t in self._parameters.items() if key[:4] == call.key), None)
        if parameters is not None:
            if len(self._recent_parameters) >= _PARAMETERS_LIMIT:
                self._recent_parameters.clear()
            self._recent_parameters[key] = parameters

    async def before_retry(
        self, connections: Connections, call: Call, attempt: Attempt, retrying: Retrying, error: RpcError
    ) -> None:
        """Wait as long as the policy says, or raise the error if there is no other attempt."""
        delay = retrying.next_delay(error.code, connections.random, pushback_of(error), attempt.refused)
        now = connections.loop.time()
        if delay is None or (call.deadline is not None and now + delay >= call.deadline):
            self._note(call, attempt)
            raise error
        if delay:
            await asyncio.sleep(delay)

    async def _hedged(self, connections: Connections, call: Call, request: Any) -> Any:
        """Several attempts at once, the first answer wins (gRFC A6, "Hedging Policy")."""
        loop = connections.loop
        assert call.config.hedging is not None
        hedging = Hedging(call.config.hedging, connections.budget, loop.time())
        running: dict[asyncio.Future[None], Attempt] = {}
        error: RpcError | None = None
        try:
            while True:
                if hedging.start_attempt(loop.time()):
                    attempt = await self.attempt(connections, call, False)
                    attempt.start_whole(request, call.deadline)
                    assert attempt.result is not None
                    running[attempt.result] = attempt
                    call.info.attempts += 1
                    continue
                due = hedging.next_deadline()
                timeout = None if due is None else max(due - loop.time(), 0)
                if not running and error is not None:
                    if timeout is None:
                        raise error
                    await asyncio.sleep(timeout)  # the server wants the next attempt later
                    continue
                done, _ = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                for result in [result for result in running if result in done]:
                    attempt = running.pop(result)
                    error = attempt.error
                    if error is None or hedging.attempt_failed(error.code, loop.time(), pushback_of(error)):
                        hedging.succeeded()
                        self._note(call, attempt)
                        return attempt.response()
        finally:
            for attempt in running.values():
                attempt.cancel()

    def _note(self, call: Call, attempt: Attempt) -> None:
        if attempt.reply is not None:
            call.info.initial_metadata = attempt.initial
        call.info.trailing_metadata = attempt.trailing

    async def attempt(self, connections: Connections, call: Call, streaming: bool) -> Attempt:
        """Return an attempt on a connection that can take it. Raises `RpcError`."""
        timeout, fresh = call.info.timeout, not call.info.attempts
        key = None if connections.key_header is None else connections.key_of(call.info.metadata)
        while True:
            connection = connections.pick(key)
            if connection is None:
                connection, fresh = await connections.wait(call.wait_for_ready, call.deadline, key), False
            if not fresh and call.deadline is not None:
                timeout = coarse(max(call.deadline - connections.loop.time(), 0.0))
            try:
                parameters = self._parameters_of(connection, call, timeout)
            except BaseException:
                connection.has_room()
                raise
            if parameters.size <= connection.core.peer_max_header_list or connection.core.settled:
                attempt = Attempt(connection, parameters, streaming)
                attempt.observer = connections.observer
                return attempt
            # Too much for a server that has not said yet what it takes: hear that first.
            connection.has_room()
            try:
                await connection.wait_for_settings(call.deadline)
            except TimeoutError:
                why = "the deadline passed before the server's SETTINGS came"
                raise RpcError(Code.DEADLINE_EXCEEDED, why) from None
            fresh = False

    def _parameters_of(self, connection: ClientConnection, call: Call, timeout: float | None) -> CallParameters:
        metadata: Metadata = call.info.metadata
        if call.info.attempts:
            metadata = (*metadata, ("grpc-previous-rpc-attempts", str(call.info.attempts)))
        key = (call.method, timeout, metadata, call.compression, connection.core.version)
        parameters = self._parameters.get(key)
        if parameters is None:
            if len(self._parameters) >= _PARAMETERS_LIMIT:
                self._parameters.clear()
            parameters = self._parameters[key] = self._make_parameters(call, timeout, metadata, connection.core.version)
        return parameters

    def _make_parameters(self, call: Call, timeout: float | None, metadata: Metadata, version: int) -> CallParameters:
        options = self.options
        if call.compression != "identity" and call.compression not in options.compressions:
            raise ValueError(f"compression {call.compression!r}: there are {', '.join(options.compressions)}")
        outgoing = Outgoing(
            call.method,
            self._scheme,
            self._authority,
            options.codec,
            call.compression,
            tuple(name for name in options.accepts if name in options.compressions),
            timeout,
            metadata,
            USER_AGENT,
            options.use_get and call.method.idempotency is Idempotency.NO_SIDE_EFFECTS,
            version,
            self.target.base,
        )
        head = self._wire.request(outgoing)
        limit = call.config.max_response_bytes
        limit = options.max_receive if limit is None else min(limit, options.max_receive)
        most = call.config.max_request_bytes
        return CallParameters(self._wire, outgoing, self._codec, dict(options.compressions), limit, head, most)


def _note_usual(info: CallInfo, method: Method[Any, Any], attempt: Attempt) -> None:
    """Say of a call of nothing but its message what `Call` and `Channel._note` say of others."""
    info.method, info.metadata, info.timeout = method, (), attempt.parameters.outgoing.timeout
    info.attempts += 1
    info.initial_metadata, info.trailing_metadata = attempt.initial, attempt.trailing


async def _carry_out(attempt: Attempt, request: Any, deadline: float | None) -> None:
    """Send a request of one message and wait for the end of the attempt, which then knows how it went."""
    try:
        attempt.start_whole(request, deadline)
        assert attempt.result is not None
        await attempt.result
    except asyncio.CancelledError:
        attempt.cancel()
        raise


async def _end(sender: asyncio.Future[None]) -> None:
    """Stop the task that sends requests; an error of the caller's own iterator surfaces."""
    sender.cancel()
    try:
        await sender
    except (asyncio.CancelledError, RpcError):
        pass
