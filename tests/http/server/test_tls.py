"""HTTPS: the version by ALPN, several certificates by name, certificates that are read again."""

import asyncio
import ssl

import httpx
import pytest
import trustme

from catenet.http import serve
from catenet.http.message import ResponseHead
from catenet.net.tls import Certificates, TlsError


async def answer(exchange):
    told = f"{exchange.scheme} {exchange.version} {exchange.tls}"
    await exchange.reply(ResponseHead(200), told.encode())


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


def write(authority, path, *names):
    certificate = authority.issue_cert(*names)
    path.write_bytes(certificate.private_key_and_cert_chain_pem.bytes())
    return str(path), None


async def name_served(port, name, authority, alpn=()):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    context.check_hostname = False
    context.set_alpn_protocols(list(alpn))
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name or None)
    tls = writer.get_extra_info("ssl_object")
    names = [value for _, value in tls.getpeercert()["subjectAltName"]]
    chosen = tls.selected_alpn_protocol()
    writer.transport.abort()
    return names[0], chosen


def test_who_does_not_speak_what_the_server_does(run, authority, tmp_path, caplog):
    """Both are told in the log: plain text where TLS is spoken, and TLS where it is not."""

    async def main():
        pair = write(authority, tmp_path / "a.pem", "localhost")
        async with (
            await serve(answer, "https://127.0.0.1:0", tls=Certificates([pair])) as tls,
            await serve(answer, "http://127.0.0.1:0") as plain,
        ):
            port = int(plain.urls[0].rpartition(":")[2])
            with pytest.raises(ssl.SSLError):
                await name_served(port, "localhost", authority)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(tls.urls[0].rpartition(":")[2]))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.read()
            writer.close()

    run(main())
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "a client speaks TLS where this server does not",
        "a client does not speak TLS where this server does",
    ]


@pytest.mark.parametrize("http2", [False, True])
def test_the_version_is_negotiated(run, authority, tmp_path, http2):
    async def main():
        pair = write(authority, tmp_path / "a.pem", "localhost")
        async with await serve(answer, "https://127.0.0.1:0", tls=Certificates([pair])) as server:
            context = ssl.create_default_context()
            authority.configure_trust(context)
            port = server.urls[0].rpartition(":")[2]
            async with httpx.AsyncClient(verify=context, http2=http2) as client:
                reply = await client.get(f"https://localhost:{port}/")
            assert reply.text == f"https {1 + http2} True"

    run(main())


def test_certificates_are_chosen_by_name_and_read_again(run, authority, tmp_path, caplog):
    async def main():
        pairs = [write(authority, tmp_path / f"{name[-6]}.pem", name) for name in ("a.test", "b.test", "*.c.test")]
        certificates = Certificates(pairs)
        async with await serve(answer, "https://127.0.0.1:0", tls=certificates) as server:
            port = int(server.urls[0].rpartition(":")[2])

            async def served(name):
                return await name_served(port, name, authority, ["h2", "http/1.1"])

            assert await served("a.test") == ("a.test", "h2")
            assert await served("B.test") == ("b.test", "h2")
            assert await served("x.c.test") == ("*.c.test", "h2")
            assert await served("unknown.test") == ("a.test", "h2")
            assert await served("127.0.0.1") == ("a.test", "h2"), "an address is no name: nothing is asked for"
            write(authority, tmp_path / "b.pem", "new.test", "b.test")
            server.reload()
            assert await served("b.test") == ("new.test", "h2")
            (tmp_path / "b.pem").write_text("nonsense")
            server.reload()
            assert await served("b.test") == ("new.test", "h2"), "what was read before stays"
        assert "b.pem: no certificate (PEM)" in caplog.text

    run(main())


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(TlsError, match=r"no\.pem: No such file"):
        Certificates([(str(tmp_path / "no.pem"), None)])
