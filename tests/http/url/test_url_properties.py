"""Laws of URLs, on whatever text."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from catenet.http.url import Url, UrlError

PIECES = st.sampled_from(
    ["http", "https", "a", "B", ":", "/", "//", "?", "#", "@", "[", "]", "::1", "%", "%2e", "%2F", "..", ".", "\\", "é",
     "。", " ", "\t", "\0", "0x7f", "1.2.3.4", "80", "xn--", "-", "~", "%zz", "\u202e", "\ud800", ";", "=", "&"]
)  # fmt: skip
TEXT = st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=40)


def parsed(text: str) -> Url | None:
    try:
        return Url.parse(text)
    except UrlError as error:
        assert "\n" not in str(error)
        return None


@given(TEXT)
@example("http:a//b")
@example("a:/..//b")
@example("//")
@example("/..//a")
def test_what_is_written_is_read_back(text):
    url = parsed(text)
    if url is not None:
        assert Url.parse(str(url)) == url
        assert re.fullmatch(r"[\x21-\x7e]*", str(url))


@given(TEXT)
@example("http:/..//a")
def test_a_normal_form_is_normal(text):
    url = parsed(text)
    if url is not None:
        normal = url.normalise()
        assert normal.normalise() == normal and Url.parse(str(normal)).normalise() == normal


@given(TEXT, TEXT)
@example("http://a", "http:..//b")
@example("x:/a", "..//b")
def test_a_reference_means_a_url_or_nothing(base, reference):
    url = parsed(base)
    if url is None or not url.scheme:
        return
    try:
        made = url.join(reference)
    except UrlError:
        return
    assert made.scheme and Url.parse(str(made)) == made
    assert made.join("") == made.without_fragment()


@given(TEXT)
def test_a_host_never_changes_on_the_way(text):
    """What is checked (host, port) is what a second reader of the written form sees."""
    url = parsed(f"http://{text}")
    if url is not None:
        again = Url.parse(str(url))
        assert (again.host, again.port, again.userinfo) == (url.host, url.port, url.userinfo)
        assert re.fullmatch(r"[a-z0-9._~!$&'()*+,;=\-]+|[0-9a-f:.]+(%.*)?", url.host or "x")
