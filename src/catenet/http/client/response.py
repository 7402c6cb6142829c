"""Responses as programs read them."""

from __future__ import annotations

import codecs
import json as json_module
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

from catenet.http.client.errors import ContentError, RequestError, StatusError
from catenet.http.client.exchange import Exchange
from catenet.http.client.plans import Plan
from catenet.http.client.request import Request
from catenet.http.client.timings import Timings
from catenet.http.headers import Headers
from catenet.http.message import ResponseHead
from catenet.http.policy.codings import CODINGS, Decoder, DecodingError, content_codings
from catenet.http.url import Url
from catenet.printable import printable

__all__ = ["Facts", "Response", "facts_of"]

_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._:\-]+)", re.IGNORECASE).search
_META = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([A-Za-z0-9._\-]+)", re.IGNORECASE).search
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
         (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_NO_CHARSETS = frozenset((
    "idna", "punycode", "undefined", "unicode-escape", "unicode_escape", "raw-unicode-escape", "raw_unicode_escape",
    "mbcs", "oem",
))  # fmt: skip
"""Codecs of Python that are no charsets of texts: they fail, or take a time that is the square of the length."""
_NOTED = frozenset((b"content-encoding", b"set-cookie", b"strict-transport-security"))
_NONE: list[str] = []
DISCARD = 64 << 10
"""Bytes of a body that nobody wants which are read so that the connection can be kept."""


class Facts:
    """What a client asks of each head, worked out once: `http/message.py` shares heads that are equal."""

    __slots__ = ("codings", "cookies", "plain")

    def __init__(self, head: ResponseHead) -> None:
        encodings: list[bytes] = []
        self.cookies = hsts = False
        for name, value in head.fields:
            if name in _NOTED:
                if name == b"content-encoding":
                    encodings.append(value)
                elif name == b"set-cookie":
                    self.cookies = True
                else:
                    hsts = True
        self.codings = content_codings(b",".join(encodings).decode("latin-1")) if encodings else _NONE
        status = head.status
        self.plain = not (self.cookies or hsts or 300 <= status < 400 or status == 401)
        """Whether no policy has anything to do with it."""


def facts_of(head: ResponseHead) -> Facts:
    """Return the facts of a head."""
    note = head.note
    if type(note) is Facts:
        return note
    facts = head.note = Facts(head)
    return facts


class Response:
    """A response. Its body is there (`content`), or comes when it is read (`client.stream`).

    `history` has the redirects that led here, `interim` the 1xx responses before it, `trailers` what followed the body.
    """

    __slots__ = (
        "_content",
        "_decodes",
        "_exchange",
        "_headers",
        "_of",
        "called",
        "head",
        "history",
        "status",
    )

    def __init__(
        self, of: Request | Plan, head: ResponseHead, exchange: Exchange | None, called: float, decodes: bool
    ) -> None:
        self._of = of
        self.head = head
        self.status = head.status
        self.history: list[Response] = []
        self.called = called
        self._exchange = exchange
        self._decodes = decodes
        self._headers: Headers | None = None
        self._content: bytes | None = None

    @property
    def request(self) -> Request:
        """The request that was answered: after redirects, the last one."""
        return self._of if isinstance(self._of, Request) else self._of.request

    @property
    def url(self) -> Url:
        """The URL that was answered: after redirects, the last one."""
        return self.request.url

    # The head.

    @property
    def headers(self) -> Headers:
        """The fields."""
        if self._headers is None:
            self._headers = Headers.from_fields(self.head.fields)
        return self._headers

    @property
    def reason(self) -> str:
        """What the status is called (HTTP/2 sends no words)."""
        try:
            return HTTPStatus(self.status).phrase
        except ValueError:
            return ""

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    @property
    def is_redirect(self) -> bool:
        """Whether it sends its reader elsewhere."""
        return self.status in (301, 302, 303, 307, 308) and self.head.get(b"location") is not None

    @property
    def http_version(self) -> str:
        """`HTTP/1.1` or `HTTP/2`; empty for what came out of the cache."""
        return "" if self._exchange is None else "HTTP/2" if self._exchange.connection.core.version == 2 else "HTTP/1.1"

    @property
    def from_cache(self) -> bool:
        """Whether no server was asked."""
        return self._exchange is None

    @property
    def interim(self) -> list[tuple[int, Headers]]:
        """The 1xx responses that came before: status and fields."""
        heads = () if self._exchange is None else self._exchange.interim
        return [(head.status, Headers.from_fields(head.fields)) for head in heads]

    @property
    def trailers(self) -> Headers:
        """The fields after the body; none before its end."""
        return Headers.from_fields(() if self._exchange is None else self._exchange.trailers)

    @property
    def timings(self) -> Timings:
        """When each phase of its last exchange began and ended."""
        timings = Timings(self.called)
        exchange = self._exchange
        if exchange is not None:
            timings.connect, timings.reused = exchange.connection.record, exchange.reused
            timings.begun, timings.sent = exchange.begun, exchange.sent
            timings.first_byte, timings.ended = exchange.first_byte, exchange.ended
        return timings

    def raise_for_status(self) -> Response:
        """Return the response, or raise `StatusError` for a status of 400 or more."""
        if self.status >= 400:
            what = f"{self.status} {self.reason}".strip()
            error = StatusError(f"{what} for {self.request.method} {printable(str(self.url.without_password()))}", self)
            error.request = self.request
            raise error
        return self

    # The body.

    @property
    def content(self) -> bytes:
        """The body, decoded; raises `RuntimeError` if it has not been read (`read()`)."""
        if self._content is None:
            raise RuntimeError("the body has not been read: await response.read(), or iterate over the response")
        return self._content

    @property
    def text(self) -> str:
        """The body as text: by its byte order mark, its charset, what HTML says of itself; UTF-8 otherwise."""
        return self.content.decode(self.encoding, "replace")

    @property
    def encoding(self) -> str:
        """The character encoding of `text`."""
        start = (self._content or b"")[:1024]
        for mark, name in _BOMS:
            if start.startswith(mark):
                return name
        kind = self.headers.get("content-type", "")
        named = _CHARSET(kind)
        if named is None and "html" in kind and (meta := _META(start)) is not None:
            return _known(meta[1].decode("ascii"))
        return _known(named[1]) if named is not None else "utf-8"

    def json(self, **options: Any) -> Any:
        """Return what the body means as JSON (UTF-8, or as its byte order mark says); raise `ValueError` if nothing."""
        try:
            return json_module.loads(self.content, **options)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None

    async def read(self) -> bytes:
        """Return the whole body, decoded. Raises `RequestError`."""
        if self._content is None:
            self._content = b"".join([piece async for piece in self])
        return self._content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces, decoded, as it comes. Raises `RequestError`."""
        if self._content is not None:
            yield self._content
            return
        if self._exchange is None or not (codings := self._codings()):
            async for piece in self.raw():
                yield piece
            return
        decoder = self._decoder(codings, None)
        try:
            async for piece in self.raw():
                for decoded in decoder.pieces(piece):
                    yield decoded
            decoder.finish()
        except DecodingError as error:
            await self.close()
            raise self._content_error(error) from None

    async def raw(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces as it comes, codings and all. Raises `RequestError`."""
        exchange = self._exchange
        try:
            while exchange is not None and (piece := await exchange.take()):
                yield piece
        except RequestError as error:
            error.request, error.timings = self.request, self.timings
            raise

    async def lines(self) -> AsyncIterator[str]:
        """Yield the lines of the body, without their ends. Raises `RequestError`."""
        decode = codecs.getincrementaldecoder(self.encoding)("replace").decode
        rest: list[str] = []
        async for piece in self:
            *whole, last = decode(piece).replace("\r\n", "\n").split("\n")
            for line in whole:
                rest.append(line)
                yield "".join(rest).removesuffix("\r")
                rest.clear()
            rest.append(last)
        if last := "".join(rest) + decode(b"", True):
            yield last.removesuffix("\r")

    async def close(self) -> None:
        """Read no more of the body: a rest breaks off its stream, or over HTTP/1.1 its connection."""
        exchange = self._exchange
        if exchange is not None and not exchange.over:
            exchange.cancel(RequestError("the response was closed"))

    async def discard(self) -> None:
        """Read what is left of the body if that is little, else break it off."""
        exchange, left = self._exchange, DISCARD
        if exchange is None or self._content is not None:
            return
        length = self.head.get(b"content-length")
        if length is None or (length.isdigit() and int(length) <= DISCARD):
            try:
                while left > 0 and (piece := await exchange.take()):
                    left -= len(piece)
            except RequestError:
                pass
        if self._content is None:
            self._content = b""
        await self.close()

    async def __aenter__(self) -> Response:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Response [{self.status} {self.reason}]>"

    # For the client.

    def collect(self, limit: int | None) -> None:
        """Take the body of an exchange that has collected it. Raises `ContentError`."""
        exchange = self._exchange
        assert exchange is not None
        pieces = exchange.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        if data and (codings := self._codings()):
            decoder = self._decoder(codings, limit)
            try:
                data = decoder.decode(data)
                decoder.finish()
            except DecodingError as error:
                raise self._content_error(error) from None
        self._content = data

    def supply(self, content: bytes) -> None:
        """Give it a body that was not received now."""
        self._content = content

    @property
    def body_at_hand(self) -> bytes | None:
        """The body, if it has been read."""
        return self._content

    @property
    def was_decoded(self) -> bool:
        """Whether `content` is what a Content-Encoding stood for."""
        return bool(self._codings())

    def _codings(self) -> list[str]:
        codings = facts_of(self.head).codings if self._decodes else []
        return codings if all(coding in CODINGS for coding in codings) else []

    def _decoder(self, codings: list[str], limit: int | None) -> Decoder:
        try:
            return Decoder(codings, limit)
        except DecodingError as error:
            raise self._content_error(error) from None

    def _content_error(self, error: DecodingError) -> ContentError:
        failure = ContentError(str(error))
        failure.request = self.request
        return failure


def _known(name: str) -> str:
    try:
        found = codecs.lookup(name)
    except LookupError:
        return "utf-8"
    return found.name if found._is_text_encoding and found.name not in _NO_CHARSETS else "utf-8"
