"""Dates, ranges, preconditions, media types and file names: what servers use too."""

import email.utils

import pytest
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import http_date, parse_accept_header, parse_range_header

from catenet.http.headers import Headers
from catenet.http.policy.conditional import ETag, evaluate, parse_etag, range_applies
from catenet.http.policy.dates import format_date, parse_date
from catenet.http.policy.disposition import disposition_name, format_disposition, is_hidden, safe_name
from catenet.http.policy.media import (
    negotiate_coding,
    negotiate_language,
    negotiate_media,
    parse_media,
    qualities,
)
from catenet.http.policy.parameters import extended_value, parse_parameters, quote, split_list
from catenet.http.policy.ranges import (
    ContentRange,
    Unsatisfiable,
    parse_content_range,
    parse_range,
    part_heads,
    range_value,
)

NOW = 1_700_000_000.0
SAMPLE = 784111777.0  # RFC 9110 section 5.6.7


@pytest.mark.parametrize(
    "text", ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
)
def test_three_forms_of_a_date(text):
    assert parse_date(text, NOW) == SAMPLE


def test_years_of_two_digits():
    assert format_date(parse_date("Sunday, 06-Nov-73 08:49:37 GMT", NOW)) == "Mon, 06 Nov 2073 08:49:37 GMT"
    assert format_date(parse_date("Sunday, 06-Nov-74 08:49:37 GMT", NOW)) == "Wed, 06 Nov 1974 08:49:37 GMT"


@pytest.mark.parametrize("seconds", [0, 1, SAMPLE, NOW, 2**31, 4102444799])
def test_dates_beside_others(seconds):
    assert format_date(seconds) == email.utils.formatdate(seconds, usegmt=True) == http_date(seconds)
    assert parse_date(format_date(seconds), NOW) == int(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nom 1994 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "x" * 100000,
        "Sun, 06 Nov 0000 08:49:37 GMT",
    ],
)
def test_no_dates(text):
    assert parse_date(text, NOW) is None and parse_date(None, NOW) is None


RANGES = [
    ("bytes=0-0", [(0, 1)]),
    ("bytes=0-", [(0, 1000)]),
    ("bytes=-1", [(999, 1000)]),
    ("bytes=-2000", [(0, 1000)]),
    ("bytes=500-2000", [(500, 1000)]),
    ("bytes=0-0,-1", [(0, 1), (999, 1000)]),
    ("bytes= 0-1 , 5-6", [(0, 2), (5, 7)]),
    ("BYTES=1-2", [(1, 3)]),
    ("bytes=5-6,2000-3000", [(5, 7)]),
]


@pytest.mark.parametrize(("value", "expected"), RANGES)
def test_ranges(value, expected):
    assert parse_range(value, 1000) == expected


@pytest.mark.parametrize("value", ["bytes=0-0", "bytes=0-", "bytes=-1", "bytes=500-2000"])
def test_ranges_beside_werkzeug(value):
    assert parse_range(value, 1000) == [parse_range_header(value).range_for_length(1000)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "lines=1-2",
        "bytes=",
        "bytes=a-b",
        "bytes=2-1",
        "bytes=-",
        "bytes=1",
        "bytes=+1-2",
        "bytes=0-1,",
        "bytes=٠-١",
        "bytes=" + "9" * 30 + "-",
        "bytes=" + ",".join(["0-0"] * 65),
        "bytes=0-9,0-9,0-9,0-9",
    ],
)
def test_ranges_that_are_ignored(value):
    assert parse_range(value, 1000) is None


