"""The server under test: reads how to listen from standard input, answers where it does, and serves until killed."""

from __future__ import annotations

import asyncio
import struct
import sys
from typing import BinaryIO

from generated.connectrpc.conformance.v1 import server_compat_pb2 as pb
from service import Conformance
from tls import server_context

from catenet.rpc.server.options import ServerOptions
from catenet.rpc.server.server import Server


def read_message(stream: BinaryIO) -> bytes | None:
    """The next message with its four bytes of length, or None at the end."""
    head = stream.read(4)
    return stream.read(struct.unpack(">I", head)[0]) if len(head) == 4 else None


def write_message(stream: BinaryIO, data: bytes) -> None:
    """Write a message with its length."""
    stream.write(struct.pack(">I", len(data)) + data)
    stream.flush()


async def main() -> None:
    """Serve."""
    request = pb.ServerCompatRequest.FromString(read_message(sys.stdin.buffer) or b"")
    options = ServerOptions(max_receive=request.message_receive_limit or 4 << 20)
    server = Server([Conformance()], options=options)
    context = server_context(request.server_creds, request.client_tls_cert) if request.use_tls else None
    scheme = "tls" if request.use_tls else "tcp"
    listener = await server.listen(f"{scheme}://127.0.0.1:0", tls=context)
    response = pb.ServerCompatResponse(host="127.0.0.1", port=int(listener.url.rpartition(":")[2]))
    if request.use_tls:
        response.pem_cert = request.server_creds.cert
    write_message(sys.stdout.buffer, response.SerializeToString())
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
