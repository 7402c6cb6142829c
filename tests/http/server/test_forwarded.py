"""Who the client is behind proxies: what trusted ones say counts, what clients say does not."""

import pytest
from tests.http.server.wire import raw

from catenet.http import serve
from catenet.http.message import RequestHead, ResponseHead
from catenet.http.server.forwarded import TrustedProxies
from catenet.http.server.service import HandlerService
from catenet.http.serving import Ends

PROXY = Ends(("10.0.0.1", 5), ("10.0.0.9", 80), False)


def seen(fields, trusted=("10.0.0.0/8",), field="x-forwarded", ends=PROXY):
    head = RequestHead(b"GET", b"/", tuple((name.encode(), value.encode()) for name, value in fields))
    found = TrustedProxies(trusted, field).ends(ends, head)
    return found.client, found.tls


@pytest.mark.parametrize(
    ("fields", "client", "tls"),
    [
        ([], ("10.0.0.1", 5), False),
        ([("x-forwarded-for", "192.0.2.1")], ("192.0.2.1", 0), False),
        ([("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")], ("192.0.2.1", 0), True),
        ([("x-forwarded-proto", "https")], ("10.0.0.1", 5), True),
        ([("x-forwarded-proto", "https, http")], ("10.0.0.1", 5), False),
        # What stands before the first that is not trusted, the client may have written itself.
        ([("x-forwarded-for", "203.0.113.9, 192.0.2.1, 10.0.0.2")], ("192.0.2.1", 0), False),
        ([("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "192.0.2.1")], ("192.0.2.1", 0), False),
        ([("x-forwarded-for", "[2001:db8::1]:4711")], ("2001:db8::1", 4711), False),
        ([("x-forwarded-for", "2001:DB8::1")], ("2001:db8::1", 0), False),
        ([("x-forwarded-for", "192.0.2.1:80")], ("192.0.2.1", 80), False),
        ([("x-forwarded-for", "unknown")], ("10.0.0.1", 5), False),
        ([("x-forwarded-for", "192.0.2.1\x7f")], ("10.0.0.1", 5), False),
        ([("forwarded", "for=192.0.2.1;proto=https")], ("10.0.0.1", 5), False),
    ],
)
def test_x_forwarded(fields, client, tls):
    assert seen(fields) == (client, tls)


@pytest.mark.parametrize(
    ("value", "client", "tls"),
    [
        ("for=192.0.2.1", ("192.0.2.1", 0), False),
        ('For="[2001:db8:cafe::17]:4711";proto=https;by=_me', ("2001:db8:cafe::17", 4711), True),
        ('for=203.0.113.9, for=192.0.2.1;proto=http, for="10.0.0.2";proto=https', ("192.0.2.1", 0), False),
        ("for=_hidden;proto=https", ("10.0.0.1", 5), True),
        ('for="192.0.2.1', ("10.0.0.1", 5), False),
        ("for=192.0.2.1;;", ("10.0.0.1", 5), False),
        ('for="1,2;3", for=192.0.2.1', ("192.0.2.1", 0), False),
    ],
)
def test_forwarded(value, client, tls):
    assert seen([("forwarded", value), ("x-forwarded-for", "198.51.100.1")], field="forwarded") == (client, tls)


def test_who_is_not_trusted_is_not_believed():
    fields = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")]
    assert seen(fields, ["10.9.0.0/16", "unix"]) == (("10.0.0.1", 5), False)
    assert seen(fields, ["unix"], ends=Ends(None, ("/run/s", None), False)) == (("192.0.2.1", 0), True)
    assert seen(fields, ["10.0.0.1"], ends=Ends(("::ffff:10.0.0.1", 5), None, False)) == (("192.0.2.1", 0), True)


def test_long_chains_end():
    assert seen([("x-forwarded-for", ", ".join(["10.0.0.2"] * 10_000))]) == (("10.0.0.2", 0), False)


@pytest.mark.parametrize(("trusted", "field"), [(["proxy"], "x-forwarded"), (["10.0.0.1"], "via")])
def test_what_is_none_is_refused(trusted, field):
    with pytest.raises(ValueError, match=r"no address|no field"):
        TrustedProxies(trusted, field)


def test_an_exchange_shows_it(run):
    async def answer(exchange):
        await exchange.reply(ResponseHead(200), f"{exchange.client[0]} {exchange.scheme}".encode())

    async def main():
        service = HandlerService(answer, proxies=TrustedProxies(["127.0.0.0/8"]))
        async with await serve(service, "http://127.0.0.1:0") as server:
            client = await raw(server.urls[0])
            told = await client.get(fields="X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n")
            assert told[2] == b"192.0.2.1 https"
            client.close()

    run(main())
