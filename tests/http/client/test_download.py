"""Files across connections that break, from where they ended, over several connections, and never of two versions."""

import asyncio
import hashlib
import io
import random
import re

import pytest
from scripted import Scripted, read_head, reply

from catenet.http.client.client import Client
from catenet.http.client.download import Download
from catenet.http.client.errors import ConnectionLost, PeerError

BODY = random.Random(2).randbytes(6_000_000)


class Resource:
    """A server of one file that breaks off after so many bytes, as often as it is told."""

    def __init__(self, body=BODY, breaks=0, after=1_000_000, ranges=True, tag='"v1"'):
        self.body, self.breaks, self.after, self.ranges, self.tag = body, breaks, after, ranges, tag
        self.asked = []

    def answer(self, fields):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", fields.get("range", ""))
        if not (wanted and self.ranges) or ("if-range" in fields and fields["if-range"] != self.tag):
            return "200 OK", self.body, {}
        start, stop = int(wanted[1]), int(wanted[2] or len(self.body) - 1) + 1
        if start >= len(self.body):
            return "416 Range Not Satisfiable", b"", {"Content-Range": f"bytes */{len(self.body)}"}
        return "206 Partial", self.body[start:stop], {"Content-Range": f"bytes {start}-{stop - 1}/{len(self.body)}"}

    async def __call__(self, reader, writer):
        while True:
            _, fields = await read_head(reader)
            self.asked.append((fields.get("range"), fields.get("if-range")))
            status, body, more = self.answer(fields)
            more |= {"ETag": self.tag} if self.tag else {}
            more |= {"Accept-Ranges": "bytes"} if self.ranges else {}
            lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode())
            if self.breaks and len(body) > self.after:
                self.breaks -= 1
                writer.write(body[: self.after])
                await writer.drain()
                return
            writer.write(body)
            await writer.drain()


def fetched(resource, file=None, before=None, **options):
    file = io.BytesIO() if file is None else file

    async def main():
        async with Scripted(resource) as server, Client() as client:
            download = Download(client, server.url, file, **options)
            if before is not None:
                before(download)
            response = await download.run()
            return response, download

    response, download = asyncio.run(main())
    return file.getvalue(), response, download


def test_one_that_does_not_break():
    seen = []
    body, response, download = fetched(resource := Resource(), progress=lambda done, size: seen.append((done, size)))
    assert body == BODY and response.status == 200 and resource.asked == [(None, None)]
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY)) and seen == sorted(seen)
    assert download.validator == '"v1"'


def test_across_connections_that_break():
    body, response, _ = fetched(resource := Resource(breaks=3))
    assert body == BODY and response.status == 206
    assert [(int(wanted[6:-1]), tag) for wanted, tag in resource.asked[1:]] == [
        (n * 1_000_000, '"v1"') for n in (1, 2, 3)
    ]


def test_without_a_validator_it_begins_again():
    body, _, _ = fetched(resource := Resource(breaks=2, tag=""))
    assert body == BODY and resource.asked == [(None, None)] * 3


def test_an_earlier_attempt_goes_on():
    resource = Resource()
    body, response, _ = fetched(resource, io.BytesIO(BODY[:1000]), start=1000, validator='"v1"')
    assert body == BODY and response.status == 206 and resource.asked == [("bytes=1000-", '"v1"')]
    body, response, _ = fetched(Resource(tag='"v2"'), io.BytesIO(b"x" * 1000), start=1000, validator='"v1"')
    assert body == BODY and response.status == 200, "another version is fetched from its beginning"
    body, response, download = fetched(Resource(), io.BytesIO(BODY), start=len(BODY))
    assert body == BODY and response.status == 416 and download.done == download.size == len(BODY)
    body, _, _ = fetched(Resource(b"short"), io.BytesIO(b"x" * 1000), start=1000)
    assert body == b"short", "what is longer than the resource is not of it"
    body, _, _ = fetched(Resource(ranges=False), io.BytesIO(BODY[:7]), start=7)
    assert body == BODY


def test_it_gives_up_and_says_how_far_it_came():
    class Mute(Resource):
        async def __call__(self, reader, writer):
            await read_head(reader)
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: 100\r\n\r\n' if not self.asked else b"")
            writer.write(b"half" if not self.asked else b"")
            self.asked.append(1)

    kept = []
    with pytest.raises(ConnectionLost):
        fetched(Mute(), before=kept.append, attempts=2)
    assert kept[0].done == 4 and kept[0].validator == '"v1"'


@pytest.mark.parametrize("breaks", [0, 3])
def test_over_several_connections(breaks):
    resource = Resource(breaks=breaks, after=500_000)
    body, _, download = fetched(resource, connections=4)
    assert hashlib.sha256(body).digest() == hashlib.sha256(BODY).digest() and download.done == len(BODY)
    assert len(resource.asked) >= 4 and all(tag == '"v1"' for wanted, tag in resource.asked if wanted)


def test_small_ones_and_those_without_ranges_take_one_connection():
    body, _, _ = fetched(resource := Resource(BODY[:500_000]), connections=4)
    assert body == BODY[:500_000] and len(resource.asked) == 1
    body, _, _ = fetched(resource := Resource(ranges=False), connections=4)
    assert body == BODY and len(resource.asked) == 1


def test_a_resource_that_changes_meanwhile_is_not_mixed():
    class Changing(Resource):
        def answer(self, fields):
            self.tag = '"v1"' if len(self.asked) < 2 else '"v2"'
            return super().answer(fields)

    with pytest.raises(PeerError, match="it may have changed"):
        fetched(Changing(), connections=4)


def test_an_error_is_returned_and_leaves_the_file_alone():
    async def handle(reader, writer):
        await read_head(reader)
        writer.write(reply(b"gone", "404 Not Found"))

    body, response, _ = fetched(handle, io.BytesIO(b"kept"), start=4)
    assert response.status == 404 and response.content == b"gone" and body == b"kept"


def test_a_range_that_nobody_asked_for():
    async def handle(reader, writer):
        await read_head(reader)
        writer.write(reply(b"xxx", "206 Partial Content", content_range="bytes 5-7/100"))

    with pytest.raises(PeerError, match="bytes from 2 were asked for, the server sends those from 5"):
        fetched(handle, io.BytesIO(b"ab"), start=2)
