"""URLs: RFC 3986's examples, and beside the parsers of urllib, httpx and yarl."""

from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import yarl

from catenet.http.url import Url, UrlError, percent_encode

BASE = "http://a/b/c/d;p?q"

# RFC 3986 section 5.4.1 and 5.4.2 (strict).
RESOLVED = """
g:h g:h|g http://a/b/c/g|./g http://a/b/c/g|g/ http://a/b/c/g/|/g http://a/g|//g http://g|?y http://a/b/c/d;p?y
g?y http://a/b/c/g?y|#s http://a/b/c/d;p?q#s|g#s http://a/b/c/g#s|g?y#s http://a/b/c/g?y#s|;x http://a/b/c/;x
g;x http://a/b/c/g;x|g;x?y#s http://a/b/c/g;x?y#s|. http://a/b/c/|./ http://a/b/c/|.. http://a/b/|../ http://a/b/
../g http://a/b/g|../.. http://a/|../../ http://a/|../../g http://a/g
../../../g http://a/g|../../../../g http://a/g|/./g http://a/g|/../g http://a/g|g. http://a/b/c/g.|.g http://a/b/c/.g
g.. http://a/b/c/g..|..g http://a/b/c/..g|./../g http://a/b/g|./g/. http://a/b/c/g/|g/./h http://a/b/c/g/h
g/../h http://a/b/c/h|g;x=1/./y http://a/b/c/g;x=1/y|g;x=1/../y http://a/b/c/y|g?y/./x http://a/b/c/g?y/./x
g?y/../x http://a/b/c/g?y/../x|g#s/./x http://a/b/c/g#s/./x|g#s/../x http://a/b/c/g#s/../x|http:g http:g
"""
EXAMPLES = [tuple(pair.split()) for line in RESOLVED.split("\n") for pair in line.split("|") if pair]


@pytest.mark.parametrize(("reference", "expected"), [*EXAMPLES, ("", BASE)])
def test_resolution_of_rfc_3986(reference, expected):
    assert str(Url.parse(BASE).join(reference)) == expected


@pytest.mark.parametrize(("reference", "expected"), EXAMPLES)
def test_resolution_beside_urllib(reference, expected):
    if reference != "http:g":  # urllib resolves it as section 5.4.2 has it for backward compatibility
        assert str(Url.parse(BASE).join(reference)) == urljoin(BASE, reference)


COMMON = [
    "http://example.com",
    "http://example.com/",
    "https://example.com:8443/a/b?c=d#e",
    "http://user:pass@example.com/x",
    "http://user@example.com:81/x?",
    "http://192.0.2.1:8080/%20a",
    "http://[2001:db8::1]:8080/",
    "http://[::1]/?x=[1]",
    "HTTP://EXAMPLE.COM/Path",
    "http://example.com:80/",
    "https://example.com:443/",
    "http://example.com/a%2Fb",
    "http://example.com/?q=a+b%20c",
    "http://example.com/a;b=c/d",
    "http://bücher.example/",
    "http://xn--bcher-kva.example/straße",
    "http://example.com./",
    "http://a_b.example/",
    "http://example.com/ü?ü#ü",
]


@pytest.mark.parametrize("text", COMMON)
def test_beside_other_parsers(text):
    """Host, port, path and query are what httpx, yarl and urllib make of them, where they do not mend."""
    url = Url.absolute(text)
    theirs = httpx.URL(text)
    assert (url.scheme, url.host, url.port) == (theirs.scheme, theirs.raw_host.decode(), theirs.port)
    assert url.target.replace("[", "%5B").replace("]", "%5D") == theirs.raw_path.decode().replace("[", "%5B").replace(
        "]", "%5D"
    )
    other = yarl.URL(text)
    assert (url.host, url.effective_port) == (other.raw_host, other.port)
    split = urlsplit(text)
    assert url.user == split.username and url.password == split.password


@pytest.mark.parametrize("port", ["80", "000080", "0" * 5000 + "8080", "0", "65535"])
def test_ports_may_have_zeros_before_them(port):
    assert Url.absolute(f"http://a_b:{port}/").effective_port == int(port.lstrip("0") or 0)


