"""Server-sent events across connections that break (WHATWG HTML, section 9.2.3)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from catenet.http.client.errors import ConnectFailed, ConnectionLost, ContentError, RequestTimeout
from catenet.http.client.request import Request
from catenet.http.policy.sse import EventParser, EventStreamError, ServerEvent
from catenet.printable import printable

if TYPE_CHECKING:
    from catenet.http.client.client import Client, RequestOptions

__all__ = ["follow_events"]

RECONNECT = 3.0
"""Seconds between a connection and the next, until the stream names another time."""
LONGEST = 60.0
SUDDEN = (500, 502, 503, 504)
"""Statuses that pass; after any other that is not 200, the stream does not go on."""


async def follow_events(client: Client, request: Request, options: RequestOptions) -> AsyncGenerator[ServerEvent]:
    """Yield events; connect again with Last-Event-ID when the connection ends, until the server says 204.

    Raises `StatusError` for a status that does not pass, `ContentError` for what is no stream of events,
    `RequestError` if the first attempt comes to nothing.
    """
    request.headers["Accept"] = "text/event-stream"
    request.headers.setdefault("Cache-Control", "no-store")
    wait, last_id, failures, begun = RECONNECT, "", 0, False
    while True:
        if last_id:
            request.headers["Last-Event-ID"] = last_id
        parser = EventParser()
        if last_id:
            parser.feed(f"id: {last_id}\n".encode())  # it counts until the stream names another
        try:
            async with await client.send(request.copy(), stream=True, **options) as response:
                if response.status == 204:
                    return
                if response.status in SUDDEN and begun:
                    raise ConnectionLost(f"the server answered {response.status}")
                response.raise_for_status()
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                if response.status != 200 or kind != "text/event-stream":
                    what = f"{response.status} with {printable(kind) or 'nothing'}"
                    raise ContentError(f"the server answered {what}, not with events")
                begun, failures = True, 0
                async for piece in response:
                    for event in parser.feed(piece):
                        last_id = event.id
                        yield event
                    last_id = parser.last_id or last_id
        except EventStreamError as error:
            raise ContentError(str(error)) from None
        except (ConnectFailed, ConnectionLost, RequestTimeout):
            if not begun:
                raise
            failures += 1
        wait = wait if parser.retry is None else min(parser.retry / 1000, LONGEST)
        grown = min(wait * 2 ** min(failures, 10), LONGEST)
        await asyncio.sleep(grown * random.uniform(0.75, 1.0) if failures else wait)
