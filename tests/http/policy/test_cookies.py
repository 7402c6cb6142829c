import http.cookiejar
import urllib.request
from email.message import Message

import pytest

from catenet.http.policy import cookies as policy
from catenet.http.policy.cookies import CookieJar, parse_cookie_date
from catenet.http.url import Url

NOW = 1_700_000_000.0
HTTPS = Url.parse("https://www.example.com/a/b/c")


def sent(set_cookies, to="https://www.example.com/a/b/c", url=HTTPS, **options):
    jar = CookieJar()
    jar.receive(Url.parse(url), [set_cookies] if isinstance(set_cookies, str) else set_cookies, NOW)
    return jar.header(Url.parse(to), NOW + 1, **options)


@pytest.mark.parametrize(
    ("field", "to", "expected"),
    [
        ("a=b", "https://www.example.com/a/b/x", "a=b"),
        ("a=b", "https://www.example.com/a/bc", None),
        ("a=b; Path=/", "https://www.example.com/", "a=b"),
        ("a=b; Path=/x", "https://www.example.com/xy", None),
        ("a=b; Path=/x", "https://www.example.com/x/y", "a=b"),
        ("a=b; Path=x", "https://www.example.com/a/b", "a=b"),
        ("a=b; Path=/", "https://example.com/", None),
        ("a=b; Path=/", "https://x.www.example.com/", None),
        ("a=b; Path=/; Domain=example.com", "https://example.com/", "a=b"),
        ("a=b; Path=/; Domain=.Example.COM", "https://x.y.example.com/", "a=b"),
        ("a=b; Path=/; Domain=example.com", "https://badexample.com/", None),
        ("a=b; Path=/; Domain=other.com", "https://other.com/", None),
        ("a=b; Path=/; Domain=com", "https://www.example.com/", None),
        ("a=b; Path=/; Domain=x.www.example.com", "https://x.www.example.com/", None),
        ("a=b; Path=/; Secure", "http://www.example.com/", None),
        ("a=b; Path=/; Secure", "https://www.example.com/", "a=b"),
        ("a=b; Path=/; Secure", "wss://www.example.com/", "a=b"),
        ("a=b; Max-Age=0", "https://www.example.com/a/b", None),
        ("a=b; Max-Age=-5", "https://www.example.com/a/b", None),
        ("a=b; Max-Age=nonsense", "https://www.example.com/a/b", "a=b"),
        ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "https://www.example.com/a/b", None),
        ("a=b; Expires=nonsense", "https://www.example.com/a/b", "a=b"),
        ("a=b; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=10", "https://www.example.com/a/b", "a=b"),
        ("a", "https://www.example.com/a/b", "a"),
        ("=a", "https://www.example.com/a/b", "a"),
        ("", "https://www.example.com/a/b", None),
        ("=", "https://www.example.com/a/b", None),
        ("a=", "https://www.example.com/a/b", "a="),
        ('a="b c"', "https://www.example.com/a/b", 'a="b c"'),
        ("a=b=c", "https://www.example.com/a/b", "a=b=c"),
        ("a=b\x00", "https://www.example.com/a/b", None),
        ("a=" + "b" * 4095, "https://www.example.com/a/b", "a=" + "b" * 4095),
        ("a=" + "b" * 4096, "https://www.example.com/a/b", None),
        ("__Secure-a=b", "https://www.example.com/a/b", None),
        ("__Secure-a=b; Secure", "https://www.example.com/a/b", "__Secure-a=b"),
        ("__Host-a=b; Secure; Path=/", "https://www.example.com/a/b", "__Host-a=b"),
        ("__host-a=b; Secure", "https://www.example.com/a/b", None),
        ("__Host-a=b; Secure; Path=/; Domain=www.example.com", "https://www.example.com/a/b", None),
        ("=__Host-a=b", "https://www.example.com/a/b", None),
        ("__Host-a", "https://www.example.com/a/b", None),
        ("a=b; SameSite=None", "https://www.example.com/a/b", None),
        ("a=b; SameSite=None; Secure", "https://www.example.com/a/b", "a=b"),
    ],
)
def test_one_cookie(field, to, expected):
    assert sent(field, to) == expected


def test_same_site_is_kept():
    fields = ["s=1; SameSite=Strict", "l=2; SameSite=Lax", "n=3; SameSite=None; Secure", "d=4"]
    assert sent(fields) == "s=1; l=2; n=3; d=4"
    assert sent(fields, same_site=False) == "l=2; n=3; d=4"
    assert sent(fields, same_site=False, safe=False) == "n=3"


@pytest.mark.parametrize("suffix", ["co.uk", "github.io", "s3.amazonaws.com", "xn--p1ai", "kawasaki.jp"])
def test_public_suffixes(suffix):
    site, other = f"https://a.{suffix}/", f"https://b.{suffix}/"
    assert sent(f"x=1; Domain={suffix}", other, site) is None
    assert sent(f"x=1; Domain=a.{suffix}", f"https://c.a.{suffix}/", site) in ("x=1", None)
    # The suffix itself may have cookies, for itself only.
    assert sent(f"x=1; Domain={suffix}", f"https://{suffix}/", f"https://{suffix}/") == "x=1"
    assert sent(f"x=1; Domain={suffix}", other, f"https://{suffix}/") is None


