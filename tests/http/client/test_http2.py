"""HTTP/2: chosen by ALPN or known before, streams that share a connection, what a server may refuse."""

import asyncio
import ssl

import pytest
from scripted import Scripted, read_head, reply

from catenet.http import events as ev
from catenet.http.client.client import Client
from catenet.http.client.errors import CertificateError, ConnectionLost, RequestTimeout, TlsError
from catenet.http.client.timeouts import Timeouts
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead


def http2(respond, limits=None):
    """Our own machine as a server; `respond(core, stream, kind, value, end)` is called for each event of a stream."""

    async def handle(reader, writer):
        core = Connection(False, limits or Limits())
        writer.write(core.transmit())
        while data := await reader.read(65536):
            for kind, stream, value, end in core.receive(data, 0.0):
                if stream is not None:
                    respond(core, stream, kind, value, end)
            writer.write(core.transmit())
            await writer.drain()

    return handle


BODIES = {}
"""What has come of each request; a stream that is compiled takes no attributes of others."""


def echo(core, stream, kind, value, end):
    """The body back, with a trailer."""
    kept = BODIES.setdefault((core, stream), bytearray())
    if kind == ev.DATA:
        kept += value
        core.consume(stream, len(value))
    if end:
        core.send_reply(stream, ResponseHead(200), bytes(kept), ((b"x-trailer", b"yes"),))


def asked(work, respond=echo, *, limits=None, tls=None, **options):
    async def main():
        async with Scripted(http2(respond, limits), tls=tls) as server, Client(**options) as client:
            result = await work(client, server.url)
            return result, server.connections

    return asyncio.run(main())


def test_prior_knowledge():
    async def work(client, url):
        responses = [await client.post(url, content=b"x" * size) for size in (0, 10, 100_000, 1_000_000)]
        responses.append(await client.post(url, content=(b"y" * 1000 for _ in range(1000))))
        return responses

    responses, connections = asked(work, versions="2")
    assert [len(response.content) for response in responses] == [0, 10, 100_000, 1_000_000, 1_000_000]
    assert all(response.http_version == "HTTP/2" and response.trailers["x-trailer"] == "yes" for response in responses)
    assert connections == 1


@pytest.mark.parametrize(
    ("alpn", "version"), [(["h2", "http/1.1"], "HTTP/2"), (["http/1.1"], "HTTP/1.1"), ([], "HTTP/1.1")]
)
def test_alpn_decides(alpn, version, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert)
    if alpn:
        context.set_alpn_protocols(alpn)

    async def either(reader, writer):
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            await http2(echo)(reader, writer)
        else:
            while True:
                await read_head(reader)
                writer.write(reply(b"one"))

    async def main():
        async with Scripted(either, tls=context) as server, Client(ca=authority.ca) as client:
            return [await client.get(server.url) for _ in range(2)], server.connections

    responses, connections = asyncio.run(main())
    assert {response.http_version for response in responses} == {version} and connections == 1
    record = responses[0].timings.connect
    assert record.tls_version == "TLSv1.3" and record.alpn == (
        version.lower() if alpn == ["http/1.1"] else "h2" if alpn else ""
    )


def test_two_hundred_requests_share_a_connection():
    async def work(client, url):
        return await asyncio.gather(*[client.post(url, content=b"%d" % number) for number in range(200)])

    responses, connections = asked(work, versions="2", limits=Limits(max_streams=10))
    assert [int(response.content) for response in responses] == list(range(200)) and connections == 1


def test_only_http2_means_only_http2(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert)

    async def main():
        async with Scripted(http2(echo), tls=context) as server, Client(ca=authority.ca, versions="2") as client:
            await client.get(server.url)

    with pytest.raises(TlsError, match="does not speak HTTP/2"):
        asyncio.run(main())


@pytest.mark.parametrize(("times", "method", "status"), [(1, "POST", 200), (10, "GET", None)])
def test_a_refused_stream_is_repeated_whatever_its_method(times, method, status):
    refused = []

    def respond(core, stream, kind, value, end):
        if len(refused) < times:
            refused.append(stream.id)
            core.reset(stream, 7)
        elif end:
            core.send_reply(stream, ResponseHead(200), b"ok", None)

    async def work(client, url):
        try:
            return (await client.request(method, url)).status
        except ConnectionLost as error:
            assert error.unprocessed and "REFUSED_STREAM" in str(error)

    assert asked(work, respond, versions="2")[0] == status
    assert len(refused) == min(times, 6)


