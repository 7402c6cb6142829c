"""Chromium and our server: a WebSocket over HTTP/1.1, and over HTTP/2 (RFC 8441) by TLS."""

import asyncio
import ssl
from urllib.parse import parse_qs

import pytest
import trustme
from tests.http.browser import opening

from catenet.http.server.server import serve

pytestmark = pytest.mark.peer

PAGE = b"""<!DOCTYPE html><title>x</title><script>
const ws = new WebSocket(location.href.replace('http', 'ws'), ['other', 'chat']);
const long = 'x'.repeat(100000), got = [];
ws.binaryType = 'arraybuffer';
ws.onopen = () => { ws.send('hello \\u00e9'); ws.send(new Uint8Array([1, 2, 3])); ws.send(long); };
ws.onmessage = event => {
    const data = event.data;
    got.push(typeof data === 'string' ? (data === long ? 'long' : data) : new Uint8Array(data).join(''));
    if (got.length == 3) ws.close(4000, 'done');
};
ws.onclose = event => fetch('/told?' + new URLSearchParams({
    got: got.join(), protocol: ws.protocol, extensions: ws.extensions, code: event.code, clean: event.wasClean }));
</script>"""


@pytest.mark.slow(5)
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_a_page_opens_a_websocket(version):
    async def main():
        told = asyncio.get_running_loop().create_future()
        versions = []

        async def app(scope, receive, send):
            if scope["type"] == "websocket":
                versions.append(scope["http_version"])
                await receive()
                await send({"type": "websocket.accept", "subprotocol": "chat"})
                while (message := await receive())["type"] == "websocket.receive":
                    kept = {name: message[name] for name in ("text", "bytes") if message.get(name) is not None}
                    await send({"type": "websocket.send", **kept})
            elif scope["type"] == "http":
                if scope["path"] == "/told":
                    told.set_result(parse_qs(scope["query_string"].decode()))
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
                await send({"type": "http.response.body", "body": PAGE})
            else:
                raise NotImplementedError

        tls = None
        if version == "2":
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            trustme.CA().issue_cert("localhost").configure_cert(tls)
        url = f"{'http' if tls is None else 'https'}://localhost:0"
        async with await serve(app, url, tls=tls) as server:
            with opening(server.urls[0] + "/", "--ignore-certificate-errors"):
                async with asyncio.timeout(60):
                    return await told, versions

    told, versions = asyncio.run(main())
    assert told["got"] == ["hello é,123,long"]
    assert (told["code"], told["clean"], told["protocol"]) == (["4000"], ["true"], ["chat"])
    assert told["extensions"][0].startswith("permessage-deflate")
    assert versions == [version]