def test_addresses_have_no_domains():
    assert sent("a=b; Domain=0.0.1", "http://127.0.0.1/", "http://127.0.0.1/") is None
    assert sent("a=b; Domain=127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1/") == "a=b"
    assert sent("a=b", "http://[::1]/", "http://[::1]/") == "a=b"


def test_plain_http_sets_no_secure_cookies_and_hides_none():
    assert sent("a=b; Secure", "https://www.example.com/", "http://www.example.com/") is None
    jar = CookieJar()
    jar.receive(HTTPS, ["a=secret; Secure; Path=/"], NOW)
    jar.receive(Url.parse("http://www.example.com/"), ["a=evil; Path=/x"], NOW)
    jar.receive(Url.parse("http://example.com/"), ["a=evil; Domain=example.com; Path=/"], NOW)
    assert jar.header(Url.parse("https://www.example.com/x"), NOW) == "a=secret"


def test_order_and_replacing():
    jar = CookieJar()
    jar.receive(HTTPS, ["a=1; Path=/"], NOW)
    jar.receive(HTTPS, ["b=2; Path=/a"], NOW + 1)
    jar.receive(HTTPS, ["c=3; Path=/"], NOW + 2)
    jar.receive(HTTPS, ["a=4; Path=/"], NOW + 3)
    assert jar.header(HTTPS, NOW + 4) == "b=2; a=4; c=3"
    jar.receive(HTTPS, ["a=; Path=/; Max-Age=0"], NOW + 5)
    assert jar.header(HTTPS, NOW + 6) == "b=2; c=3" and len(jar) == 2
    jar.clear(session_only=True)
    assert len(jar) == 0


def test_the_longest_life():
    jar = CookieJar()
    (cookie,) = jar.receive(HTTPS, ["a=1; Max-Age=99999999999"], NOW)
    assert cookie.expires == NOW + 400 * 86400
    assert jar.header(HTTPS, NOW + 401 * 86400) is None and len(jar) == 0


def test_a_site_cannot_fill_the_jar():
    jar = CookieJar()
    jar.receive(Url.parse("https://other.net/"), ["keep=1; Secure"], NOW)
    for number in range(1000):
        jar.receive(HTTPS, [f"c{number}=x; Path=/"], NOW + number)
    assert len(jar) == 181 and "c999=x" in jar.header(HTTPS, NOW + 1000)


def test_sites_together_cannot_either():
    jar = CookieJar()
    for number in range(4000):
        jar.receive(Url.parse(f"https://h{number}.example.net/"), ["a=b"], NOW + number)
    assert len(jar) <= policy.MAX_COOKIES and jar.header(Url.parse("https://h3999.example.net/"), NOW + 5000)


def test_the_field_is_bounded():
    jar = CookieJar()
    jar.receive(HTTPS, [f"c{number}={'x' * 4000}; Path=/" for number in range(20)], NOW)
    assert len(jar.header(HTTPS, NOW)) <= 16 << 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Wed, 09 Jun 2021 10:18:14 GMT", 1623233894),
        ("Wednesday, 09-Jun-21 10:18:14 GMT", 1623233894),
        ("Wed Jun  9 10:18:14 2021", 1623233894),
        ("9 jun 2021 10:18:14", 1623233894),
        ("10:18:14 2021 june 9th", 1623233894),
        ("Thu, 01-Jan-1970 00:00:01 GMT", 1),
        ("1 1 1 1", None),
        ("", None),
        ("32 Jan 2020 00:00:00", None),
        ("1 Jan 1600 00:00:00", None),
        ("1 Jan 2020 24:00:00", None),
    ],
)
def test_dates_of_cookies(text, seconds):
    assert parse_cookie_date(text) == seconds


SITES = ["http://example.com/", "http://www.example.com/a/b", "http://x.example.com/a/", "http://other.net/"]
FIELDS = ["a=1", "b=2; Path=/", "c=3; Domain=example.com; Path=/", "d=4; Domain=.example.com", "e=5; Path=/a"]


class Answer:
    def __init__(self, field):
        self.message = Message()
        self.message["Set-Cookie"] = field

    def info(self):
        return self.message


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("origin", SITES)
def test_beside_the_standard_library(origin, field):
    """Where http.cookiejar follows RFC 6265: who gets which cookie back."""
    strict = http.cookiejar.DefaultCookiePolicy(
        strict_ns_domain=http.cookiejar.DefaultCookiePolicy.DomainStrictNonDomain
    )
    theirs, ours = http.cookiejar.CookieJar(strict), CookieJar()
    theirs.extract_cookies(Answer(field), urllib.request.Request(origin))
    ours.receive(Url.parse(origin), [field], NOW)
    for to in SITES:
        request = urllib.request.Request(to)
        theirs.add_cookie_header(request)
        assert ours.header(Url.parse(to), NOW) == request.get_header("Cookie"), to
