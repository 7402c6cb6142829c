"""Requests over HTTP/2 that are, or hide, something else when they are written as HTTP/1.1.

`data` of these cases is a Python literal: fields, trailers, and how many bytes of body there are, None without one.
"""

from __future__ import annotations

import ast

from tests.http.strictness.case import Case

__all__ = ["DOWNGRADES", "read"]

_START = ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "h"))


def _case(group: str, name: str, *fields: tuple[str, str], body: int | None = None, trailers: tuple[tuple[str, str], ...] = (),
          why: str = "") -> Case:  # fmt: skip
    return Case(group, name, ascii((fields, trailers, body)).encode(), why)


def _with(group: str, *more: tuple[str, str], body: int | None = None, why: str = "") -> Case:
    shown = ", ".join(f"{name}: {value}" for name, value in more).encode("unicode_escape").decode()
    return _case(group, f"`{shown}`", *_START, *more, body=body, why=why)


def _changed(group: str, why: str = "", **changes: str | None) -> Case:
    fields = {**{name[1:]: value for name, value in _START}, **changes}
    shown = ", ".join(f":{name}: {value}" if value is not None else f"no :{name}" for name, value in changes.items())
    shown = shown.encode("unicode_escape").decode()
    return _case(
        group, f"`{shown}`", *((f":{name}", value) for name, value in fields.items() if value is not None), why=why
    )


_HIDDEN = "x\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
_PATH = "other characters are not admitted by RFC 3986; none of them ends a target in HTTP/1.1"

