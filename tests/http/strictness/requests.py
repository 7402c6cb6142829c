"""Requests over HTTP/1.1. Each is followed by a well-formed one on the same connection when it is played."""

from __future__ import annotations

from tests.http.strictness.case import Case, distinct, family

__all__ = ["REQUESTS"]

_POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
_GET = b"GET / HTTP/1.1\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"

_LEADING_ZERO = "1*DIGIT has leading zeros; every reader takes them for the same number"
_BLANKS = "blanks around a value are not part of it (RFC 9112 section 5)"

LENGTHS = family(
    "Content-Length", _POST + b"Content-Length:@\r\n\r\nhello",
    [b"5", b" 5", b"  5", (b" 5 ", _BLANKS), (b"\t5", _BLANKS), (b" 5\t", _BLANKS),
     (b" 05", _LEADING_ZERO), (b" 000000005", _LEADING_ZERO), b" 00000000000000000000005",
     b"", b" ", b" +5", b" -5", b" - 5", b" 5-", b" 0x5", b" 0b101", b" 0o5", b" 5.0", b" 5e0", b" 5_", b" 0_5",
     b" 5,5", b" 5, 5", b" 5,", b" ,5", b" 5;5", b" 5 5", b" 5, 6", b" \"5\"", b" five", b" 5h", b" h5", b" NaN", b" inf",
     b" \xd9\xa5", b" \xef\xbc\x95", b" \xe0\xa5\xab", b" \xb2", b" \xa05", b" 5\xa0", b" 5\x00", b" \x005", b" 5\x0b",
     b" \x0b5", b" \x0c5", b" 5\x85", b" 5\x1f", b" 5\x7f", b" -0", b" +0", b" 2147483653", b" 4294967301",
     b" 9223372036854775813", b" 18446744073709551621", b" 340282366920938463463374607431768211461", b" " + b"9" * 400],
)  # fmt: skip
LENGTHS += family(
    "Content-Length twice", _POST + b"@\r\n\r\nhello",
    [b"Content-Length: 5\r\nContent-Length: 5", b"Content-Length: 5\r\nContent-Length: 0",
     b"Content-Length: 0\r\nContent-Length: 5", b"Content-Length: 5\r\ncontent-length: 5",
     b"Content-Length: 5\r\nX: y\r\nContent-Length: 6", b"Content-Length: 5\r\nContent-Length:",
     b"Content-Length: 5\r\nContent-Length: x", b"Content-Length: 5\r\nContent-Length: +5"],
)  # fmt: skip
LENGTHS += family(
    "Content-Length by another name", _POST + b"@: 5\r\n\r\nhello",
    [b"content-length", b"CONTENT-LENGTH", b"Content-Length ", b"Content-Length\t", b" Content-Length", b"\tContent-Length",
     b"Content-Length\x00", b"Content-Length\x0b", b"Content\xadLength", b"X: y\r\n Content-Length"],
)  # fmt: skip
LENGTHS += family(
    "Content-Length and method", b"@ / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    [(b"GET", "RFC 9110 section 9.3.1: content of a GET has no meaning and a length"), b"DELETE", b"OPTIONS", b"PUT", b"PATCH",
     (b"QUERY", "any token is a method"), (b"PROPFIND", "any token is a method"), (b"FOO", "any token is a method")],
)  # fmt: skip

