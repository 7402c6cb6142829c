"""Parsers that are libraries: fed in this process."""

from __future__ import annotations

import contextlib
from typing import Any

from tests.http.strictness import ours
from tests.http.strictness.outcome import NEXT, seen, summary

__all__ = ["ANSWERS", "DOWNGRADES", "REQUESTS"]


def h11_request(data: bytes) -> str:
    """Serve by h11."""
    import h11

    machine = h11.Connection(h11.SERVER)
    machine.receive_data(data + NEXT)
    sent, size, request = b"", 0, None
    try:
        while True:
            event = machine.next_event()
            if event is h11.NEED_DATA:
                return summary(sent, True)
            if event is h11.PAUSED:
                machine.start_next_cycle()
            elif isinstance(event, h11.Request):
                size, request = 0, event
            elif isinstance(event, h11.Data):
                size += len(event.data)
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                body = seen(request.method.decode("latin-1"), request.target.decode("latin-1"), size)
                fields = [("Content-Length", str(len(body)))]
                sent += machine.send(h11.Response(status_code=200, headers=fields)) or b""
                sent += machine.send(h11.Data(body)) or b""
                sent += machine.send(h11.EndOfMessage()) or b""
                if machine.our_state is h11.MUST_CLOSE:
                    return summary(sent, False)
            elif isinstance(event, h11.ConnectionClosed):
                return summary(sent, False)
    except h11.ProtocolError:
        with contextlib.suppress(h11.ProtocolError):
            sent += machine.send(h11.Response(status_code=400, headers=[("Content-Length", "0")])) or b""
        return summary(sent, False)


def h11_answer(data: bytes) -> str:
    """Take an answer by h11."""
    import h11

    machine = h11.Connection(h11.CLIENT)
    machine.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    machine.send(h11.EndOfMessage())
    size = status = 0
    try:
        for piece in (data, b""):
            machine.receive_data(piece)
            while (event := machine.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    size += len(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    return f"A {status} {size}"
                elif isinstance(event, h11.ConnectionClosed):
                    return "R"
            if event is h11.PAUSED:
                return "R"
    except h11.ProtocolError:
        pass
    return "R"


class _Callbacks:
    def __init__(self) -> None:
        self.parser: Any = None
        self.url = b""
        self.size = 0
        self.found: list[tuple[str, bytes, int]] = []
        self.complete = False

    def on_message_begin(self) -> None:
        self.url, self.size, self.complete = b"", 0, False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.size += len(body)

    def on_message_complete(self) -> None:
        self.complete = True
        if hasattr(self.parser, "get_method"):
            self.found.append((self.parser.get_method().decode("latin-1"), self.url, self.size))


def httptools_request(data: bytes) -> str:
    """Read by httptools."""
    import httptools

    callbacks = _Callbacks()
    callbacks.parser = httptools.HttpRequestParser(callbacks)
    failed = upgraded = False
    try:
        callbacks.parser.feed_data(data + NEXT)
    except httptools.HttpParserUpgrade:
        upgraded = True
    except httptools.HttpParserError:
        failed = True
    sent = b"".join(
        b"HTTP/1.1 200 OK\r\n" + seen(method, target.decode("latin-1"), size)
        for method, target, size in callbacks.found
    )
    return summary(sent + b"HTTP/1.1 400 \r\n" * failed, upgraded or not (failed or callbacks.found))


def httptools_answer(data: bytes) -> str:
    """Take an answer by httptools."""
    import httptools

    callbacks = _Callbacks()
    callbacks.parser = httptools.HttpResponseParser(callbacks)
    try:
        callbacks.parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        if not callbacks.complete:
            return "R"
    status = callbacks.parser.get_status_code()
    if not callbacks.complete and not _until_close(data):
        return "R"
    return f"A {status} {callbacks.size}" if status >= 200 else "R"


def _until_close(data: bytes) -> bool:
    head = data.lower().partition(b"\r\n\r\n")
    return bool(head[1]) and b"content-length" not in head[0] and b"transfer-encoding" not in head[0]


def aiohttp_answer(data: bytes) -> str:
    """Take an answer by the parser of aiohttp's client."""
    import asyncio

    from aiohttp import http_exceptions
    from aiohttp.base_protocol import BaseProtocol
    from aiohttp.http_parser import HttpResponseParser

    async def take() -> str:
        loop = asyncio.get_running_loop()
        parser = HttpResponseParser(BaseProtocol(loop), loop, 2**16, read_until_eof=True)
        try:
            messages, _, _ = parser.feed_data(data)
            while messages and messages[0][0].code < 200 and messages[0][0].code != 101:
                messages = messages[1:]
            with contextlib.suppress(AttributeError):
                parser.feed_eof()
            if not messages:
                return "R"
            message, payload = messages[0]
            if message.code == 101:
                return "R"
            body = await asyncio.wait_for(payload.read(), 0.2) if payload is not None else b""
            return f"A {message.code} {len(body)}"
        except (
            http_exceptions.HttpProcessingError,
            http_exceptions.PayloadEncodingError,
            TimeoutError,
            OSError,
            ValueError,
        ):
            return "R"
        except Exception as error:  # aiohttp tells of broken bodies by exceptions of its client
            return "R" if "Error" in type(error).__name__ else "A"

    return asyncio.run(take())


def h2_downgrade(data: bytes) -> str:
    """Serve a request by h2."""
    import h2.config
    import h2.connection
    import h2.events
    import h2.exceptions

    machine = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    machine.initiate_connection()
    size, method, done = 0, b"", False
    try:
        for event in machine.receive_data(ours.blocks(data)[1]):
            if isinstance(event, h2.events.RequestReceived):
                method = next((value for name, value in event.headers if name == b":method"), b"")
            elif isinstance(event, h2.events.DataReceived):
                size += len(event.data)
            elif isinstance(event, h2.events.StreamReset):
                return "R"
            elif isinstance(event, h2.events.StreamEnded):
                done = True
    except h2.exceptions.ProtocolError:
        return "R"
    return f"A {method.decode('latin-1')} {size}" if done else "R"


REQUESTS = {"h11": h11_request, "httptools": httptools_request}
ANSWERS = {"h11": h11_answer, "httptools": httptools_answer, "aiohttp": aiohttp_answer}
DOWNGRADES = {"h2": h2_downgrade}
