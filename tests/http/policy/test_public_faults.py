"""Faults of other implementations that became public, of the kinds that policies decide (a table: docs/http.md)."""

import re
from pathlib import Path

import pytest

from catenet.http.headers import Headers
from catenet.http.policy.cookies import CookieJar
from catenet.http.policy.hsts import HstsStore
from catenet.http.policy.media import parse_media
from catenet.http.policy.multipart import MultipartError, MultipartParser, boundary_of
from catenet.http.policy.proxies import Proxies
from catenet.http.policy.redirects import Redirects
from catenet.http.url import Url, UrlError

NOW = 1_700_000_000.0
SECRETS = {"Authorization": "Basic x", "Cookie": "a=b", "Proxy-Authorization": "Basic y"}


@pytest.mark.parametrize(
    ("start", "location"),
    [
        ("https://a.example/", "http://a.example/"),  # CVE-2018-18074: to plain HTTP of the same host
        ("http://a.example/", "https://b.example/"),  # CVE-2023-32681, CVE-2023-43804
        ("https://a.example/", "https://a.example:8443/"),  # CVE-2022-27776: another port
        ("https://a.example/", "https://a.example.evil.example/"),
        ("https://a.example/", "//evil.example\\@a.example/"),
    ],
)
def test_credentials_after_a_redirect(start, location):
    try:
        made = Redirects().follow("GET", Url.parse(start), Headers(SECRETS), 302, location)
    except Exception as error:
        assert "backslash" in str(error)
        return
    assert not made.headers.multi_items()


@pytest.mark.parametrize("domain", ["co.UK", "CO.uk", ".Co.Uk", "co.uk.", "uk", "%63o.uk"])
def test_cookies_for_a_public_suffix_in_another_case(domain):
    """CVE-2023-46218, CVE-2022-27779 (a dot at the end)."""
    jar = CookieJar()
    jar.receive(Url.parse("https://a.example.co.uk/"), [f"x=1; Domain={domain}; Path=/"], NOW)
    assert jar.header(Url.parse("https://b.other.co.uk/"), NOW) is None


@pytest.mark.parametrize(
    "host", ["a.example.", "A.EXAMPLE", "a\u3002example", "ａ.example", "a%2Eexample", "x.a.example"]
)
def test_hsts_under_another_spelling(host):
    """CVE-2022-30115 (a dot at the end), CVE-2022-43551 (dots of IDNA)."""
    store = HstsStore()
    store.note(Url.parse("https://a.example/"), "max-age=1000; includeSubDomains", NOW)
    assert store.secure(Url.parse(f"http://{host}/"), NOW).scheme == "https"


@pytest.mark.parametrize(
    "text",
    [
        "http://a/ HTTP/1.1\r\nX: y\r\n",  # CVE-2014-8150, CVE-2019-9740, CVE-2019-9947
        "http://a\r\nX: y/",
        "http://a/\nb",
        "http://a:80\x00@b/",
        "http://a:80#@b\\@c/\r",
        "http://[::1]evil/",
    ],
)
def test_no_second_request_in_a_url(text):
    try:
        url = Url.absolute(text)
    except UrlError:
        return
    assert not re.search(r"[\x00-\x20\x7f]", str(url)) and url.host == "a"


@pytest.mark.parametrize("text", [" http://evil/", "\x0chttp://evil/", "\thttp://evil/"])
def test_blanks_before_a_scheme(text):
    """CVE-2023-24329: a check of the scheme or host sees what is carried out."""
    assert Url.parse(text).host == "evil" and Url.parse(text).scheme == "http"


def test_a_field_is_no_proxy():
    """CVE-2016-1000110 (httpoxy)."""
    assert not Proxies.from_environment({"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}).by_scheme


def test_a_content_type_takes_linear_time():
    """CVE-2024-24762."""
    text = 'multipart/form-data; !="' + '\\"' * 100_000
    for _ in range(20):
        assert parse_media(text) is None and boundary_of(text) is None


def test_parts_without_end():
    """CVE-2023-25577."""
    parser = MultipartParser("b")
    with pytest.raises(MultipartError, match="1000 parts"):
        parser.feed(b"--b\r\n\r\n\r\n" * 2000)


@pytest.mark.parametrize("filler", [b"\r", b"\n", b"\r\n"])
def test_line_ends_that_look_like_a_delimiter(filler):
    """CVE-2023-46136 in a part, CVE-2024-53981 before the first and after the last one."""
    parser = MultipartParser("b")
    parser.feed(b"--b\r\n\r\nx")
    for _ in range(200):
        parser.feed(filler * 20_000)
    for before in (b"", b"--b\r\n\r\n\r\n--b--"):
        with pytest.raises(MultipartError):
            MultipartParser("b").feed(before + filler * 1_000_000)


def test_the_table_names_these():
    table = (Path(__file__).parents[3] / "docs" / "http.md").read_text()
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    source += "".join(path.read_text() for path in (Path(__file__).parents[2] / "cli" / "transfer").glob("test_*.py"))
    named = set(re.findall(r"CVE-[0-9]+-[0-9]+", source))
    assert named == set(re.findall(r"CVE-[0-9]+-[0-9]+", table[table.index("### Public faults of the kind") :]))
