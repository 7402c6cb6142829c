"""Cookies in a file, beside the standard library's reader of the same format."""

import http.cookiejar

import pytest

from catenet.http.policy.cookie_file import dump_cookies, load_cookies
from catenet.http.policy.cookies import CookieJar
from catenet.http.url import Url

NOW = 1_700_000_000.0


def test_there_and_back(tmp_path):
    jar = CookieJar()
    fields = ["a=1; Max-Age=1000", "b=2; Domain=example.com; Secure; HttpOnly; Path=/", "c=", "novalue"]
    jar.receive(Url.parse("https://www.example.com/x/y"), fields, NOW)
    text = dump_cookies(jar)
    other = CookieJar()
    load_cookies(text, other, NOW)
    url = Url.parse("https://www.example.com/x/z")
    assert other.header(url, NOW) == jar.header(url, NOW) and dump_cookies(other) == text
    path = tmp_path / "jar"
    path.write_text(text)
    theirs = http.cookiejar.MozillaCookieJar(str(path))
    theirs.load(ignore_discard=True, ignore_expires=True)
    assert {cookie.name for cookie in theirs} >= {"a", "b"}
    assert {(cookie.domain, cookie.path, cookie.secure) for cookie in theirs if cookie.name == "b"} == {
        (".example.com", "/", True)
    }


def test_what_is_over_is_left_out():
    jar = CookieJar()
    load_cookies(f"a.example\tFALSE\t/\tFALSE\t{int(NOW) - 1}\ta\tb\n", jar, NOW)
    assert len(jar) == 0


@pytest.mark.parametrize(
    "line", ["nonsense", "a\tb\tc", "a\tFALSE\t/\tFALSE\tx\ta\tb", "a\tFALSE\t/\tFALSE\t0\ta\tb\x1b"]
)
def test_lines_that_are_none(line):
    with pytest.raises(ValueError, match="line 2"):
        load_cookies(f"# comment\n{line}\n", CookieJar(), NOW)