@pytest.mark.parametrize(
    ("value", "size"), [("bytes=1000-", 1000), ("bytes=-0", 1000), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_ranges_beyond_the_content(value, size):
    with pytest.raises(Unsatisfiable):
        parse_range(value, size)


def test_content_range():
    assert parse_content_range("bytes 0-9/100") == ContentRange(0, 10, 100)
    assert parse_content_range("bytes 0-9/*") == ContentRange(0, 10, None)
    assert parse_content_range("bytes */100") == ContentRange(None, None, 100)
    assert str(ContentRange(0, 10, 100)) == "bytes 0-9/100" and str(ContentRange(None, None, 7)) == "bytes */7"
    for wrong in (None, "", "bytes 9-0/100", "bytes 0-100/100", "bytes */*", "lines 0-1/2", "bytes 0-9/"):
        assert parse_content_range(wrong) is None
    assert range_value(5) == "bytes=5-" and range_value(5, 10) == "bytes=5-9"


def test_parts_of_multipart_byteranges():
    data = b"0123456789"
    body = b"".join(head + data[start:stop] for head, start, stop in part_heads([(0, 2), (8, 10)], 10, "B", "a/b"))
    assert body == (
        b"--B\r\nContent-Type: a/b\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
        b"\r\n--B\r\nContent-Type: a/b\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--B--\r\n"
    )


TAG, WEAK = ETag("a"), ETag("a", weak=True)
DATE, LATER, EARLIER = format_date(NOW - 100), format_date(NOW - 50), format_date(NOW - 200)
MODIFIED = NOW - 100

# method, fields, etag, modified, status: RFC 9110 sections 13.1 and 13.2.2.
CONDITIONS = [
    ("GET", {}, TAG, MODIFIED, None),
    ("PUT", {"If-Match": '"a"'}, TAG, MODIFIED, None),
    ("PUT", {"If-Match": '"b", "a"'}, TAG, MODIFIED, None),
    ("PUT", {"If-Match": '"b"'}, TAG, MODIFIED, 412),
    ("PUT", {"If-Match": 'W/"a"'}, TAG, MODIFIED, 412),
    ("PUT", {"If-Match": '"a"'}, WEAK, MODIFIED, 412),
    ("PUT", {"If-Match": "*"}, TAG, MODIFIED, None),
    ("PUT", {"If-Match": "garbage"}, TAG, MODIFIED, 412),
    ("PUT", {"If-Unmodified-Since": DATE}, TAG, MODIFIED, None),
    ("PUT", {"If-Unmodified-Since": EARLIER}, TAG, MODIFIED, 412),
    ("PUT", {"If-Unmodified-Since": "garbage"}, TAG, MODIFIED, None),
    ("PUT", {"If-Match": '"a"', "If-Unmodified-Since": EARLIER}, TAG, MODIFIED, None),
    ("GET", {"If-None-Match": '"a"'}, TAG, MODIFIED, 304),
    ("HEAD", {"If-None-Match": 'W/"a"'}, TAG, MODIFIED, 304),
    ("GET", {"If-None-Match": '"b",W/"a"'}, WEAK, MODIFIED, 304),
    ("GET", {"If-None-Match": '"b"'}, TAG, MODIFIED, None),
    ("PUT", {"If-None-Match": "*"}, TAG, MODIFIED, 412),
    ("GET", {"If-None-Match": "*"}, TAG, MODIFIED, 304),
    ("GET", {"If-Modified-Since": DATE}, TAG, MODIFIED, 304),
    ("GET", {"If-Modified-Since": LATER}, TAG, MODIFIED, 304),
    ("GET", {"If-Modified-Since": EARLIER}, TAG, MODIFIED, None),
    ("POST", {"If-Modified-Since": LATER}, TAG, MODIFIED, None),
    ("GET", {"If-Modified-Since": "garbage"}, TAG, MODIFIED, None),
    ("GET", {"If-None-Match": '"b"', "If-Modified-Since": LATER}, TAG, MODIFIED, None),
    ("GET", {"If-None-Match": '"a"', "If-Match": '"b"'}, TAG, MODIFIED, 412),
    ("GET", {"If-Match": '"a"', "If-None-Match": '"a"'}, TAG, MODIFIED, 304),
    ("GET", {"If-None-Match": '"a,b"'}, ETag("a,b"), None, 304),
]


@pytest.mark.parametrize(("method", "fields", "etag", "modified", "status"), CONDITIONS)
def test_preconditions(method, fields, etag, modified, status):
    assert evaluate(method, Headers(fields), etag, modified, NOW) == status


def test_preconditions_without_a_representation():
    assert evaluate("PUT", Headers({"If-None-Match": "*"}), None, None, NOW, exists=False) is None
    assert evaluate("PUT", Headers({"If-Match": "*"}), None, None, NOW, exists=False) == 412


def test_if_range():
    def applies(value, etag=TAG, modified=MODIFIED):
        return range_applies(Headers({"If-Range": value}), etag, modified, NOW)

    assert range_applies(Headers(), TAG, MODIFIED, NOW)
    assert applies('"a"') and applies(DATE)
    assert not applies('W/"a"') and not applies('"a"', WEAK) and not applies('"b"') and not applies("garbage")
    assert not applies(LATER) and not applies(format_date(NOW), modified=NOW)


def test_entity_tags():
    assert str(parse_etag(' W/"x"')) == 'W/"x"' and parse_etag('""') == ETag("")
    assert [parse_etag(text) for text in (None, "x", '"a"b"', 'w/"a"', "'a'")] == [None] * 5


def test_media_types():
    media = parse_media('Text/HTML; Charset="UTF-8"; x=1')
    assert (media.essence, media.charset, str(media)) == ("text/html", "utf-8", "text/html; charset=UTF-8; x=1")
    for wrong in (None, "", "text", "text/", "a b/c", "text/html; a=1; a=2", 'text/html; a="b'):
        assert parse_media(wrong) is None


OFFERED = ["text/html", "application/json", "text/plain", "image/png"]
ACCEPTS = [
    "application/json",
    "text/*",
    "*/*",
    "text/*;q=0.5, application/json;q=0.4",
    "text/html;q=0.1, */*;q=0.9",
    "text/*, text/html;q=0",
    "image/webp",
    "application/json;q=0.9, text/html;q=0.9",
    "*/*;q=0.1, image/png",
    "text/plain; q=1.000, text/html; q=0.999",
]


@pytest.mark.parametrize("accept", ACCEPTS)
def test_accept_beside_werkzeug(accept):
    theirs = parse_accept_header(accept, MIMEAccept)
    best = max(OFFERED, key=lambda offered: theirs[offered])
    assert negotiate_media(accept, OFFERED) == (best if theirs[best] else None)


def test_accept_without_and_with_nonsense():
    assert negotiate_media(None, OFFERED) == "text/html"
    assert negotiate_media("text/html;q=2, text/plain;q=x, */*;q=0.0001, image/png;q=0.001", OFFERED) == "image/png"
    assert negotiate_media("text/html;level=1, */*;q=0.1", ["text/html", "text/html;level=1"]) == "text/html;level=1"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "identity"),
        ("", "identity"),
        ("gzip", "gzip"),
        ("gzip;q=0", "identity"),
        ("*", "br"),
        ("br, gzip", "br"),
        ("gzip, br;q=0.9", "gzip"),
        ("identity;q=0, *;q=0", None),
        ("identity;q=0", None),
        ("x-gzip", "gzip"),
        ("gzip;q=0.5, identity", "identity"),
        ("*;q=0, gzip", "gzip"),
        ("deflate", "identity"),
    ],
)
def test_accept_encoding(accept, expected):
    assert negotiate_coding(accept, ["br", "gzip"]) == expected


