"""An HTTP/1.1 server whose client sends pieces of anything, and whose application does anything, in any order."""

from hypothesis import given, settings
from hypothesis import strategies as st

from catenet.http import events as ev
from catenet.http.h1.connection import H1Connection
from catenet.http.limits import Limits
from catenet.http.message import ResponseHead

PIECES = [
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", b"CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", b"hello", b"hel", b"lo",
    b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n",
    b"0\r\nx: y\r\n\r\n", b"\r\n", b"G", b"\0", b"",
]  # fmt: skip
HEADS = [
    ResponseHead(200), ResponseHead(200, ((b"content-length", b"5"),)), ResponseHead(204), ResponseHead(304),
    ResponseHead(100), ResponseHead(103), ResponseHead(101, ((b"upgrade", b"x"),)),
    ResponseHead(403, ((b"connection", b"close"),)),
]  # fmt: skip
ACTIONS = st.one_of(
    st.tuples(st.just("receive"), st.sampled_from(PIECES)),
    st.tuples(st.just("head"), st.sampled_from(HEADS), st.booleans()),
    st.tuples(st.just("data"), st.sampled_from([b"", b"hello", b"more"]), st.booleans()),
    st.tuples(st.just("reply"), st.sampled_from(HEADS[:4]), st.sampled_from([b"", b"hello"]), st.booleans()),
    st.tuples(
        st.sampled_from(["trailers", "reset", "abandon", "invite", "hold", "release", "eof", "drain", "transmit"])
    ),
)


class Script:
    """The machine and who uses it; checks what has to be true after every step."""

    def __init__(self) -> None:
        self.machine = H1Connection(False, Limits(max_queued=1000, stream_window=1000))
        self.streams: list = []
        self.ended: set = set()
        self.closed = False

    def take(self, events):
        for kind, stream, _, end in events:
            assert not self.closed, "something comes after the end"
            if kind == ev.CLOSED:
                self.closed = True
            if stream is not None and kind in (ev.HEAD, ev.DATA, ev.TRAILERS):
                again = stream.tunnel and kind == ev.DATA
                assert stream.id not in self.ended or again
                if kind == ev.HEAD:
                    self.streams.append(stream)
                if end and not again:
                    self.ended.add(stream.id)

    def step(self, action):
        machine, stream = self.machine, self.streams[-1] if self.streams else None
        name, *words = action
        if name == "receive":
            self.take(machine.receive(words[0], 0.0))
        elif name in ("hold", "drain", "transmit"):
            getattr(machine, name)()
        elif name == "release":
            self.take(machine.release())
        elif name == "eof":
            self.take(machine.receive_eof())
        elif stream is not None:
            self.use(machine, stream, name, words)
        for _ in range(1000):
            if not machine.pending:
                break
            self.take(machine.receive(b"", 0.0))
        assert not machine.pending, "it does not come to rest"
        assert machine.queued >= 0 and len(machine.streams) <= 1

    def use(self, machine, stream, name, words):
        try:
            if name == "head":
                machine.send_head(stream, *words)
            elif name == "data":
                machine.send_data(stream, *words)
            elif name == "reply":
                machine.send_reply(stream, words[0], words[1], ((b"t", b"u"),) if words[2] else None)
            elif name == "trailers":
                machine.send_trailers(stream, ((b"t", b"u"),))
            else:
                getattr(machine, name)(stream)
        except ValueError:
            pass  # a mistake of the application, of which nothing has been sent


@settings(deadline=None, max_examples=300)
@given(st.lists(ACTIONS, max_size=25))
def test_nothing_is_raised_and_every_connection_comes_to_rest(actions):
    script = Script()
    for action in actions:
        script.step(action)
