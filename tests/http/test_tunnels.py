"""Tunnels after 101, after 2xx to CONNECT, and of RFC 8441: both sides of both versions; nothing is smuggled in."""

import asyncio
import contextlib

import pytest
import uvloop
from h2wire import Pair, Raw

from catenet.http import events as ev
from catenet.http.driver import HttpProtocol
from catenet.http.errors import ErrorCode
from catenet.http.h1.connection import H1Connection
from catenet.http.h2 import frames
from catenet.http.h2.connection import Connection
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
CONNECT = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
SWITCH = ResponseHead(101, ((b"upgrade", b"websocket"),))
OK = ResponseHead(200, ())
ASKS = RequestHead(b"GET", b"/chat", ((b"upgrade", b"websocket"),), b"h")
DIALS = RequestHead(b"CONNECT", b"", (), b"example.org:443")
EXTENDED = RequestHead(b"CONNECT", b"/chat", (), b"h", b"https", b"websocket")


def data_of(events):
    return b"".join(value for kind, _, value, _ in events if kind == ev.DATA)


def server_with(request):
    machine = H1Connection(False)
    events = machine.receive(request, 0.0)
    return machine, events[0][1], events


@pytest.mark.parametrize(("request_bytes", "answer"), [(UPGRADE, SWITCH), (CONNECT, OK)])
def test_a_tunnel_at_a_server_of_http_1_1(request_bytes, answer):
    machine, stream, events = server_with(request_bytes)
    assert [kind for kind, *_ in events] == [ev.HEAD]
    assert events[0][3] is not stream.connects  # the request of an Upgrade is over, a CONNECT goes on
    machine.send_head(stream, answer)
    head = machine.transmit()
    assert head.startswith(b"HTTP/1.1 %d " % answer.status)
    assert b"content-length" not in head and b"transfer-encoding" not in head
    assert (b"connection: upgrade\r\n" in head) is (answer is SWITCH)
    assert machine.receive(b"\x81\r\n\r\n", 0.0) == [(ev.DATA, stream, b"\x81\r\n\r\n", False)]
    assert machine.send_data(stream, b"up")
    assert machine.transmit() == b"up" and not machine.ends_output
    machine.send_data(stream, b"last", True)
    assert machine.transmit() == b"last" and machine.ends_output
    assert machine.receive(b"more", 0.0) == [(ev.DATA, stream, b"more", False)]
    assert machine.receive_eof() == [(ev.DATA, stream, b"", True), (ev.CLOSED, None, None, True)]


@pytest.mark.parametrize(("request_bytes", "answer"), [(UPGRADE, SWITCH), (CONNECT, OK)])
def test_a_peer_that_ends_first_can_still_be_sent_to(request_bytes, answer):
    machine, stream, _ = server_with(request_bytes)
    machine.send_head(stream, answer)
    assert machine.receive_eof() == [(ev.DATA, stream, b"", True)]
    assert machine.answers
    machine.send_data(stream, b"bye", True)
    assert machine.transmit().endswith(b"bye")
    assert machine.receive(b"", 0.0) == [(ev.CLOSED, None, None, True)]


@pytest.mark.parametrize("request_bytes", [UPGRADE, CONNECT])
def test_what_comes_behind_waits_for_the_answer(request_bytes):
    """Bytes of a tunnel only once there is one; and not a request as long as there may be one."""
    machine, stream, events = server_with(request_bytes + GET)
    assert [kind for kind, *_ in events] == [ev.HEAD]
    assert machine.receive(GET, 0.0) == [] and not machine.pending
    machine.send_head(stream, SWITCH if request_bytes is UPGRADE else OK)
    assert machine.pending
    assert machine.receive(b"", 0.0) == [(ev.DATA, stream, GET + GET, False)]


def test_a_server_that_does_not_upgrade_goes_on_with_http():
    machine, stream, _ = server_with(UPGRADE + GET)
    machine.send_reply(stream, OK, b"no", None)
    assert b"connection" not in machine.transmit()
    ((kind, second, head, end),) = machine.receive(b"", 0.0)
    assert (kind, head.path, end) == (ev.HEAD, b"/", True) and second is not stream


