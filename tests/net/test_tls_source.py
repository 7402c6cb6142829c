"""Certificates and authorities that change under a server that listens, and a client that connects again."""

import asyncio
import logging
import ssl

import pytest
import trustme

from catenet.net.tls import TlsError
from catenet.net.tls_source import TlsFiles, client_files, server_files, with_alpn


class Files:
    """Files of an authority, which can be replaced by another one."""

    def __init__(self, folder):
        self.ca, self.server, self.client = folder / "ca.pem", folder / "server.pem", folder / "client.pem"
        self.renew()

    def renew(self):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(self.server)
        authority.issue_cert("me@example").private_key_and_cert_chain_pem.write_to_path(self.client)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_files_are_read_again_when_they_have_changed(tmp_path):
    clock, made = Clock(), []
    file = tmp_path / "file"
    file.write_text("1")

    def make():
        made.append(file.read_text())
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    source = TlsFiles(make, [str(file)], 10.0, clock)
    first = source()
    clock.now = 10.0
    assert source() is first and made == ["1"]
    file.write_text("22")
    clock.now = 19.0
    assert source() is first
    clock.now = 20.0
    second = source()
    assert second is not first and made == ["1", "22"]
    file.unlink()
    file.write_text("33")
    source.reload()
    assert made == ["1", "22", "33"]


def test_a_bad_file_is_refused_and_what_was_read_stays(tmp_path, caplog):
    files, clock = Files(tmp_path), Clock()
    source = server_files(str(files.server), client_ca=str(files.ca))
    source._clock, source._looked = clock, 0.0
    first = source()
    files.server.write_text("nonsense")
    assert not source.reload()
    assert source() is first
    assert f"certificates are not read again: {files.server}: no certificate (PEM)" in caplog.text
    files.ca.unlink()
    caplog.clear()
    clock.now = 100.0
    assert source() is first and "not read again" in caplog.text
    files.renew()
    clock.now = 200.0
    assert source() is not first


def test_what_cannot_be_read_at_first_is_an_error(tmp_path):
    with pytest.raises(TlsError, match="nowhere"):
        server_files(str(tmp_path / "nowhere"))


def test_both_sides_change_and_open_connections_stay(tmp_path):
    """With another authority on both sides: who has read it gets in, who has not is refused, streams go on."""
    from google.protobuf.wrappers_pb2 import StringValue

    from catenet.rpc import Channel, Code, Kind, Method, RpcError, Server, ServiceDescriptor

    method = Method("t.Chat", "Chat", Kind.BIDI, StringValue, StringValue)

    class Chat:
        __service__ = ServiceDescriptor("t.Chat", (method,))

        async def chat(self, requests, context):
            async for request in requests:
                yield request

    async def exchange(call):
        await call.send(StringValue(value="a"))
        assert (await call.receive()).value == "a"

    async def main():
        files = Files(tmp_path)
        far = server_files(str(files.server), client_ca=str(files.ca), interval=0)
        near = client_files(str(files.ca), str(files.client), interval=0)
        async with Server([Chat()]) as server:
            url = (await server.listen("tls://localhost:0", tls=far)).url
            async with Channel(url, tls=near) as channel, channel.bidi(method) as call:
                await exchange(call)
                files.renew()
                assert far.reload()
                await exchange(call)
                async with Channel(url, tls=near) as stale:
                    with pytest.raises(RpcError) as error:
                        async with stale.bidi(method) as refused:
                            await exchange(refused)
                    assert error.value.code is Code.UNAVAILABLE
                assert near.reload()
                async with Channel(url, tls=near) as fresh, fresh.bidi(method) as other:
                    await exchange(other)
                    await other.done()
                await exchange(call)
                await call.done()

    asyncio.run(main())


def test_a_source_that_fails_ends_that_connection_alone(tmp_path, caplog):
    from line_echo import LineCore

    from catenet.net.server import serve

    caplog.set_level(logging.WARNING)

    async def main():
        files, broken = Files(tmp_path), True
        good = server_files(str(files.server))

        def source():
            if broken:
                raise ConnectionError("no identity")
            return good()

        context = ssl.create_default_context(cafile=str(files.ca))
        async with await serve(LineCore, "tls://localhost:0", tls=source) as server:
            port = int(server.urls[0].rpartition(":")[2])
            with pytest.raises(OSError):
                await asyncio.open_connection("localhost", port, ssl=context)
            assert "there is no TLS for a connection, closing: ConnectionError('no identity')" in caplog.text
            broken = False
            _, writer = await asyncio.open_connection("localhost", port, ssl=context)
            writer.close()

    asyncio.run(main())


def test_alpn_is_set_on_each_context_once():
    class Counting(ssl.SSLContext):
        times = 0

        def set_alpn_protocols(self, protocols):
            super().set_alpn_protocols(protocols)
            type(self).times += 1

    one, two = Counting(ssl.PROTOCOL_TLS_CLIENT), Counting(ssl.PROTOCOL_TLS_CLIENT)
    contexts = [one, one, two, two]
    source = with_alpn(lambda: contexts.pop(0), ["h2"])
    assert [source() for _ in range(4)] == [one, one, two, two]
    assert Counting.times == 2
