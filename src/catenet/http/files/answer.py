"""Answers that are the same for everything that is served: fields, errors, redirects."""

from __future__ import annotations

from catenet.http.message import Fields, ResponseHead
from catenet.http.server.exchange import Exchange

__all__ = ["Refused", "plain", "send_text", "with_fields"]

TEXTS = {
    400: "This is no path that could be served.",
    401: "Name and password, please.",
    403: "This may not be read.",
    404: "There is nothing here.",
    405: "That cannot be done here.",
    406: "This is not to be had in that form.",
    409: "There is something here already, or not what there has to be.",
    411: "How long is it?",
    412: "It is not what you take it for.",
    413: "This is too large.",
    415: "Not in this form.",
    416: "It is not that long.",
    503: "Too many files are being sent or stored.",
    507: "There is no room for it.",
}


class Refused(Exception):
    """A request is answered by an error."""

    def __init__(self, status: int, text: str = "", fields: Fields = ()) -> None:
        super().__init__(text or TEXTS.get(status, ""))
        self.status = status
        self.fields = fields


def with_fields(status: int, *groups: Fields) -> ResponseHead:
    """Return a head with the fields of all groups."""
    return ResponseHead(status, tuple(field for group in groups for field in group))


def plain(text: str) -> bytes:
    """Return a line of text as a body."""
    return text.encode(errors="replace") + b"\n"


async def send_text(exchange: Exchange, status: int, text: str, fields: Fields) -> None:
    """Answer with a line of text."""
    body = plain(text)
    said = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)))
    await exchange.reply(with_fields(status, said, fields), body)
