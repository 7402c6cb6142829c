"""Answers over HTTP/1.1 to a GET, as a server sends them that then closes; some to HEAD."""

from __future__ import annotations

from tests.http.strictness.case import Case, family

__all__ = ["ANSWERS"]

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_STATUS = "any status of three digits is of its class (RFC 9110 section 15)"

ANSWERS = family(
    "Status line", b"@\r\nContent-Length: 5\r\n\r\nhello",
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", (b"HTTP/1.1 200", "the blank before an empty reason is left out by some servers"),
     b"HTTP/1.0 200 OK", (b"HTTP/1.1 299 X", _STATUS), (b"HTTP/1.1 600 X", _STATUS),
     (b"HTTP/1.1 999 X", _STATUS), (b"HTTP/1.1 200 \xe9", "obs-text in a reason"), (b"HTTP/1.1 200 a\tb", "HTAB in a reason"),
     b"HTTP/1.1 099 X", b"HTTP/1.1 20 X", b"HTTP/1.1 2000 X", b"HTTP/1.1 2x0 X", b"HTTP/1.1 +200 X", b"HTTP/1.1 -200 X",
     b"HTTP/1.1 0200 X", b"HTTP/1.1 \xef\xbc\x92\xef\xbc\x90\xef\xbc\x90 X", b"HTTP/1.1 200.0 X", b"HTTP/1.1  200 OK",
     b"HTTP/1.1\t200 OK", b"HTTP/1.1 200\tOK", b"HTTP/1.1 OK", b"HTTP/1.1", b"HTTP/1.1 ", b" HTTP/1.1 200 OK", b"\r\nHTTP/1.1 200 OK",
     b"HTTP/1.2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/2 200", b"HTTP/0.9 200 OK", b"http/1.1 200 OK", b"ICY 200 OK", b"HTTP/1.1x 200 OK",
     b"HTTP/01.1 200 OK", b"200 OK", b"", b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 O\x0bK", b"HTTP/1.1 200 OK\r", b"HTTP/1.1 200 O\rK",
     b"HTTP/1.1 200 OK\n"],
)  # fmt: skip
ANSWERS += family(
    "Content-Length of an answer", _OK + b"Content-Length:@\r\n\r\nhello",
    [b"5", b" 5", (b" 05", "leading zeros"), b" +5", b" -5", b" 0x5", b" 5,5", b" 5, 5", b" 5 5", b" 5;", b" 5_", b"", b" five",
     b" \xef\xbc\x95", b" \xb2", b" 5\x00", b" 5\x0b", (b" 4", "the body is complete; what follows ends the connection"), b" 6", b" 18446744073709551621", b" 5\r\nContent-Length: 5",
     b" 5\r\nContent-Length: 4", b" 5\r\nContent-Length : 4", b" 5\r\n Content-Length: 4", b"\r\n 5"],
)  # fmt: skip
ANSWERS += family(
    "Transfer-Encoding of an answer", _OK + b"@\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    [b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip",
     b"Transfer-Encoding: gzip", b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, chunked",
     b"Transfer-Encoding: chunked;x", b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\r\n chunked",
     b"Transfer-Encoding: chunked\r\nContent-Length: 5", b"Content-Length: 15\r\nTransfer-Encoding: chunked",
     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding:", b"X: y\r\n Transfer-Encoding: chunked"],
)  # fmt: skip
ANSWERS += family(
    "Chunks of an answer", _CHUNKED + b"@",
    [b"5\r\nhello\r\n0\r\n\r\n", (b"05\r\nhello\r\n0\r\n\r\n", "leading zeros"), (b"5;a=b\r\nhello\r\n0\r\n\r\n", "chunk-ext"),
     (b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", "trailers"), b"+5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n",
     b" 5\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n",
     b"5\r\nhell\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\nX\r\n\r\n", b"5\r\nhello\r\n0\n\n",
     b"fffffffffffffffff\r\nhello", b"5;\x00\r\nhello\r\n0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
     b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", b"", b"x"],
)  # fmt: skip
ANSWERS += family(
    "Fields of an answer", _OK + b"Content-Length: 5\r\n@\r\n\r\nhello",
    [b"X: y", b"X:", (b"X: \xe9", "obs-text"), b"X : y", b"X\t: y", b" X: y", b"X: y\r\n z", b"X", b": y", b"X y: z", b"X(: y", b"X: \x00",
     b"X: \x0b", b"X: \x1b[31m", b"X: y\rZ: a", b"X: y\nZ: a", b"X\x00: y", b"\xc3\xa9: y", b"X: y\n", b"Connection: close"],
)  # fmt: skip
ANSWERS += [
    Case("Answer without a body", "204 with a length", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "what a 204 declares is ignored"),
    Case("Answer without a body", "204", b"HTTP/1.1 204 No Content\r\n\r\n"),
    Case("Answer without a body", "304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
    Case("Answer without a body", "304 with chunks declared", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
         "what a 304 declares is ignored"),
    Case("Answer until the end", "HTTP/1.1", _OK + b"\r\nhello"),
    Case("Answer until the end", "HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nhello"),
    Case("Answer until the end", "of nothing", _OK + b"\r\n"),
    Case("Answer until the end", "HTTP/0.9", b"hello"),
    Case("Answer cut off", "inside the head", b"HTTP/1.1 200 OK\r\nContent-Le"),
    Case("Answer cut off", "nothing at all", b""),
    Case("Answer in several", "100, then 200", b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Content-Length: 5\r\n\r\nhello"),
    Case("Answer in several", "103, then 200", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _OK + b"Content-Length: 5\r\n\r\nhello",
         "1xx responses may come before any final one (RFC 9110 section 15.2)"),
    Case("Answer in several", "100 with a length, then 200",
         b"HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n" + _OK + b"Content-Length: 5\r\n\r\nhello",
         "a 1xx has no body whatever it declares"),
    Case("Answer in several", "100 alone", b"HTTP/1.1 100 Continue\r\n\r\n"),
    Case("Answer in several", "101 that nobody asked for",
         b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + _OK + b"Content-Length: 5\r\n\r\nhello"),
    Case("Answer in several", "two answers to one request", (_OK + b"Content-Length: 5\r\n\r\nhello") * 2,
         "the first answer is the answer; what follows ends the connection"),
    Case("Answer with bare LF", "all lines", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    Case("Answer with bare LF", "the last line", _OK + b"Content-Length: 5\r\n\nhello"),
    Case("Answer with a large head", "70 KB", _OK + b"X: " + b"y" * 70_000 + b"\r\nContent-Length: 5\r\n\r\nhello"),
]  # fmt: skip