def test_a_refused_connect_ends_the_connection():
    """What a client has sent in the hope of a tunnel must not be read as requests."""
    machine, stream, _ = server_with(CONNECT + GET)
    machine.send_reply(stream, ResponseHead(403), b"no", None)
    assert b"connection: close\r\n" in machine.transmit()
    assert [kind for kind, *_ in machine.receive(b"", 0.0)] == [ev.CLOSED]
    assert machine.receive(GET, 0.0) == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET,
        UPGRADE.replace(b", Upgrade", b""),
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        UPGRADE.replace(b"websocket", b"h2c"),
        UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"),
    ],
)
def test_nothing_is_switched_to_that_was_not_asked_for(request_bytes):
    machine, stream, _ = server_with(request_bytes)
    with pytest.raises(ValueError, match="101"):
        machine.send_head(stream, SWITCH)
    assert machine.transmit() == b""


def test_an_upgrade_after_the_body_of_its_request():
    machine, stream, _ = server_with(UPGRADE.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + b"helloraw")
    machine.send_head(stream, SWITCH)
    assert machine.receive(b"", 0.0) == [(ev.DATA, stream, b"raw", False)]


@pytest.mark.parametrize(
    "target", [b"/", b"example.org", b"http://example.org:443/", b"user@example.org:443", b"a:443/x", b":443", b"a:x",
               b"a:0", b"a:000", b"a:65536", b"a:100000", b"[v1.]:443", b"a%:443"]
)  # fmt: skip
def test_connect_takes_host_and_port_only(target):
    machine = H1Connection(False)
    machine.receive(CONNECT.replace(b"example.org:443 ", target + b" "), 0.0)
    assert machine.transmit().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_connect_has_no_body(framing):
    machine = H1Connection(False)
    machine.receive(CONNECT.replace(b"\r\n\r\n", b"\r\n" + framing + b"\r\n\r\n") + b"hello", 0.0)
    assert machine.transmit().startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("target", [b"example.org:443", b"a_b:000443", b"[::1]:443", b"[v1.a]:443", b"a%41:443"])
def test_connect_names_its_target(target):
    _, _, events = server_with(CONNECT.replace(b"example.org:443 ", target + b" "))
    assert (events[0][2].path, events[0][2].authority) == (b"", target)
    pair = Pair()
    pair.request(RequestHead(b"CONNECT", b"", (), target), end=False)
    assert [value.authority for kind, _, value, _ in pair.at_server if kind == ev.HEAD] == [target]


# Clients of HTTP/1.1.


def test_a_client_that_asked_gets_its_tunnel():
    machine = H1Connection(True)
    stream = machine.open(ASKS, True)
    assert b"upgrade: websocket\r\nconnection: upgrade\r\n" in machine.transmit()
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    events = machine.receive(answer + b"\x81\x00", 0.0)
    assert [(kind, end) for kind, _, _, end in events] == [(ev.HEAD, False), (ev.DATA, False)]
    assert events[0][2].status == 101 and events[1][2] == b"\x81\x00"
    machine.send_data(stream, b"up", True)
    assert machine.transmit() == b"up" and machine.ends_output
    assert machine.closing and not machine.can_open
    assert machine.receive_eof() == [(ev.DATA, stream, b"", True), (ev.CLOSED, None, None, True)]


def test_connect_at_a_client():
    machine = H1Connection(True)
    stream = machine.open(DIALS, False)
    assert machine.transmit() == b"CONNECT example.org:443 HTTP/1.1\r\nhost: example.org:443\r\n\r\n"
    assert not machine.send_data(stream, b"hello")  # nothing is sent in hope
    machine.hold(), machine.release()
    assert machine.transmit() == b""
    events = machine.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\x16\x03", 0.0)
    assert [kind for kind, *_ in events] == [ev.HEAD, ev.DRAINED, ev.DATA]
    assert machine.transmit() == b"hello"


def test_a_refused_connect_at_a_client_is_a_response_like_any_other():
    machine = H1Connection(True)
    stream = machine.open(DIALS, False)
    machine.send_data(stream, b"hello")
    events = machine.receive(b"HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno", 0.0)
    assert [(kind, end) for kind, _, _, end in events] == [(ev.HEAD, False), (ev.DATA, True)]
    assert b"hello" not in machine.transmit() and machine.queued == 0
    assert machine.can_open