_LAST = b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
CODINGS = family(
    "Transfer-Encoding", _POST + b"Transfer-Encoding:@" + _LAST,
    [b" chunked", b"chunked", (b" Chunked", "names of codings have no case"), (b" CHUNKED", "names of codings have no case"),
     (b"\tchunked", _BLANKS), (b" chunked ", _BLANKS), (b" chunked\t", _BLANKS),
     b" \x0bchunked", b" \x0cchunked", b" chunked\x0b", b" chunked\x00", b" \x00chunked", b" \xa0chunked", b" chunked\x85",
     b" xchunked", b" chunkedx", b" x-chunked", b" chunk", b" identity", b" identity, chunked", b" chunked, identity",
     b" gzip, chunked", b" chunked, gzip", b" gzip", b" deflate, chunked", b" x, chunked", b" chunked, chunked",
     b" , chunked", b" chunked,", b" chunked, ,", b" chunked;q=1", b" chunked; a", b" \"chunked\"", b" 'chunked'",
     b" chunked chunked", b" chun ked", b"", b" ", b" chun\xe2\x84\xaaed", b" \xef\xbd\x83hunked", b" chunked\r\n ",
     b"\r\n chunked", b"\r\n\tchunked", b" x\r\n chunked", b" chunked\n", b" chunked\r", b"\n chunked"],
)  # fmt: skip
CODINGS += family(
    "Transfer-Encoding by another name", _POST + b"@: chunked" + _LAST,
    [b"transfer-encoding", b"TRANSFER-ENCODING", b"Transfer-Encoding ", b"Transfer-Encoding\t", b" Transfer-Encoding",
     b"Transfer-Encoding\x00", b"Transfer\xadEncoding", b"Transfer-Encoding\r\n", b"X: y\rTransfer-Encoding",
     b"X: y\nTransfer-Encoding", b"X: y\r\n\tTransfer-Encoding"],
)  # fmt: skip
CODINGS += family(
    "Transfer-Encoding and length", _POST + b"@" + _LAST,
    [b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
     b"Transfer-Encoding: chunked\r\nContent-Length: 0", b"Transfer-Encoding: chunked\r\nContent-Length: 15",
     b"Content-Length: 15\r\nTransfer-Encoding: identity", b"Content-Length: 15\r\nTransfer-Encoding: xchunked",
     b"Content-Length: 15\r\nTransfer-Encoding : chunked", b"Content-Length: 15\r\nTransfer-Encoding:",
     b"Content-Length: 15\r\nX: y\r\n Transfer-Encoding: chunked", b"Content-Length: 15\r\nConnection: Transfer-Encoding",
     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
     b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"Transfer-Encoding: chunked\r\nConnection: Content-Length"],
)  # fmt: skip
CODINGS += [
    Case("Transfer-Encoding and version", "HTTP/1.0", b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked" + _LAST),
    Case("Transfer-Encoding and version", "HTTP/1.0 with keep-alive",
         b"POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked" + _LAST),
    Case("Transfer-Encoding and method", "GET", _GET + b"Host: h\r\nTransfer-Encoding: chunked" + _LAST,
         "RFC 9110 section 9.3.1: content of a GET has no meaning and a framing"),
    Case("Transfer-Encoding and method", "GET, no chunks",
         _GET + b"Host: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "as above"),
]  # fmt: skip

_EXTENSION = "chunk-ext after its grammar (RFC 9112 section 7.1.1), ignored, within a limit"
SIZES = family(
    "Chunk size", _CHUNKED + b"@\r\nhello\r\n0\r\n\r\n",
    [b"5", (b"05", _LEADING_ZERO), (b"0000000005", _LEADING_ZERO), b"0000000000000005", b"00000000000000000005",
     b"+5", b"-5", b"0x5", b"0X5", b"x5", b"5x", b"5_", b"0_5", b"5.0", b"5 ", b" 5", b"\t5", b"5\t", b"5,", b"5 5", b"", b" ",
     b"5h", b"five", b"\"5\"", b"\xef\xbc\x95", b"\xb5", b"5\x00", b"\x005", b"5\x0b", b"5\xa0", b"5\r", b"\r5",
     b"10000000000000005", b"100000005", b"fffffffffffffffb", b"7fffffffffffffff", b"8000000000000005", b"f" * 40],
)  # fmt: skip
SIZES += family(
    "Chunk extension", _CHUNKED + b"5@\r\nhello\r\n0\r\n\r\n",
    [b";", b";a", b";a=b", b";a=\"b c\"", b";a=b;c=d", b" ;a=b", b"; a=b", b"\t;a", b";a =b", b";\xe9", b";=", b";a=\"", b";;",
     b";" + b"x" * 200],
    _EXTENSION,
)  # fmt: skip
SIZES += family(
    "Chunk extension", _CHUNKED + b"5@\r\nhello\r\n0\r\n\r\n",
    [b";\x00", b";\x01", b";\x7f", b";a\nb", b";a\rb", b";\n", b";\r", b"\n", b";a=\"\r\n\"", b" a", b"a b", b";" + b"x" * 5000],
)  # fmt: skip
SIZES += family(
    "After the data of a chunk", _CHUNKED + b"5\r\nhello@0\r\n\r\n",
    [b"\r\n", b"\n", b"\r", b"", b"X\r\n", b"\r\nX", b"XX", b"\rX", b"X\n", b"\n\r\n", b"\r\n\r\n", b" \r\n", b"\r\n ", b"\x00\r\n"],
)  # fmt: skip
SIZES += family(
    "Last chunk", _CHUNKED + b"5\r\nhello\r\n@",
    [b"0\r\n\r\n", (b"00\r\n\r\n", _LEADING_ZERO), (b"0000000000\r\n\r\n", _LEADING_ZERO), b"0;a=b\r\n\r\n", b"0 \r\n\r\n",
     b" 0\r\n\r\n", b"-0\r\n\r\n", b"+0\r\n\r\n", b"0x0\r\n\r\n", b"0\n\n", b"0\r\n\n", b"0\n\r\n", b"0\r\r\n\r\n", b"0\r\nX",
     b"0\r\n\rX", b"\r\n0\r\n\r\n", b"0,\r\n\r\n", b"\x00\r\n\r\n"],
    _EXTENSION,
)  # fmt: skip
SIZES += family(
    "Trailer", _CHUNKED + b"5\r\nhello\r\n0\r\n@\r\n\r\n",
    [(b"X: y", "RFC 9110 section 6.5"), (b"X: y\r\nZ: a", "RFC 9110 section 6.5"), (b"X:", "RFC 9110 section 6.5"), b"X", b": y",
     b"X : y", b" X: y", b"X: y\r\n z", b"X: y\nZ: a", b"X: \x00", b"X: \x0b", b"X: y\r", b"X y: z", b"X\x00: z",
     b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: x", b"X: " + b"y" * 70_000],
)  # fmt: skip

_ANY_METHOD = "any token is a method (RFC 9110 section 9.1)"
_RAW = (
    "other characters are not admitted by RFC 3986 and sent by browsers or curl; who forwards them sends the same bytes"
)
LINES = family(
    "Method", b"@ / HTTP/1.1\r\nHost: h\r\n\r\n",
    [b"GET", b"HEAD", b"OPTIONS", b"DELETE", (b"get", _ANY_METHOD), (b"FOO", _ANY_METHOD), (b"M-SEARCH", _ANY_METHOD),
     (b"QUERY", _ANY_METHOD), (b"G", _ANY_METHOD), (b"GET'", _ANY_METHOD), (b"GET!", _ANY_METHOD), (b"5", _ANY_METHOD),
     (b"A" * 300, _ANY_METHOD), b"", b" GET", b"\tGET", b"GET ", b"GET\t", b"\x00GET", b"GET\x00", b"G ET", b"GET(", b"GET\"",
     b"GET:", b"GET/", b"G\xc3\x89T", b"GET\x0b", (b"PRI", _ANY_METHOD), b"\xef\xbb\xbfGET"],
)  # fmt: skip
LINES += family(
    "Target", b"GET @ HTTP/1.1\r\nHost: h\r\n\r\n",
    [b"/", b"/a?b=c", b"/%41", (b"/%zz", _RAW), (b"/%00", "an encoded octet; files and applications decide"),
     (b"/..", "segments are the application's"), (b"/../../etc/passwd", "segments are the application's"),
     (b"/%2e%2e/x", "segments are the application's"), (b"//x/y", "an absolute path with an empty segment"),
     (b"/\\x", _RAW), (b"/a|b", _RAW), (b"/a\"b", _RAW), (b"/<x>", _RAW), (b"/{x}", _RAW), (b"/\xc3\xa9", _RAW), (b"/\xff", _RAW),
     (b"/" + b"a" * 7000, "within the limit of a head"), b"/a b", b"/a\tb", b"/\x00", b"/\x01", b"/\x1f", b"/\x7f", b"/a\rb",
     b"/a\nb", b"/a\x0bb", b"/#f", b"/a#", b"*", b"x", b"a/b", b"?x", b"", b".", b"h:80", b"/ /", b"/" + b"a" * 70_000],
)  # fmt: skip
_ABSOLUTE = "absolute-form, which every server must accept (RFC 9112 section 3.2.2)"
LINES += family(
    "Absolute form", b"GET @ HTTP/1.1\r\nHost: h\r\n\r\n",
    [b"http://h/", b"http://h/a?b", b"http://h", b"http://h?x", b"HTTP://h/", b"https://h/", b"http://h:80/", b"http://other/",
     b"http://[::1]/", b"http://h.example/"],
    _ABSOLUTE,
)  # fmt: skip
LINES += family(
    "Absolute form, malformed", b"GET @ HTTP/1.1\r\nHost: h\r\n\r\n",
    [b"ftp://h/", b"http:/h/", b"http:h", b"http://", b"http:///x", b"http://user@h/", b"http://u:p@h/", b"http://h#f",
     b"http://h/#f", b"http://h h/", b"http://h\\x/", b"://h/", b"http://h<x>/", b"javascript:x", b"file:///etc/passwd"],
    "",
)  # fmt: skip
LINES += family(
    "Version", b"GET / @\r\nHost: h\r\n\r\n",
    [b"HTTP/1.1", (b"HTTP/1.0", "HTTP/1.0 is served; without keep-alive what follows is not read"), b"HTTP/1.2", b"HTTP/1.9", b"HTTP/1.10", b"HTTP/1.01", b"HTTP/01.1", b"HTTP/2.0", b"HTTP/2",
     b"HTTP/3.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1,1", b"HTTP/1.1x", b"HTTP/1.1 ", b"HTTP/1.1 x",
     b" HTTP/1.1", b"\tHTTP/1.1", b"http/1.1", b"Http/1.1", b"HTP/1.1", b"HTTPS/1.1", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/+1.1",
     b"HTTP/-1.1", b"HTTP/1.\xb9", b"HTTP/\xef\xbc\x91.1", b"HTTP/1.1\x00", b"HTTP/1.1\x0b", b"HTTP/1.1\r", b"ICY", b"RTSP/1.0"],
)  # fmt: skip
LINES += [
    Case("Request line", "HTTP/0.9", b"GET /\r\n\r\n"),
    Case("Request line", "HTTP/0.9 with fields", b"GET /\r\nHost: h\r\n\r\n"),
    Case("Request line", "tabs between", b"GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n"),
    Case(
        "Request line", "an empty line before", b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "RFC 9112 section 2.2: SHOULD"
    ),
    Case("Request line", "two empty lines before", b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    Case("Request line", "an LF before", b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    Case("Request line", "a CR before", b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    Case("Request line", "a blank before the first field", b"GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
    Case("Request line", "a fold after it", b"GET / HTTP/1.1\r\n \r\nHost: h\r\n\r\n"),
    Case("Request line", "PRI of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    Case(
        "Request line", "OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "asterisk-form (RFC 9112 section 3.2.4)"
    ),
    Case("Request line", "OPTIONS *x", b"OPTIONS *x HTTP/1.1\r\nHost: h\r\n\r\n"),
    Case("Request line", "twice", b"GET / HTTP/1.1\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
]

ENDS = family(
    "End of line", b"@",
    [b"GET / HTTP/1.1\nHost: h\n\n", b"GET / HTTP/1.1\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\n\r\n",
     b"GET / HTTP/1.1\r\nHost: h\r\n\n", b"GET / HTTP/1.1\r\nHost: h\n\n", b"GET / HTTP/1.1\rHost: h\r\r",
     b"GET / HTTP/1.1\r\nHost: h\r\r", b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", b"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: h\r\n\r\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nX: y\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nX: y\rZ: a\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: h\r\nX: y\nZ: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nX: y\n\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\rGET /x HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\n\nHost: h\r\n\r\n",
     b"GET / HTTP/1.1\r\nHost: h\x0b\x0cX: y\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\xe2\x80\xa8X: y\r\n\r\n",
     b"GET / HTTP/1.1\x85\r\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\x00\r\n\r\n"],
)  # fmt: skip

_TOKEN = "a token (RFC 9110 section 5.6.2)"
FIELDS = family(
    "Field name", _GET + b"Host: h\r\n@: y\r\n\r\n",
    [b"X", b"x", (b"X_Y", _TOKEN), (b"X!#$%&'*+-.^_`|~9", _TOKEN), (b"5", _TOKEN), (b"-", _TOKEN), (b"X" * 300, _TOKEN), b"", b" ",
     b"X ", b"X\t", b" X", b"\tX", b"X Y", b"X\x00", b"\x00X", b"X\x01", b"X\x0b", b"X\x1b", b"X\x7f", b"X\x80", b"\xc3\xa9", b"X(",
     b"X)", b"X/", b"X<", b"X>", b"X=", b"X?", b"X[", b"X]", b"X{", b"X}", b"X\"", b"X,", b"X;", b"X@Y".replace(b"@", b"\x40"), b"X\\",
     b"X\r", b"X\n", b"X\xa0", b"X" * 70_000],
)  # fmt: skip
_OBS_TEXT = "obs-text (RFC 9110 section 5.5)"
FIELDS += family(
    "Field value", _GET + b"Host: h\r\nX:@\r\n\r\n",
    [b"y", b" y", (b"", "a value may be empty"), (b" ", "a value may be empty"), (b"\ty\t", _BLANKS), (b" y z ", _BLANKS),
     (b" y\tz", _BLANKS), b" :", b" \"", b" (", (b" \x80", _OBS_TEXT), (b" \xff", _OBS_TEXT), (b" \xc3\xa9", _OBS_TEXT),
     (b" \x85", _OBS_TEXT), (b" \xa0", _OBS_TEXT), b" \x00", b" y\x00z", b" \x01", b" \x07", b" \x08", b" \x0b", b" \x0c", b" \x0e",
     b" \x1b[31m", b" \x1f", b" \x7f", b" y\r", b" y\rz", b" \r", b" y\n", b" y\nz", b" " + b"y" * 70_000,
     (b" " + b"y" * 7000, "within the limit of a head")],
)  # fmt: skip
FIELDS += family(
    "Folded", _GET + b"@\r\n\r\n",
    [b"Host: h\r\nX: y\r\n z", b"Host: h\r\nX: y\r\n\tz", b"Host: h\r\nX: y\r\n z\r\n a", b"Host: h\r\nX:\r\n y", b"Host: h\r\nX: y\r\n ",
     b"Host:\r\n h", b"Host: h\r\n x", b"Host: h\r\nX: y\r\n \r\n z", b"X: y\r\n Host: h\r\nHost: h", b"Host: h\r\n : y",
     b"Host: h\r\nX: y\n z"],
)  # fmt: skip
FIELDS += family(
    "Field line", _GET + b"Host: h\r\n@\r\n\r\n",
    [b"X", b"X y", b":", b": y", b"X;y", b"GET / HTTP/1.1", b"\x00", b"\xff", b"X: y\r\n\x00: z", b"=: =", b"X: y" + b"\r\nX: y" * 90],
    "no limit but that of the head's size",
)  # fmt: skip

HOSTS = family(
    "Host", _GET + b"Host:@\r\n\r\n",
    [b"h", b" h", b" H.Example", b" h:80", b" h.example:8080", b" [::1]", b" [::1]:80", b" 127.0.0.1", b" h_h", b" h.", b"\th",
     b" h ", b" xn--nxasmq6b", b"", b" "],
    "reg-name or address, or empty, where the target has no authority (RFC 9112 section 3.2)",
)  # fmt: skip
_HOST_CHECK = "a host after RFC 3986 section 3.2.2; what it says is a matter of whoever looks it up"
_PORT = "any number of digits (RFC 3986 section 3.2.3)"
_FUTURE = "IPvFuture (RFC 3986 section 3.2.2): nobody connects to it, but it may be a name that somebody listens to"
_ZONE = "a zone (RFC 6874)"
HOSTS += family(
    "Host", _GET + b"Host:@\r\n\r\n",
    [(b" h:", _HOST_CHECK), b" h:x", (b" h:99999", _HOST_CHECK), b" :80", b" [::1", b" ::1", b" h%", b" h%4", (b" .h", _HOST_CHECK), (b" h..h", _HOST_CHECK), (b" -h", _HOST_CHECK), (b" h%41", _HOST_CHECK),
     (b" h%00", _HOST_CHECK), (b" h,h", _HOST_CHECK), b" h_h:80", (b" h_h:000080", _PORT), (b" h:0", _HOST_CHECK), (b" h:00000000000", _PORT),
     (b" h:" + b"0" * 300 + b"80", _PORT), (b" h:100000", _PORT), (b" h:0100000", _PORT), (b" h:18446744073709551696", _PORT), b" h:-80", b" h:+80", b" h:8_0", b" h:80:80", b" h:80 ",
     (b" [v1.foo]", _FUTURE), (b" [v1.foo]:80", _FUTURE), (b" [vF.a:b]", _FUTURE), (b" [V1.~!$&'()*+,;=:]", _FUTURE), b" [v1]", b" [v1.]", b" [vg.a]", b" [v.a]",
     b" [v1.a%41]", b" [v1.a b]", b" [v1.a]x", b" [v1.[a]]", b" [x]", b" []", b" []:80", (b" [::1]:", _HOST_CHECK), (b" [::1]:00080", _PORT), (b" [fe80::1%25eth0]", _ZONE),
     (b" [::ffff:127.0.0.1]", _HOST_CHECK), b" [::1]x", b" [::1]@h", b" [::1][::2]", b" x[::1]", (b" ~h", _HOST_CHECK), (b" h!$&'()*+,;=h", _HOST_CHECK), (b" h;h", _HOST_CHECK), (b" h'h", _HOST_CHECK),
     b" h, h", b" h h", b" h\tx", b" user@h", b" h/x", b" h?x", b" h#x", b" h\\x", b" http://h", b" h\"", b" <h>", b" h|x", b" {h}",
     b" h^", b" h`", b" h\x00", b" h\x7f", b" h\x0b", b" \xc3\xa9", b" h\xff", b" h\r", b" h\rx", b" h\nx", (b" *", _HOST_CHECK)],
)  # fmt: skip
HOSTS += family(
    "Hosts", b"GET @\r\n\r\n",
    [b"/ HTTP/1.1", b"/ HTTP/1.1\r\nX: y", b"/ HTTP/1.1\r\nHost: h\r\nHost: h", b"/ HTTP/1.1\r\nHost: h\r\nHost: other",
     b"/ HTTP/1.1\r\nHost: h\r\nhost: h", b"/ HTTP/1.1\r\nHost: h\r\nX: y\r\nHost:", b"/ HTTP/1.1\r\nHost : h", b"/ HTTP/1.1\r\n Host: h",
     b"/ HTTP/1.1\r\nX: y\r\n Host: h", b"/ HTTP/1.0\r\nHost: h\r\nHost: h", b"http://h/ HTTP/1.1\r\nHost: h\r\nHost: other",
     b"http://h/ HTTP/1.1\r\nHost: a b", b"http://h/ HTTP/1.1"],
)  # fmt: skip
HOSTS += family(
    "Hosts", b"GET @\r\n\r\n",
    [(b"/ HTTP/1.0", "HTTP/1.0 has no Host, and what follows is not read"), (b"http://h/ HTTP/1.0", "HTTP/1.0 has no Host, and what follows is not read"),
     (b"http://a/ HTTP/1.1\r\nHost: b", "Host is ignored beside absolute-form (RFC 9112 section 3.2.2)"),
     (b"http://a/ HTTP/1.1\r\nHost:", "Host is ignored beside absolute-form (RFC 9112 section 3.2.2)")],
)  # fmt: skip

_OPTIONS = "options that are not known are ignored (RFC 9110 section 7.6.1)"
_CLOSES = "the last request of its connection: what follows is not read (RFC 9112 section 9.6)"
CONNECTIONS = family(
    "Connection", _GET + b"Host: h\r\n@\r\n\r\n",
    [b"Connection: keep-alive", (b"Connection: close", _CLOSES), (b"Connection: Close", _CLOSES),
     (b"Connection: close, keep-alive", _CLOSES), (b"Connection: , close", _CLOSES), b"Connection:", b"Connection: x",
     (b"Connection: keep-alive\r\nConnection: close", _CLOSES), b"Connection: host", b"Keep-Alive: timeout=5",
     b"Proxy-Connection: keep-alive", b"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA",
     b"Connection: upgrade\r\nUpgrade: foo/1", b"Upgrade: websocket", b"Connection: upgrade", b"Connection: close;x",
     b"Connection: \"close\"", b"TE: trailers", b"TE: chunked", b"TE: gzip;q=0.5", b"Trailer: x", b"Expect: 100-continue",
     b"Max-Forwards: 0"],
    _OPTIONS,
)  # fmt: skip
CONNECTIONS += family(
    "Expect", _POST + b"Content-Length: 5\r\n@\r\n\r\nhello",
    [b"Expect: 100-continue", b"Expect: 100-Continue", b"Expect: 100", b"Expect: x", b"Expect:", b"Expect: 100-continue, x",
     b"Expect: 100-continue\r\nExpect: 100-continue", b"Expect: 100-continue; x"],
    "an expectation that is not known is ignored (RFC 9110 section 10.1.1: MAY)",
)  # fmt: skip
CONNECTIONS += family(
    "Upgrade with a body", b"POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: @\r\nContent-Length: 5\r\n\r\nhello",
    [b"websocket", b"h2c", b"foo"],
    "the body comes before the other protocol, which nobody has to change to (RFC 9110 section 7.8)",
)  # fmt: skip
CONNECTIONS += family(
    "CONNECT", b"CONNECT @ HTTP/1.1\r\nHost: h:443\r\n\r\n",
    [b"/", b"h", b"http://h:443/", b"u@h:443", b"h:443/x", b":443", b"h:x", b"h:", b"h:443#f", b"h h:443", b"h:0", b"h:65536", b"h:100000", b"h%:443", b"[v1.]:443"],
)  # fmt: skip
CONNECTIONS += family(
    "CONNECT with a body",
    b"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n@\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    [b"Content-Length: 15", b"Transfer-Encoding: chunked"],
)
CONNECTIONS += family(
    "HTTP/1.0", b"GET / HTTP/1.0\r\n@\r\n\r\n",
    [b"Host: h", b"Connection: keep-alive", b"Connection: keep-alive\r\nHost: h", b"Connection: close",
     b"Connection: upgrade\r\nUpgrade: websocket", b"Expect: 100-continue"],
    "HTTP/1.0 is served; without keep-alive what follows is not read",
)  # fmt: skip

BODIES = [
    Case(
        "Body",
        "that looks like a request",
        _POST + b"Content-Length: 33\r\n\r\nGET /x HTTP/1.1\r\nHost: hidden\r\n\r\n",
    ),
    Case(
        "Body",
        "shorter than what comes",
        _POST + b"Content-Length: 4\r\n\r\nhello",
        "what follows is `oGET`, another method",
    ),
    Case(
        "Body",
        "shorter by a line",
        _POST + b"Content-Length: 5\r\n\r\nhello\r\n",
        "an empty line before a request is ignored",
    ),
    Case("Body", "shorter by two lines", _POST + b"Content-Length: 5\r\n\r\nhello\r\n\r\n"),
    Case("Body", "without a length", _POST + b"\r\nhello", "what follows is `helloGET`, another method"),
    Case("Body", "of nothing", _POST + b"\r\n"),
    Case("Body", "of length 0", _POST + b"Content-Length: 0\r\n\r\n"),
    Case(
        "Body",
        "of a HEAD",
        b"HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "content has no meaning and a length",
    ),
    Case("Body", "of many chunks", _CHUNKED + b"1\r\nx\r\n" * 200 + b"0\r\n\r\n"),
    Case("Body", "chunks in hexadecimal", _CHUNKED + b"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"),
    Case(
        "Body",
        "chunked, and a request inside",
        _CHUNKED + b"21\r\nGET /x HTTP/1.1\r\nHost: hidden\r\n\r\n\r\n0\r\n\r\n",
    ),
    Case("Body", "chunked, of nothing", _CHUNKED + b"0\r\n\r\n"),
    Case("Not HTTP", "TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160)),
    Case("Not HTTP", "SSH", b"SSH-2.0-x\r\n"),
    Case("Not HTTP", "NUL", bytes(64)),
    Case("Not HTTP", "a binary protocol", b"\x00\x00\x00\x40\xfeSMB" + bytes(56)),
]

REQUESTS = distinct([*LENGTHS, *CODINGS, *SIZES, *LINES, *ENDS, *FIELDS, *HOSTS, *CONNECTIONS, *BODIES])