def test_accept_language():
    offered = ["en", "de", "pt-BR"]
    wanted = {"de-CH, en;q=0.5": "de", "fr": None, "fr, *": "en", "pt-br": "pt-BR", "*;q=0.1, en;q=0": "de"}
    assert {value: negotiate_language(value, offered) for value in wanted} == wanted
    assert negotiate_language(None, offered) == "en"


def test_parameters():
    assert parse_parameters('a; b=c ; D="e;\\"f" ;; g=') == ("a", {"b": "c", "d": 'e;"f', "g": ""})
    for wrong in ("a; b=1; b=2", 'a; b="c', "a; b", "a; =c", "a" + "; x=1" * 2):
        assert parse_parameters(wrong) is None
    assert split_list('a, "b,c" ,, d="e\\",f"') == ["a", '"b,c"', 'd="e\\",f"'] and len(split_list("a," * 1000)) == 256
    assert quote("a b") == '"a b"' and quote('a"\\') == '"a\\"\\\\"' and quote("token") == "token"
    assert extended_value("UTF-8'en'%e2%82%ac") == "€" and extended_value("utf-8''%ff") is None


@pytest.mark.parametrize(
    "text",
    [
        '"' * 60000,
        '"\\' * 30000,
        "a; " + " " * 60000 + '"',
        "a; b=" + " " * 60000 + '"x',
        'a;b="' + "\\" * 60001,
        "," * 60000,
    ],
)
def test_parameters_take_linear_time(text):
    for _ in range(20):
        parse_parameters(text), split_list(text), qualities(text), parse_media(text)
        evaluate("GET", Headers({"If-None-Match": text}), TAG, None, NOW)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename=a.txt", "a.txt"),
        ("attachment; filename=\"x\"; filename*=UTF-8''%e2%82%ac.txt", "€.txt"),
        ("attachment; filename*=UTF-8''%ff; filename=ok", "ok"),
        ('inline; filename="Ã¼.txt"', "ü.txt"),
        ("attachment", None),
        ("", None),
        ('attachment; filename="a"; filename="b"', None),
    ],
)
def test_names_of_files(value, name):
    assert disposition_name(value) == name


@pytest.mark.parametrize(
    ("proposed", "name"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("..", None),
        (".", None),
        ("", None),
        ("a/", None),
        ("C:\\x\\y.exe", "y.exe"),
        (".bashrc", "bashrc"),
        ("a\x00\x1b[31mb", "a[31mb"),
        ("nul.txt", None),
        ("\u202etxt.exe", "txt.exe"),
        ("...", None),
        ("a:b*c", "a_b_c"),
        (" x ", "x"),
        ("..\\..\\x", "x"),
        (None, None),
    ],
)
def test_safe_names(proposed, name):
    assert safe_name(proposed) == name


@pytest.mark.parametrize(
    ("proposed", "hidden"),
    [
        (".h", True),
        ("../.h", True),
        (" .h", True),
        ("\u200e.h", True),
        ("a\\.h", True),
        ("a.h", False),
        ("../h", False),
        ("", False),
    ],
)
def test_hidden_names(proposed, hidden):
    assert is_hidden(proposed) is hidden


def test_long_names_keep_their_ending():
    name = safe_name("ü" * 300 + ".tar")
    assert len(name.encode()) <= 255 and name.endswith("ü.tar")


@pytest.mark.parametrize("name", ["a.txt", 'a"b.txt', "ü €.txt", "a\r\nb", "a\\b"])
def test_a_disposition_is_read_back(name):
    value = format_disposition(name)
    assert "\r" not in value.encode("ascii").decode()
    assert disposition_name(value) == name