@pytest.mark.parametrize(
    ("head", "fields"),
    [
        (RequestHead(b"GET", b"/", (), b"h"), b"Upgrade: websocket\r\nConnection: upgrade\r\n"),
        (ASKS, b"Upgrade: h2c\r\nConnection: upgrade\r\n"),
        (ASKS, b"Upgrade: websocket, h2c\r\nConnection: upgrade\r\n"),
        (ASKS, b"Upgrade: websocket\r\n"),
        (ASKS, b""),
        (DIALS, b"Upgrade: websocket\r\nConnection: upgrade\r\n"),
    ],
)
def test_a_client_takes_no_switch_that_it_did_not_ask_for(head, fields):
    machine = H1Connection(True)
    machine.open(head, head is not DIALS)
    machine.transmit()
    events = machine.receive(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\nraw", 0.0)
    assert [kind for kind, *_ in events] == [ev.RESET, ev.CLOSED]


def test_a_server_cannot_switch_inside_a_request():
    machine = H1Connection(True)
    machine.open(RequestHead(b"POST", b"/", ASKS.fields, b"h"), False)
    machine.transmit()
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert [kind for kind, *_ in machine.receive(answer, 0.0)] == [ev.RESET, ev.CLOSED]


def test_a_tunnel_that_nobody_reads_or_that_the_peer_does_not_read_has_limits():
    machine = H1Connection(False, Limits(stream_window=1000, max_queued=1000))
    stream = machine.receive(UPGRADE, 0.0)[0][1]
    machine.send_head(stream, SWITCH)
    machine.receive(bytes(2000), 0.0)
    assert machine.paused
    machine.consume(stream, 2000)
    assert not machine.paused
    machine.transmit()
    machine.hold()
    assert not machine.send_data(stream, bytes(2000))
    assert machine.failed is not None and machine.transmit() == b""  # no 400 into a tunnel


# HTTP/2.


def tunnel_pair(head):
    pair = Pair(server=Limits(connect_protocol=True))
    assert pair.client.connect_protocol and pair.client.settled
    mine = pair.client.open(head, False)
    pair.run()
    theirs = pair.at_server[-1][1]
    pair.server.send_head(theirs, OK)
    pair.run()
    return pair, mine, theirs


@pytest.mark.parametrize("head", [DIALS, EXTENDED])
def test_a_tunnel_over_http_2(head):
    pair, mine, theirs = tunnel_pair(head)
    received = pair.at_server[-1][2]
    assert (received.method, received.path, received.authority, received.protocol) == (
        b"CONNECT", head.path, head.authority, head.protocol,
    )  # fmt: skip
    assert [(kind, end) for kind, _, _, end in pair.at_client if kind == ev.HEAD] == [(ev.HEAD, False)]
    pair.client.send_data(mine, b"up")
    pair.server.send_data(theirs, b"down", True)  # half-close: the other direction goes on
    pair.run()
    assert (data_of(pair.at_server), data_of(pair.at_client)) == (b"up", b"down")
    assert pair.at_client[-1][3] and theirs.id in pair.server.streams
    pair.client.send_data(mine, b"more", True)
    pair.run()
    assert data_of(pair.at_server) == b"upmore" and pair.at_server[-1][3]
    assert not pair.client.streams and not pair.server.streams
    assert pair.client.can_open


def test_a_tunnel_ignores_what_its_head_declares():
    pair = Pair()
    mine = pair.client.open(DIALS, False)
    pair.run()
    theirs = pair.at_server[-1][1]
    pair.server.send_head(theirs, ResponseHead(200, ((b"content-length", b"2"),)))
    pair.server.send_data(theirs, b"hello")
    pair.run()
    assert data_of(pair.at_client) == b"hello" and mine.tunnel


def test_trailers_in_a_tunnel_are_an_error():
    pair, mine, _ = tunnel_pair(DIALS)
    pair.client.send_trailers(mine, ((b"x", b"y"),))
    pair.run()
    assert [value.code for kind, _, value, _ in pair.at_server if kind == ev.RESET] == [ErrorCode.PROTOCOL_ERROR]


def connect_fields(**changes):
    fields = {"method": b"CONNECT", "protocol": b"websocket", "scheme": b"https", "path": b"/", "authority": b"h"}
    return tuple((b":" + name.encode(), value) for name, value in (fields | changes).items() if value is not None)


@pytest.mark.parametrize(
    ("fields", "announced"),
    [
        (connect_fields(), False),
        (connect_fields(method=b"GET"), True),
        (connect_fields(authority=None), True),
        (connect_fields(scheme=None), True),
        (connect_fields(path=None), True),
        (connect_fields(protocol=b"a b"), True),
        (connect_fields(protocol=b""), True),
        (connect_fields(protocol=None), True),
        (connect_fields(protocol=None, scheme=None, path=None, authority=None), True),
    ],
)
def test_malformed_connects_over_http_2(fields, announced):
    raw = Raw(Limits(connect_protocol=announced))
    raw.headers(1, fields, end=False)
    assert raw.resets() == {1: ErrorCode.PROTOCOL_ERROR}


def test_the_setting_of_extended_connect():
    for announced in (True, False):
        sent = Connection(False, Limits(connect_protocol=announced)).transmit()
        assert (bytes((0, 8, 0, 0, 0, 1)) in sent) is announced
    client = Connection(True)
    client.receive(frames.settings({8: 1}), 0.0)
    client.receive(frames.settings({8: 0}), 0.0)
    assert client.failed is not None
    client = Connection(True)
    client.receive(frames.settings({8: 2}), 0.0)
    assert client.failed is not None


def test_http_2_has_no_101():
    pair = Pair()
    _, theirs = pair.request()
    with pytest.raises(ValueError, match="101"):
        pair.server.send_head(theirs, SWITCH)


# On a transport.


LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def run(scenario, loop):
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(scenario, 60))