REFUSED = {
    "a control": [
        "http://a/\x00",
        "http://a\r\nb/",
        "http://a/b\nc",
        "http://a/\x7f",
        "http://a/\x85",
        "http://a/\ud800",
    ],
    "a port": [
        "http://a:b/",
        "http://a:65536/",
        "http://a:-1/",
        "http://a:+80/",
        "http://a:8_0/",
        "http://a:000065536/",
        "http://a:1" + "0" * 300 + "/",
        "http://a:٨٠/",
    ],
    "a host": ["http:///x", "http://", "http://a b/", "http://a<b/", "http://[::1/", "http://[::1]x/", "http://::1/"],
    "an address": ["http://[1.2.3.4]/", "http://[::g]/", "http://[v1.a]/", "http://1.2.3/", "http://0x7f.1/"],
    "another address": ["http://2130706433/", "http://256.1.1.1/", "http://0177.0.0.1/", "http://1.2.3.4.5/"],
    "userinfo": ["http://a@b@c/", "http://a\\@b/", "http://a\\b/"],
    "a name": [
        "http://" + "a" * 64 + "/",
        "http://" + "a." * 127 + "b/",
        "http://a%00b/",
        "http://a%2fb/",
        "http://a%40b/",
    ],
    "idna": ["http://\u2024\u2024/", "http://a\u2028/", "http://\u0627a.example\u0660/"],
    "length": ["http://a/" + "b" * 70000],
}


@pytest.mark.parametrize("text", [text for texts in REFUSED.values() for text in texts])
def test_refused(text):
    with pytest.raises(UrlError) as caught:
        Url.absolute(text)
    assert len(str(caught.value).splitlines()) == 1


def test_schemes_are_named():
    with pytest.raises(UrlError, match="no scheme 'ftp' here; write http:// or https://"):
        Url.absolute("ftp://a/")
    with pytest.raises(UrlError, match="it has no scheme"):
        Url.absolute("//a/")
    with pytest.raises(UrlError, match="names no host"):
        Url.absolute("http:a")


def test_whatwg_habits_that_differ():
    """Browsers read `\\` as `/` and drop tabs and newlines within; here these are refused or encoded."""
    assert Url.parse("http://a/b\\c").path == "/b%5Cc"
    assert Url.parse(" http://a/ \n").path == "/"
    assert Url.parse("http://a/%zz%").path == "/%25zz%25"
    assert str(Url.parse("http://a/b").join("%2e%2E/c")) == "http://a/c"


def test_parts():
    url = Url.absolute("https://us%40er:p%3Aw@[fe80::1%25eth0]:444/x?y#z")
    assert (url.user, url.password, url.host, url.authority) == ("us@er", "p:w", "fe80::1%eth0", "[fe80::1]:444")
    assert (url.target, url.origin, url.tls) == ("/x?y", ("https", "fe80::1%eth0", 444), True)
    assert "p%3Aw" not in repr(url) and str(url.without_password()).startswith("https://us%40er:***@")
    assert Url.parse("http://a").target == "/" and Url.parse("http://a?b").target == "/?b"
    assert Url.parse("http://127.0.0.1").is_ip and not Url.parse("http://a1").is_ip


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("http://a", "http://A:80/"),
        ("http://a/%7euser", "http://a/~user"),
        ("http://a/b/../c/./d", "http://a/c/d"),
        ("http://a/%c3%bc", "http://a/ü"),
        ("http://[2001:DB8:0::1]/", "http://[2001:db8::1]"),
    ],
)
def test_equal_when_normalised(left, right):
    assert Url.parse(left).normalise() == Url.parse(right).normalise()


def test_a_slash_that_is_escaped_stays():
    assert Url.parse("http://a/b%2fc").normalise().path == "/b%2Fc"


def test_query_parameters():
    url = Url.parse("http://a/?x=1").with_query({"q": "a b&c=ü+%"})
    assert url.query == "x=1&q=a%20b%26c%3D%C3%BC%2B%25"
    assert percent_encode("a/b") == "a%2Fb" and percent_encode("a/b%2f", "path") == "a/b%2f"


def test_a_changed_scheme_forgets_its_port():
    assert str(Url.parse("https://a/").join("//b:443/c")) == "https://b/c"
