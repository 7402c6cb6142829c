"""Several servers behind one address: who comes to the wrong one is sent to his own; also behind HAProxy."""

import asyncio
import contextlib
import socket
import subprocess

import pytest
from test_streams import cut, echo, until
from tests.peers import environment, tool

from catenet import session


def port_of(server):
    return int(server.urls[0].rpartition(":")[2])


@contextlib.asynccontextmanager
async def pool(count):
    """Servers that know each other by name."""
    ports = [free_port() for _ in range(count)]
    nodes = {f"n{number}": f"127.0.0.1:{port}" for number, port in enumerate(ports)}
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                await session.serve(echo, f"session+tcp://127.0.0.1:{port}", node=name, nodes=nodes)
            )
            for name, port in zip(nodes, ports, strict=True)
        ]


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Balancer:
    """Hands connections to servers in turn."""

    def __init__(self, servers):
        self.servers = servers
        self.count = 0

    async def __call__(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection(
            "127.0.0.1", port_of(self.servers[self.count % len(self.servers)])
        )
        self.count += 1
        await asyncio.gather(self.copy(reader, far_writer), self.copy(far_reader, writer))

    async def copy(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


async def talk(url, servers):
    reader, writer = await session.connect(url)
    for number in range(5):
        writer.write(b"%d" % number)
        assert await reader.read(1) == b"%d" % number
        before = writer.session.connections
        for server in servers:
            cut(server)
        await until(lambda before=before: writer.session.connections > before)
    assert sum(server.sessions for server in servers) == 1
    writer.close()
    await writer.wait_closed()


def test_whoever_comes_to_the_wrong_server_is_sent_to_his_own(run):
    async def main():
        async with pool(3) as servers:
            balancer = Balancer(servers)
            front = await asyncio.start_server(balancer, "127.0.0.1", 0)
            host, port = front.sockets[0].getsockname()
            await talk(f"session+tcp://{host}:{port}", servers)
            assert balancer.count > 1
            front.close()

    run(main())


@pytest.mark.peer
def test_behind_haproxy(run, tmp_path):
    async def main():
        async with pool(2) as servers:
            port = free_port()
            behind = "\n".join(f"  server s{n} 127.0.0.1:{port_of(one)}" for n, one in enumerate(servers))
            (tmp_path / "haproxy.cfg").write_text(
                "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n"
                f"listen front\n  bind 127.0.0.1:{port}\n  balance roundrobin\n{behind}\n"
            )
            command = [tool("haproxy"), "-db", "-f", str(tmp_path / "haproxy.cfg")]
            process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                for _ in range(500):
                    with contextlib.suppress(OSError):
                        (await asyncio.open_connection("127.0.0.1", port))[1].close()
                        break
                    await asyncio.sleep(0.02)
                await talk(f"session+tcp://127.0.0.1:{port}", servers)
            finally:
                process.terminate()
                process.wait()

    run(main())