class Echo(HttpProtocol):
    """Answers every request with a tunnel, and sends back what comes."""

    def on_head(self, stream, head, end):
        stream.owner = self
        self.stream = stream
        self.core.send_head(stream, SWITCH if head.upgrade else OK)

    def on_data(self, data, end):
        self.core.consume(self.stream, len(data))
        self.core.send_data(self.stream, data.upper() if not end else data + b"that was all", end)
        self.touch()

    def on_trailers(self, fields):
        pass

    def on_reset(self, reset):
        pass

    def on_drained(self):
        pass


@contextlib.asynccontextmanager
async def echo_server():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(loop, H1Connection(False)), "127.0.0.1", 0)
    try:
        yield await asyncio.open_connection(*server.sockets[0].getsockname())
    finally:
        server.close()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("request_bytes", [UPGRADE, CONNECT])
def test_half_close_on_a_socket(request_bytes, loop):
    """The end of one direction passes through, the other still carries bytes, and then the connection closes."""

    async def scenario():
        async with echo_server() as (reader, writer):
            writer.write(request_bytes + b"early ")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"and late, ")
            assert await reader.readexactly(16) == b"EARLY AND LATE, "
            writer.write_eof()
            assert await reader.read() == b"that was all"
            writer.close()
            await writer.wait_closed()

    run(scenario(), loop)


class Slow(HttpProtocol):
    """Answers after the next turns of the event loop."""

    def on_head(self, stream, head, end):
        self.loop.call_later(0.01, self.answer, stream)

    def answer(self, stream):
        self.core.send_reply(stream, OK, b"hi", None)
        self.touch()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("count", [1, 3])
def test_a_client_that_has_ended_its_direction_is_answered(count, loop):
    """What `nc -N` and old clients do; also all requests that it has sent together."""

    async def scenario():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Slow(loop, H1Connection(False)), "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(GET * count)
        writer.write_eof()
        assert (await reader.read()).count(b"HTTP/1.1 200 OK") == count
        writer.close()
        server.close()

    run(scenario(), loop)


@pytest.mark.parametrize("rest", [b"GET / HT", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel"])
def test_a_client_that_ends_inside_a_request_is_not_waited_for(rest):
    machine, stream, _ = server_with(GET + rest)
    machine.receive_eof()
    machine.send_reply(stream, OK, b"hi", None)
    assert machine.pending
    events = machine.receive(b"", 0.0)
    assert events[-1][0] == ev.CLOSED and machine.failed is not None
    assert not machine.answers
