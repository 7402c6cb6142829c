"""Uploads to a server that grants all windows there are and reads nothing: what is taken stays bounded."""

import asyncio

import pytest
from tests.unread import BOUND, Pieces, taken, unread

from catenet.http.client.client import Client


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("version", ["1.1", "2"])
def test_uploads(version, asynchronous):
    bodies = [Pieces(), Pieces(), Pieces(1000)]

    async def main(port):
        async with Client(versions=version) as client:
            url = f"http://127.0.0.1:{port}/"
            contents = [one.each() if asynchronous else iter(one) for one in bodies]
            uploads = [asyncio.ensure_future(client.put(url, content=content)) for content in contents]
            found = await taken(bodies)
            for upload in uploads:
                upload.cancel()
            await asyncio.wait(uploads)
            return found

    with unread(http2=version == "2") as port:
        assert asyncio.run(main(port)) < BOUND
