import pytest
import requests.utils

from catenet.http.policy.hsts import HstsStore
from catenet.http.policy.proxies import Proxies, parse_proxy
from catenet.http.url import Url, UrlError

NOW = 1_700_000_000.0


def noted(value, url="https://a.example/"):
    store = HstsStore()
    store.note(Url.parse(url), value, NOW)
    return store


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ("max-age=100", True),
        ("max-age=100; includeSubDomains", True),
        (' Max-Age="100" ;; preload', True),
        ("max-age=0", False),
        ("", False),
        ("includeSubDomains", False),
        ("max-age=1; max-age=2", False),
        ("max-age=x", False),
        ("max-age=100; x y", False),
        ("max-age=-1", False),
        ("max-age=" + "9" * 50, True),
        ("max-age = 100", True),
        ("a=b, max-age=100", False),
    ],
)
def test_fields(value, counts):
    assert noted(value).knows("a.example", NOW + 99) == counts


def test_hosts_and_subdomains():
    alone, below = noted("max-age=100"), noted("max-age=100; includesubdomains")
    assert not alone.knows("x.a.example", NOW) and below.knows("x.y.A.example.", NOW)
    assert not below.knows("example", NOW) and not below.knows("ba.example", NOW)
    assert not alone.knows("a.example", NOW + 100) and len(alone) == 0


def test_only_over_tls_and_for_names():
    assert len(noted("max-age=100", "http://a.example/")) == 0
    assert len(noted("max-age=100", "https://127.0.0.1/")) == 0 and len(noted(None)) == 0


def test_max_age_of_nothing_forgets():
    store = noted("max-age=100")
    store.note(Url.parse("https://a.example/"), "max-age=0", NOW)
    assert not store.knows("a.example", NOW)


def test_urls():
    store = noted("max-age=100")
    for before, after in [
        ("http://a.example/x?y", "https://a.example/x?y"),
        ("http://a.example:8080/", "https://a.example:8080/"),
        ("ws://a.example/", "wss://a.example/"),
        ("http://b.example/", "http://b.example/"),
    ]:
        assert str(store.secure(Url.parse(before), NOW)) == after


def test_the_store_is_bounded():
    store = HstsStore(10)
    for number in range(100):
        store.note(Url.parse(f"https://h{number}.example/"), "max-age=100", NOW)
    assert len(store) == 10 and store.knows("h99.example", NOW)
    other = HstsStore()
    other.load(store.entries())
    assert other.entries() == store.entries()


def proxy_for(url, **environment):
    found = Proxies.from_environment(environment).for_url(Url.parse(url))
    return None if found is None else str(found)


def test_variables():
    assert proxy_for("http://a/", http_proxy="http://p:3128") == "http://p:3128"
    assert proxy_for("https://a/", http_proxy="http://p:3128") is None
    assert proxy_for("https://a/", HTTPS_PROXY="p:3128") == "http://p:3128"
    assert proxy_for("https://a/", https_proxy="p:1", HTTPS_PROXY="q:2") == "http://p:1"
    assert proxy_for("http://a/", all_proxy="socks5h://u:p@s:9") == "socks5h://u:p@s:9"
    assert proxy_for("http://a/", https_proxy="", all_proxy=" ") is None
    assert proxy_for("ws://a/", http_proxy="p:1") == "http://p:1"
    assert proxy_for("http://a/", HTTP_PROXY="p:1") == "http://p:1"
    assert proxy_for("http://a/", HTTP_PROXY="p:1", REQUEST_METHOD="GET") is None
    assert parse_proxy("socks5://p").effective_port == 1080
    with pytest.raises(UrlError, match="https_proxy: "):
        Proxies.from_environment({"https_proxy": "ftp://p"})


# no_proxy, host, whether it bypasses: curl's rules.
BYPASSES = [
    ("example.com", "example.com", True),
    ("example.com", "www.example.com", True),
    (".example.com", "www.example.com", True),
    (".example.com", "example.com", True),
    ("example.com", "badexample.com", False),
    ("*", "x", True),
    ("*.example.com", "a.example.com", True),
    ("a,b ,c", "b", True),
    ("a b", "b", True),
    ("", "a", False),
    ("EXAMPLE.com", "example.COM", True),
    ("example.com.", "example.com", True),
    ("192.0.2.0/24", "192.0.2.77", True),
    ("192.0.2.0/24", "192.0.3.1", False),
    ("192.0.2.1", "192.0.2.1", True),
    ("0.2.1", "192.0.2.1", False),
    ("::1", "[::1]", True),
    ("2001:db8::/32", "[2001:db8::5]", True),
    ("localhost", "localhost", True),
    ("com", "example.com", True),
]


@pytest.mark.parametrize(("no_proxy", "host", "bypassed"), BYPASSES)
def test_no_proxy(no_proxy, host, bypassed):
    assert (proxy_for(f"http://{host}/", http_proxy="p:1", no_proxy=no_proxy) is None) == bypassed
    assert (proxy_for(f"http://{host}/", http_proxy="p:1", NO_PROXY=no_proxy) is None) == bypassed


@pytest.mark.parametrize(("no_proxy", "host", "bypassed"), BYPASSES[:3] + BYPASSES[12:15])
def test_no_proxy_beside_requests(no_proxy, host, bypassed):
    assert requests.utils.should_bypass_proxies(f"http://{host}/", no_proxy=no_proxy) == bypassed


def test_no_proxy_with_a_port():
    assert proxy_for("http://a:81/", http_proxy="p:1", no_proxy="a:81") is None
    assert proxy_for("http://a/", http_proxy="p:1", no_proxy="a:81") == "http://p:1"
    assert proxy_for("http://[::1]:81/", http_proxy="p:1", no_proxy="[::1]:81") is None
