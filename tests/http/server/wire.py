"""A client that sends bytes and reads HTTP/1.1 responses, and one of HTTP/2 with prior knowledge by h2."""

import asyncio
import socket
import struct
from collections.abc import Iterable

import h2.config
import h2.connection
import h2.events

__all__ = ["Raw", "h2_request", "raw"]


class Raw:
    """One connection. A response is (status, fields, body)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        if method == "HEAD" or status < 200 or status in (204, 304):
            return status, fields, b""
        if fields.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(await self.reader.readline(), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            while (line := await self.reader.readline()) != b"\r\n":
                name, _, value = line.decode().partition(":")
                fields["trailer-" + name] = value.strip()
            return status, fields, body
        if "content-length" in fields:
            return status, fields, await self.reader.readexactly(int(fields["content-length"]))
        return status, fields, await self.reader.read()

    async def get(
        self, path: str = "/", method: str = "GET", fields: str = "", body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}{fields}\r\n".encode() + body)
        return await self.response(method)

    def reset(self) -> None:
        """Be gone at once, as a process is that is killed: the server gets a reset, not the end of a direction."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


async def raw(url: str) -> Raw:
    host, port = url.removeprefix("http://").rsplit(":", 1)
    return Raw(*await asyncio.open_connection(host.strip("[]"), int(port)))


def _send_some(connection: h2.connection.H2Connection, body: bytes) -> bytes:
    """Send what the windows let through; return the rest."""
    while body and (room := min(connection.local_flow_control_window(1), connection.max_outbound_frame_size)):
        connection.send_data(1, body[:room], end_stream=len(body) <= room)
        body = body[room:]
    return body


async def h2_request(
    url: str,
    path: str = "/",
    method: str = "GET",
    fields: Iterable[tuple[bytes, bytes]] = (),
    body: bytes = b"",
) -> tuple[int, dict[bytes, bytes], bytes, dict[bytes, bytes]]:
    """One request over HTTP/2; return (status, fields, body, trailers)."""
    client = await raw(url)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    connection.initiate_connection()
    head = [(b":method", method.encode()), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"x")]
    connection.send_headers(1, head + list(fields), end_stream=not body)
    left = _send_some(connection, body)
    client.send(connection.data_to_send())
    status, data = 0, b""
    got: dict[bytes, bytes] = {}
    ends: dict[bytes, bytes] = {}
    while True:
        received = await client.reader.read(65536)
        assert received, "the connection ended"
        for event in connection.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived):
                got = dict(event.headers)
                status = int(got[b":status"])
            elif isinstance(event, h2.events.DataReceived):
                data += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, h2.events.TrailersReceived):
                ends = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                client.close()
                return status, got, data, ends
            elif isinstance(event, h2.events.StreamReset):
                client.close()
                return -event.error_code, got, data, ends
        left = _send_some(connection, left)
        client.send(connection.data_to_send())
