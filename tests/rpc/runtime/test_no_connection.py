"""What calls say of servers that cannot be connected to: the place, the reason in words, one code."""

import asyncio
import contextlib

import grpc
import grpc.aio
import pytest
import trustme
from echoservice import SAY, failure, text

from catenet.net import server_context
from catenet.rpc import Channel, ChannelOptions, Code, Server

POLICIES = ["pick_first", "round_robin", "ring_hash"]


async def error_of(url, policy="pick_first", **options):
    async with Channel(url, options=ChannelOptions(balancing=policy, **options)) as channel:
        return await failure(channel.unary(SAY, text("x"), timeout=20))


@contextlib.asynccontextmanager
async def http1_server():
    """Yield the port of a server that answers the preface of HTTP/2 as HTTP/1.1 does."""

    async def answer(reader, writer):
        with contextlib.suppress(OSError):
            await reader.readexactly(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("unix:nofile.sock", "cannot connect to unix:nofile.sock: No such file or directory"),
        ("ipv4:127.0.0.1:1,127.0.0.1:2", "cannot connect to 127.0.0.1:1, 127.0.0.1:2: Connection refused"),
        ("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in range(1, 6)), "127.0.0.1:3 and 2 more: Connection refused"),
    ],
)
def test_the_place_and_the_reason(policy, url, words):
    error = asyncio.run(error_of(url, policy))
    assert error.code is Code.UNAVAILABLE
    assert error.message.endswith(words)


@pytest.mark.parametrize("policy", POLICIES)
def test_tls(policy, tmp_path):
    authority = trustme.CA()
    chain = tmp_path / "chain.pem"
    issued = authority.issue_cert("localhost")
    issued.private_key_and_cert_chain_pem.write_to_path(str(chain))

    async def main():
        async with http1_server() as port:
            plain = await error_of(f"tls://127.0.0.1:{port}", policy)
        assert plain.code is Code.UNAVAILABLE
        hint = "the peer does not seem to speak TLS"
        assert plain.message == f"cannot connect to 127.0.0.1:{port}: TLS: wrong version number; {hint}"
        server = Server()
        url = (await server.listen("tls://127.0.0.1:0", tls=server_context(str(chain)))).url
        unknown = await error_of(url, policy)
        assert unknown.code is Code.UNAVAILABLE
        assert "the server's certificate is not accepted: " in unknown.message
        assert "_ssl.c" not in unknown.message
        await server.close()

    asyncio.run(main())


@pytest.mark.parametrize("policy", POLICIES)
def test_a_server_of_http1_is_unavailable_as_grpcio_says(policy):
    async def main():
        async with http1_server() as port:
            async with Channel(f"tcp://127.0.0.1:{port}", options=ChannelOptions(balancing=policy)) as channel:
                for _ in range(2):
                    error = await failure(channel.unary(SAY, text("x"), timeout=20))
                    assert error.code is Code.UNAVAILABLE
                    assert "the server speaks HTTP/1.1 and not HTTP/2" in error.message
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                with pytest.raises(grpc.aio.AioRpcError) as theirs:
                    await channel.unary_unary("/a/b")(b"", timeout=20)
                assert theirs.value.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(main())


def test_silence_is_told_with_its_length():
    async def main():
        async with await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            error = await error_of(f"tls://127.0.0.1:{port}", connect_timeout=0.1)
            assert error.message == f"cannot connect to 127.0.0.1:{port}: no answer in 0.1 s"

    asyncio.run(main())
