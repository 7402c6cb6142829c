"""Requests as programs make them, and what becomes of them for HTTP's machines."""

from __future__ import annotations

import json as json_module
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, BinaryIO, TypeAlias
from urllib.parse import unquote

from catenet.http.client.body import Content, Source, source_of
from catenet.http.client.timeouts import Timeouts
from catenet.http.headers import Headers, HeadersLike
from catenet.http.message import Fields, RequestHead
from catenet.http.policy.multipart import FormFile, Multipart, form_body
from catenet.http.url import Url, UrlError

__all__ = ["FileValue", "FormData", "Params", "Request", "with_params"]

Params: TypeAlias = Mapping[str, object] | Sequence[tuple[str, object]] | str
"""Parameters of a query: values may be numbers, booleans, None (left out) and lists of these."""
FileValue: TypeAlias = bytes | str | BinaryIO | tuple[Any, ...] | FormFile
"""A file of a form: its content, `(name, content)` or `(name, content, media type)`."""
FormData: TypeAlias = Mapping[str, object] | Sequence[tuple[str, object]]

# What says how a body is framed, and what is about the connection, is for the machine to say.
_MACHINE = frozenset((b"connection", b"content-length", b"host", b"keep-alive", b"proxy-connection", b"te",
                      b"transfer-encoding", b"upgrade"))  # fmt: skip
_UNIX_SCHEMES = {"http+unix": "http", "https+unix": "https"}


class Request:
    """One request. `headers` may be changed until it is sent; `content` is the body if it is at hand.

    `unix`: the path of the socket to which it goes, `@name` for an abstract one. `trailers` follow the body.
    """

    __slots__ = ("expects", "headers", "method", "source", "timeouts", "trailers", "unix", "url")

    def __init__(
        self,
        method: str,
        url: str | Url,
        *,
        headers: HeadersLike | None = None,
        content: Content | Source | None = None,
        data: FormData | Content | None = None,
        json: Any = None,
        files: Mapping[str, FileValue] | Sequence[tuple[str, FileValue]] | None = None,
        params: Params | None = None,
        trailers: HeadersLike | None = None,
        expect_continue: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        located, self.unix = locate(url)
        self.method = _checked_method(method)
        self.url = with_params(located, params)
        self.headers = headers.copy() if isinstance(headers, Headers) else Headers(headers)
        self.source = _source(self.headers, content, data, json, files)
        self.trailers: Fields = Headers(trailers).to_fields() if trailers is not None else ()
        self.expects = expect_continue or self.headers.get("expect", "").lower() == "100-continue"
        self.timeouts = timeouts

    @property
    def content(self) -> bytes | Source:
        """The body: bytes where it is in memory, else where it comes from."""
        whole = self.source.whole
        return self.source if whole is None else whole

    @property
    def replayable(self) -> bool:
        """Whether it can be sent again."""
        return self.source.replayable

    def copy(self) -> Request:
        """Return a copy whose fields can be changed; both have one body."""
        made = Request.__new__(Request)
        for name in Request.__slots__:
            setattr(made, name, getattr(self, name))
        made.headers = self.headers.copy()
        return made

    def head(self, forwarded: bool = False, extra: Fields = ()) -> RequestHead:
        """Return the head as the machines take it, with `extra` fields; `forwarded`: to a proxy, with the whole URL."""
        url = self.url
        authority = self.headers.get("host", url.authority)
        fields = tuple(field for field in self.headers.to_fields() if field[0] not in _MACHINE)
        length = self.source.length
        if length is not None and self.source.whole is None and not self.trailers:
            fields += ((b"content-length", b"%d" % length),)
        if self.expects and self.source.length != 0 and b"expect" not in dict(fields):
            fields += ((b"expect", b"100-continue"),)
        fields = _with(fields, extra)
        if self.trailers:
            names = b", ".join(dict.fromkeys(name for name, _ in self.trailers))
            fields += ((b"trailer", names),)
        target = str(url.without_fragment().without_userinfo()) if forwarded else url.target
        scheme = b"https" if url.tls else b"http"
        return RequestHead(self.method.encode(), target.encode("ascii"), fields, authority.encode("ascii"), scheme)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.url.without_password()}>"


def _with(fields: Fields, extra: Fields) -> Fields:
    """Add fields; cookies go into one (RFC 6265 section 5.4)."""
    own = dict(fields).get(b"cookie") if extra else None
    if own is None:
        return fields + extra
    joined = tuple((name, own + b"; " + value if name == b"cookie" else value) for name, value in extra)
    kept = fields if b"cookie" not in dict(extra) else tuple(field for field in fields if field[0] != b"cookie")
    return kept + joined


