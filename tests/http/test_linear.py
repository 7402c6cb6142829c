"""Input that grows costs what it is long, not the square of it.

No time is asserted. The sizes are such that anything quadratic takes many minutes, and the limit of time that every
test has ends it.
"""

import pytest

from catenet.http import events as ev
from catenet.http.h1.connection import H1Connection
from catenet.http.h2 import frames, huffman
from catenet.http.h2.connection import Connection
from catenet.http.h2.hpack import Decoder, Encoder, Memo
from catenet.http.limits import Limits
from catenet.http.message import RequestHead, ResponseHead

pytestmark = pytest.mark.slow(10)

MIB = 1 << 20
WIDE = Limits(
    max_header_list=8 * MIB, max_held=1 << 30, stream_window=1 << 30, max_continuations=MIB, max_frame=8 * MIB
)
POST = b"POST /s/m HTTP/1.1\r\nhost: h\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


def served(chunks: list[bytes], limits: Limits = WIDE) -> list[tuple]:
    """Feed a server, answer each request at once, return the events."""
    machine = H1Connection(False, limits)
    found: list[tuple] = []
    for chunk in chunks:
        events = machine.receive(chunk, 0.0)
        while events or machine.pending:
            found += events
            for _, stream, _, end in events:
                if end and stream is not None and stream.local_open:
                    machine.send_reply(stream, ResponseHead(200), b"", None)
            events = machine.receive(b"", 0.0) if machine.pending else []
    return found


@pytest.mark.parametrize("symbol", [b"\0", b"e", b"~"])
def test_huffman(symbol):
    """Codes of 13, 5 and 13 bits: every alignment of the next symbol comes up."""
    data = (symbol * 7 + b"\xff") * (MIB // 4)
    coded = huffman.encode(data)
    assert len(coded) == huffman.encoded_length(data)
    assert huffman.decode(coded) == data


def test_a_head_of_megabytes_through_hpack():
    fields = ((b"grpc-message", b"e" * 4 * MIB), *((b"x-%d" % at, b"v") for at in range(50_000)))
    decoder = Decoder(lambda found: found, Memo(), 1 << 30)
    assert decoder.decode(Encoder(Memo()).encode(fields)) == fields


@pytest.mark.parametrize("step", [1, 7, 16384])
def test_a_header_block_in_many_frames(step):
    pseudo = ((b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"a"), (b":path", b"/s/m"))
    fields = (*pseudo, (b"x", b"v" * (MIB // 2)))
    block = Encoder(Memo()).encode(fields)
    pieces = [block[at : at + step] for at in range(0, len(block), step)]
    data = [frames.frame(frames.HEADERS, 0, 1, pieces[0])]
    data += [frames.frame(frames.CONTINUATION, 0, 1, piece) for piece in pieces[1:]]
    data.append(frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1))
    server = Connection(False, WIDE)
    server.receive(frames.PREFACE + frames.settings({}), 0.0)
    events = server.receive(b"".join(data), 0.0)
    assert [kind for kind, *_ in events] == [ev.HEAD]
    assert events[0][2].get(b"x") == fields[-1][1]


@pytest.mark.parametrize(
    "tail",
    [b"a:" + b" " * 2 * MIB + b"\x01", b"a: b" + b" " * 2 * MIB + b"\x01", b"a:" + b"\t " * MIB + b"\x7f"],
)
def test_a_malformed_trailer_of_blanks(tail):
    events = served([CHUNKED + b"0\r\n" + tail + b"\r\n\r\n"])
    assert events[-1][0] == ev.CLOSED and "malformed field line" in str(events[-1][2])


def test_many_trailers():
    count = 400_000
    events = served([CHUNKED + b"0\r\n" + b"a: b \r\n" * count + b"\r\n"])
    assert events[-1][2] == ((b"a", b"b"),) * count


@pytest.mark.parametrize("before", [POST + b"x: ", CHUNKED + b"0\r\nx: "], ids=["head", "trailer"])
def test_a_line_byte_by_byte(before):
    events = served([before, *[b"v"] * MIB, b"\r\n\r\n"])
    fields = events[-1][2].fields if events[-1][0] == ev.HEAD else events[-1][2]
    assert fields[-1] == (b"x", b"v" * MIB)


def test_many_requests_at_once():
    count = 100_000
    events = served([(POST + b"content-length: 0\r\n\r\n") * count])
    assert len(events) == count


def test_many_chunks_at_once():
    count = 300_000
    events = served([CHUNKED + b"1\r\nx\r\n" * count + b"0\r\n\r\n"])
    assert sum(len(value) for kind, _, value, _ in events if kind == ev.DATA) == count


def test_many_interim_responses_at_once():
    """A client that handled each inside the one before would run out of stack."""
    count = 50_000
    client = H1Connection(True, Limits(max_interim=count))
    client.open(RequestHead(b"GET", b"/", (), b"h"), True)
    data = b"HTTP/1.1 103 Early Hints\r\n\r\n" * count + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    events = client.receive(data, 0.0)
    assert [kind for kind, *_ in events] == [ev.INTERIM] * count + [ev.HEAD]


@pytest.mark.parametrize("cut", range(1, 40))
def test_what_follows_a_request_is_kept_wherever_it_is_cut(cut):
    """The used part of the buffer stays in it for a while: what comes next begins behind it."""
    first = CHUNKED + b"3\r\nabc\r\n0\r\nt: u\r\n\r\n"
    second = POST + b"content-length: 2\r\n\r\nxy"
    data = first + second + second
    at = len(first) - 20 + cut
    events = served([data[:at], data[at:]])
    assert [kind for kind, *_ in events if kind != ev.DATA] == [ev.HEAD, ev.TRAILERS, ev.HEAD, ev.HEAD]
    assert b"".join(value for kind, _, value, _ in events if kind == ev.DATA) == b"abcxyxy"
