import pytest

from catenet.http.headers import Headers


def test_names_have_no_case_and_keep_it():
    headers = Headers({"Content-Type": "a/b"})
    assert headers["content-TYPE"] == "a/b" and "CONTENT-type" in headers and list(headers) == ["Content-Type"]
    assert headers.get("x") is None and headers.get("x", "y") == "y"


def test_repeated_fields():
    headers = Headers([("Accept", "a"), ("Set-Cookie", "x=1"), ("accept", "b, C"), ("set-cookie", "y=2")])
    assert headers["Accept"] == "a, b, C" and headers.get_all("ACCEPT") == ["a", "b, C"]
    assert headers["set-cookie"] == "x=1" and headers.get_all("set-cookie") == ["x=1", "y=2"]
    assert headers.tokens("accept") == ["a", "b", "c"] and len(headers) == 2


def test_changing():
    headers = Headers([("a", "1"), ("b", "2"), ("A", "3")])
    headers["A"] = "4"
    assert headers.multi_items() == [("A", "4"), ("b", "2")]
    headers.update({"B": "5", "c": "6"})
    assert headers == {"a": "4", "b": "5", "c": "6"}
    other = headers.copy()
    del other["a"]
    assert "a" in headers and "a" not in other and headers != other
    with pytest.raises(KeyError):
        del other["a"]
    assert other.setdefault("b", "x") == "5" and other.setdefault("d", "7") == "7"


@pytest.mark.parametrize("pair", [("", "x"), ("a b", "x"), ("a:", "x"), ("ü", "x"), ("a", "x\r\ny"), ("a", "\x00")])
def test_what_may_not_stand_in_a_field(pair):
    with pytest.raises(ValueError):
        Headers([pair])


def test_fields_and_back():
    headers = Headers({"X-Name": " ü ", "y": "€"})
    assert headers.to_fields() == ((b"x-name", b"\xfc"), (b"y", "€".encode()))
    assert Headers.from_fields(((b"a", b"\xfc"), (b"a", b"b"))).get_all("A") == ["ü", "b"]


def test_secrets_are_not_shown():
    assert "hunter2" not in repr(Headers({"Authorization": "Basic hunter2", "Cookie": "hunter2"}))