def locate(url: str | Url) -> tuple[Url, str]:
    """Return the URL, and the path of a Unix socket if it names one; raise `UrlError`.

    `http+unix://%2Frun%2Fapp.sock/path` names the socket where others have their host, percent-encoded.
    """
    if isinstance(url, str) and "+unix:" in url[:11]:
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        if scheme not in _UNIX_SCHEMES or not host:
            raise UrlError(f"URL {url!r} names no socket; write http+unix://%2Frun%2Fapp.sock/path")
        return Url.parse(f"{_UNIX_SCHEMES[scheme]}://localhost{slash}{path}"), unquote(host)
    parsed = Url.parse(url)
    if parsed.scheme not in ("http", "https"):
        parsed = Url.absolute(url)
    return parsed, ""


def with_params(url: Url, params: Params | None) -> Url:
    """Return the URL with these parameters after those it has."""
    if not params:
        return url
    if isinstance(params, str):
        return replace(url, query="&".join(part for part in (url.query, params.removeprefix("?")) if part))
    return url.with_query([(name, text) for name, value in _pairs(params) for text in _texts(value)])


def _pairs(given: Mapping[str, object] | Sequence[tuple[str, object]]) -> Iterable[tuple[str, object]]:
    return given.items() if isinstance(given, Mapping) else given


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [value.decode() if isinstance(value, bytes) else str(value)]


def _checked_method(method: str) -> str:
    upper = method.upper()
    if not (upper.isascii() and upper.replace("-", "").replace("_", "").isalnum()):
        raise ValueError(f"{method!r} is no method of HTTP")
    if upper == "CONNECT":
        raise ValueError("CONNECT is for proxies: give the client a proxy")
    return upper


def _source(
    headers: Headers,
    content: Content | Source | None,
    data: FormData | Content | None,
    json: Any,
    files: Mapping[str, FileValue] | Sequence[tuple[str, FileValue]] | None,
) -> Source:
    given = [name for name, value in (("content", content), ("json", json)) if value is not None]
    if len(given) + (data is not None or files is not None) > 1:
        raise ValueError(f"one body at a time: {', '.join([*given, 'data or files'])}")
    if json is not None:
        headers.setdefault("Content-Type", "application/json")
        return source_of(json_module.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())
    if files is not None:
        form = Multipart(_parts(data, files), f"----{os.urandom(16).hex()}")
        headers.setdefault("Content-Type", form.content_type)
        return _Form(form)
    if _is_form(data):
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")
        return source_of(form_body([(name, text) for name, value in _pairs(data) for text in _texts(value)]))  # type: ignore[arg-type]
    if isinstance(data, str) or isinstance(content, str):
        headers.setdefault("Content-Type", "text/plain; charset=utf-8")
    return source_of(data if content is None else content)  # type: ignore[arg-type]


def _is_form(data: object) -> bool:
    if isinstance(data, Mapping):
        return True
    return isinstance(data, list | tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in data)


def _parts(
    data: FormData | Content | None, files: Mapping[str, FileValue] | Sequence[tuple[str, FileValue]]
) -> Iterable[tuple[str, str | bytes | FormFile]]:
    if data is not None and not _is_form(data):
        raise ValueError("beside files=, data= is a mapping or a list of pairs")
    plain = [] if data is None else [(name, text) for name, value in _pairs(data) for text in _texts(value)]  # type: ignore[arg-type]
    return [*plain, *((name, _form_file(value)) for name, value in _pairs(files))]  # type: ignore[arg-type]


def _form_file(value: FileValue) -> FormFile:
    if isinstance(value, FormFile):
        return value
    name: str | None = None
    kind: str | None = None
    content: Any = value
    if isinstance(value, tuple):
        name, content, *rest = value
        kind = rest[0] if rest else None
    elif not isinstance(value, bytes | str):
        given = getattr(value, "name", None)
        name = os.path.basename(given) if isinstance(given, str) else None
    if kind is None:
        kind = _guess_type(name)
    return FormFile(content.encode() if isinstance(content, str) else content, name or "upload", kind)


def _guess_type(name: str | None) -> str:
    import mimetypes

    return (mimetypes.guess_type(name)[0] if name else None) or "application/octet-stream"


class _Form(Source):
    """A multipart body. It can be sent again if its files can be rewound."""

    def __init__(self, form: Multipart) -> None:
        self._form = form
        self.length = form.length
        self._rewind: list[Callable[[], object]] = []
        files: list[Any] = [file.content for _, file in form._parts if not isinstance(file.content, bytes)]
        self.replayable = all(hasattr(file, "seek") for file in files)
        if self.replayable:
            self._rewind = [partial(file.seek, file.tell()) for file in files]

    async def pieces(self) -> Any:
        for rewind in self._rewind:
            rewind()
        for piece in self._form:
            yield piece