DOWNGRADES = [
    _case("HTTP/2", "a request", *_START),
    _case("HTTP/2", "a request with a body", *_START, body=5),
    _case("HTTP/2", "a request with trailers", *_START, body=5, trailers=(("x", "y"),), why="RFC 9113 section 8.1"),
    *(
        _changed("HTTP/2 :path", path=path)
        for path in (f"/{_HIDDEN}", "/ HTTP/1.1\r\nX: y", "/ x", "/\t", "/\x00", "/\x7f", "/\n", "/\r", "", "x", "*", "http://h/", None)
    ),
    *(_changed("HTTP/2 :path", path=path, why=_PATH) for path in ("/|", "/\"", "/\\", "/<x>", "/{x}", "/\xe9")),
    _changed("HTTP/2 :path", path="/#f"),
    *(
        _changed("HTTP/2 :method", method=method)
        for method in ("GET / HTTP/1.1\r\nX: y\r\n\r\n", "GET /", "G ET", "", "GET\x00", "GET\r\n", " GET", "G(T", None)
    ),
    *(_changed("HTTP/2 :method", method=method, why="any token is a method") for method in ("get", "FOO", "QUERY")),
    *(
        _changed("HTTP/2 :authority", authority=authority)
        for authority in (f"h{_HIDDEN}", "h h", "u@h", "h/x", "h#x", "h?x", "h\x00", "h\r", "h\n", "h\xe9", "h\\x", "h:x", "", None)
    ),
    *(
        _changed("HTTP/2 :authority", authority=authority, why="a host after RFC 3986 section 3.2.2")
        for authority in ("h:80", "h:99999", "h,h", "h_h", "h_h:000080", "h:100000", "[::1]:80", "[v1.foo]", "[v1.foo]:80", "h:")
    ),
    *(
        _changed("HTTP/2 :authority", authority=authority)
        for authority in ("[v1.]", "[v1.a%41]", "[x]", "[::1", "h%", ":80", "h:80:80", "[::1]x")
    ),
    *(_changed("HTTP/2 :scheme", scheme=scheme) for scheme in ("http://x/?", "h ttp", "http\r\nX: y", "http\x00", "", None)),
    *(_changed("HTTP/2 :scheme", scheme=scheme, why="any scheme of RFC 3986; what it means is decided above")
      for scheme in ("https", "ftp")),
    *(
        _with("HTTP/2 field name", (name, "y"))
        for name in ("X", "x y", "x:", "x:y", "x\r\ny", "x\n", "x\r", "x\x00", "", " x", "x ", "x\x7f", "x\xe9", "x(", "x\t")
    ),
    _with("HTTP/2 field name", ("x_y", "y"), why="a token"),
    *(
        _with("HTTP/2 field value", ("x", value))
        for value in (f"y{_HIDDEN}", "y\r\nz: a", "y\n", "y\r", "y\rz", "y\nz", "y\x00", "\x00", " y", "y ", "\ty", "y\t", "y\x01", "y\x0b", "y\x7f")
    ),
    *(_with("HTTP/2 field value", ("x", value), why="RFC 9110 section 5.5") for value in ("", "y z", "y\tz", "y\xe9")),
    *(
        _with("HTTP/2 connection field", (name, value))
        for name, value in (
            ("connection", "close"), ("connection", "x"), ("keep-alive", "1"), ("proxy-connection", "close"), ("upgrade", "websocket"),
            ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("transfer-encoding", ""), ("te", "chunked"),
            ("te", "trailers, chunked"),
        )
    ),
    _with("HTTP/2 connection field", ("te", "trailers")),
    *(
        _with("HTTP/2 content-length", ("content-length", value), body=5)
        for value in ("5", "4", "6", "0", "+5", "-5", "0x5", "5, 5", "5 5", "", "five", "5_", "\xb2", "18446744073709551621")
    ),
    _with("HTTP/2 content-length", ("content-length", "05"), body=5, why="leading zeros"),
    _with("HTTP/2 content-length", ("content-length", "5"), ("content-length", "5"), body=5),
    _with("HTTP/2 content-length", ("content-length", "5"), ("content-length", "6"), body=5),
    _case("HTTP/2 content-length", "5 without a body", *_START, ("content-length", "5")),
    _case("HTTP/2 content-length", "0 without a body", *_START, ("content-length", "0")),
    _with("HTTP/2 host", ("host", "h"), why="the same as :authority (RFC 9113 section 8.3.1)"),
    _with("HTTP/2 host", ("host", "H"), why="hosts have no case"),
    *(_with("HTTP/2 host", *hosts) for hosts in (
        [("host", "other")], [("host", "h"), ("host", "h")], [("host", "h"), ("host", "other")], [("host", "")], [("host", "h\r\nX: y")],
    )),
    _case("HTTP/2 host", "host and no :authority", *_START[:3], ("host", "h")),
    _case("HTTP/2 host", "two hosts and no :authority", *_START[:3], ("host", "h"), ("host", "h")),
    _case("HTTP/2 pseudo-header fields", ":method twice", *_START, (":method", "POST")),
    _case("HTTP/2 pseudo-header fields", ":path twice", *_START, (":path", "/x")),
    _case("HTTP/2 pseudo-header fields", ":path after a field", *_START[:2], _START[3], ("x", "y"), _START[2]),
    _case("HTTP/2 pseudo-header fields", "unknown", *_START, (":x", "y")),
    _case("HTTP/2 pseudo-header fields", ":status", *_START, (":status", "200")),
    _case("HTTP/2 pseudo-header fields", ":protocol with GET", *_START, (":protocol", "websocket")),
    _case("HTTP/2 pseudo-header fields", "in trailers", *_START, body=5, trailers=((":path", "/x"),)),
    _case("HTTP/2 trailers", "with CR LF", *_START, body=5, trailers=(("x", "y\r\nz: a"),)),
    _case("HTTP/2 trailers", "with upper case", *_START, body=5, trailers=(("X", "y"),)),
    _case("HTTP/2 trailers", "transfer-encoding", *_START, body=5, trailers=(("transfer-encoding", "chunked"),)),
    _case("HTTP/2 trailers", "content-length", *_START, body=5, trailers=(("content-length", "0"),)),
    _case("HTTP/2 trailers", "host", *_START, body=5, trailers=(("host", "x"),)),
    _case("HTTP/2 CONNECT", "with :path", (":method", "CONNECT"), (":scheme", "http"), (":path", "/"), (":authority", "h:443")),
    _case("HTTP/2 CONNECT", "without :authority", (":method", "CONNECT")),
    *(_case("HTTP/2 CONNECT", f"`{authority}`", (":method", "CONNECT"), (":authority", authority))
      for authority in ("h", "h:", "h:0", "h:x", "h:100000")),
]  # fmt: skip

Fields = list[tuple[bytes, bytes]]


def read(data: bytes) -> tuple[Fields, Fields, int | None]:
    """Return fields, trailers and the size of the body, None without one."""
    fields, trailers, body = ast.literal_eval(data.decode())
    first, last = (
        [(name.encode("latin-1"), value.encode("latin-1")) for name, value in part] for part in (fields, trailers)
    )
    return first, last, body