def test_a_server_that_goes_away_finishes_what_it_has_begun():
    def respond(core, stream, kind, value, end):
        if end:
            if stream.id == 1:
                core.go_away()
            core.send_reply(stream, ResponseHead(200), b"ok", None)

    async def work(client, url):
        return [(await client.get(url)).content for _ in range(3)]

    bodies, connections = asked(work, respond, versions="2")
    assert bodies == [b"ok"] * 3 and connections >= 2


def test_cancelling_resets_the_stream_alone():
    resets = []

    def respond(core, stream, kind, value, end):
        if kind == ev.RESET:
            resets.append(value.code)
        elif stream.id != 1 and end:
            core.send_reply(stream, ResponseHead(200), b"ok", None)

    async def work(client, url):
        slow = asyncio.create_task(client.get(url))
        await asyncio.sleep(0)
        fine = await client.get(url)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        again = await client.get(url)
        return fine.content + again.content

    assert asked(work, respond, versions="2") == (b"okok", 1) and resets == [8]


def test_a_timeout_resets_the_stream_alone():
    def respond(core, stream, kind, value, end):
        if stream.id != 1 and end:
            core.send_reply(stream, ResponseHead(200), b"ok", None)

    async def work(client, url):
        with pytest.raises(RequestTimeout):
            await client.get(url, timeout=Timeouts(read=0.05))
        return (await client.get(url)).content

    assert asked(work, respond, versions="2") == (b"ok", 1)


def test_a_reader_that_is_slow_holds_its_own_stream_only():
    def respond(core, stream, kind, value, end):
        if kind == ev.HEAD:
            core.send_reply(stream, ResponseHead(200), b"x" * 4_000_000, None)

    async def work(client, url):
        async with client.stream("GET", url) as slow:
            pieces = aiter(slow)
            first = await anext(pieces)
            whole = (await client.get(url)).content
            rest = [piece async for piece in pieces]
        return len(first) + sum(map(len, rest)), len(whole)

    assert asked(work, respond, versions="2")[0] == (4_000_000, 4_000_000)


def test_a_flood_of_1xx_ends_its_stream():
    def respond(core, stream, kind, value, end):
        if end:
            for _ in range(300):
                core.send_head(stream, ResponseHead(103))

    async def work(client, url):
        with pytest.raises(Exception, match="1xx"):
            await client.get(url)

    asked(work, respond, versions="2")


# Certificates.


def tls_outcome(url_host, authority, **options):
    async def main():
        async def handle(reader, writer):
            await read_head(reader)
            writer.write(reply(b"ok"))

        async with Scripted(handle, tls=authority.server) as server, Client(**options) as client:
            return (await client.get(server.url.replace("localhost", url_host))).content

    return asyncio.run(main())


def test_certificates_are_checked(authority):
    assert tls_outcome("localhost", authority, ca=authority.ca) == b"ok"
    assert tls_outcome("127.0.0.1", authority, ca=authority.ca) == b"ok"
    assert tls_outcome("localhost", authority, verify=False) == b"ok"
    with pytest.raises(CertificateError, match="certificate is not accepted: unable to get local issuer"):
        tls_outcome("localhost", authority)
    with pytest.raises(CertificateError, match="not valid for 'other"):
        tls_outcome("localhost", authority, ca=authority.ca, server_name="other.example")


def test_a_certificate_of_the_client(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.ca)
    seen = []

    async def handle(reader, writer):
        await read_head(reader)
        seen.append(writer.get_extra_info("peercert"))
        writer.write(reply(b"ok"))

    async def main(**options):
        async with Scripted(handle, tls=context) as server, Client(ca=authority.ca, **options) as client:
            return (await client.get(server.url)).content

    assert asyncio.run(main(cert=authority.client)) == b"ok" and seen[0]["subjectAltName"]
    with pytest.raises((ConnectionLost, TlsError)):
        asyncio.run(main())


def test_plain_http_where_tls_is_wanted(authority):
    async def main():
        async def handle(reader, writer):
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with Scripted(handle) as server, Client(ca=authority.ca) as client:
            await client.get(server.url.replace("http:", "https:"))

    with pytest.raises(TlsError, match=r"TLS: wrong version number"):
        asyncio.run(main())
