"""A WebSocket as a pure core, client or server, after its opening handshake (RFC 6455, RFC 7692).

It has the five verbs of `catenet.net.core`. Frames are read when events are asked for, so that what nobody asks for
waits as bytes: `full` says when there is enough of it.

    b"..." -> receive() -> next_event() -> str | bytes | Ping | Pong | Closed
    send(), ping(), close() -> transmit() -> b"..."
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Final

from catenet.http.websocket.assembly import Assembly
from catenet.http.websocket.codes import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, CloseCode, may_be_sent
from catenet.http.websocket.deflate import Deflate
from catenet.http.websocket.errors import Violation, WebSocketClosed
from catenet.http.websocket.events import Closed, Event, Ping, Pong
from catenet.http.websocket.frames import FIN, RSV1, build_frame, frame_head
from catenet.http.websocket.keepalive import Due, KeepAlive
from catenet.http.websocket.limits import WebSocketLimits
from catenet.http.websocket.mask import mask

__all__ = ["WebSocket"]

MAX_CONTROL: Final = 125
"""Bytes of payload of a control frame (section 5.5)."""
FULL: Final = 64 << 10
"""Bytes that nobody has asked for yet beyond which nothing more is read."""
JOINED: Final = 16 << 10
"""Payloads from which on a head is sent by itself instead of copying the payload behind it."""
_OPCODES: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_IDLE: Final = -1
_KEYS: Final = 1024
"""Bytes of entropy that are taken at once."""
_DEFAULT: Final = WebSocketLimits()


class WebSocket:
    """One connection. `client` tells which side: a client masks (section 5.1).

    `deflate` is what the handshake has agreed on; `entropy(count)` returns that many random bytes, for the masks of a
    client.
    """

    begun = True

    def __init__(
        self,
        client: bool,
        *,
        deflate: Deflate | None = None,
        limits: WebSocketLimits = _DEFAULT,
        entropy: Callable[[int], bytes] = lambda count: os.urandom(count),  # looked up late: in a world it is another
    ) -> None:
        self.client = client
        self.limits = limits
        self.closed = False
        """Whether nothing follows what `transmit` still returns."""
        self.close_sent: tuple[int, str] | None = None
        self._entropy = entropy
        self._keys, self._key_at = b"", 0
        # What came: bytes, how many of them have been read, and the frame that they continue.
        self._data, self._at = b"", 0
        self._eof = False
        self._left = _IDLE
        self._opcode = 0
        self._fin = False
        self._key = b""
        self._assembly = Assembly(limits, None if deflate is None else deflate.decompressor(not client))
        self._last: Closed | None = None
        self._late: Closed | None = None  # the same, when it is time that has ended the connection
        # What is to be sent: frames, and what follows the head of one.
        self._out: deque[tuple[bytes, bytes]] = deque()
        self._rest = b""
        self._pongs: deque[bytes] = deque(maxlen=limits.max_pongs)
        self._queued = 0
        self._deflater = None if deflate is None else deflate.compressor(client)
        self._min_size = 0 if deflate is None else deflate.min_size
        self._sending = CONTINUATION
        """The opcode of the message whose fragments are being sent."""
        self._sending_packed = False
        # Times.
        self._alive = KeepAlive(limits)

    # Input.

    def receive(self, data: bytes, now: float) -> None:
        """Take the next bytes from the peer; `b""`: nothing more will come."""
        if data:
            self._alive.heard(now)
            if self._last is not None:
                return
            rest = self._data
            self._data = data if self._at == len(rest) else rest[self._at :] + data
            self._at = 0
        else:
            self._eof = True

    @property
    def full(self) -> bool:
        """Whether enough waits to be asked for."""
        return len(self._data) - self._at > FULL

    @property
    def unread(self) -> bool:
        """Whether `next_event` has anything to look at."""
        return self._at < len(self._data) or self._eof or self._late is not None

    @property
    def unfinished(self) -> bool:
        """Whether the peer has begun a message or a frame and not finished it."""
        return self._last is None and (self._left != _IDLE or self._assembly.begun or self._at < len(self._data))

    def next_event(self) -> Event | None:
        """Return the next message, Ping, Pong or, at the end, Closed; None: nothing for now."""
        if self._last is not None:
            late, self._late = self._late, None
            if self._eof:
                self.closed = True
            return late
        try:
            event = self._read()
        except Violation as violation:
            return self._fail(violation.code, str(violation))
        if event is None and self._eof:
            return self._end_of_stream()
        return event

    def _read(self) -> Event | None:
        while True:
            if self._left == _IDLE and not self._read_head():
                return None
            event = self._read_control() if self._opcode & CLOSE else self._read_data()
            if event is not None:
                if self._last is not None or self.close_sent is None or isinstance(event, Ping | Pong):
                    return event
            elif self._left != _IDLE:
                return None

    def _read_head(self) -> bool:
        """Read the head of the next frame if it is there whole. Raises `Violation`."""
        data, at = self._data, self._at
        have = len(data) - at
        if have < 2:
            if have:
                self._check_first(data[at])
            return False
        first, second = data[at], data[at + 1]
        opcode = self._check_first(first)
        if (second < 0x80) is not self.client:
            raise Violation(CloseCode.PROTOCOL_ERROR, "a server masks" if self.client else "a client does not mask")
        size = second & 0x7F
        if opcode & CLOSE and (size > MAX_CONTROL or not first & FIN):
            raise Violation(CloseCode.PROTOCOL_ERROR, "a control frame is fragmented or too long")
        at += 2
        if size > MAX_CONTROL:
            width = 2 if size == 126 else 8
            if have < 2 + width:
                return False
            size = int.from_bytes(data[at : at + width])
            at += width
            if size < 126 or (width == 8 and not 0xFFFF < size < 1 << 63):
                raise Violation(CloseCode.PROTOCOL_ERROR, "a length is not in its shortest form, or negative")
        if size > self.limits.max_frame:
            raise Violation(CloseCode.TOO_BIG, f"a frame of {size} bytes is over the limit of {self.limits.max_frame}")
        if not self.client:
            if len(data) - at < 4:
                return False
            self._key = data[at : at + 4]
            at += 4
        self._at, self._left, self._opcode, self._fin = at, size, opcode, first >= FIN
        if not opcode & CLOSE:
            self._assembly.frame(opcode, size, first & RSV1 != 0)
        return True

    def _check_first(self, first: int) -> int:
        """Check the first byte of a frame; return its opcode."""
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            raise Violation(CloseCode.PROTOCOL_ERROR, f"opcode {opcode} is reserved")
        allowed = RSV1 if self._assembly.may_be_packed(opcode) else 0
        if first & 0x70 & ~allowed:
            raise Violation(CloseCode.PROTOCOL_ERROR, "a reserved bit is set")
        if not opcode & CLOSE and (opcode == CONTINUATION) is not self._assembly.begun:
            what = "continues nothing" if opcode == CONTINUATION else "begins before another message has ended"
            raise Violation(CloseCode.PROTOCOL_ERROR, f"a frame {what}")
        return opcode

    def _take(self, count: int) -> bytes:
        at = self._at
        self._at = end = at + count
        piece = self._data[at:end]
        if self._key and piece:
            return mask(piece, self._key)
        return piece

    def _read_data(self) -> str | bytes | None:
        left, have = self._left, len(self._data) - self._at
        if have < left:
            if have:
                piece = self._take(have)
                self._assembly.add(piece)
                self._left = left - have
                if self._key and (turned := have & 3):
                    self._key = self._key[turned:] + self._key[:turned]
            return None
        self._left = _IDLE
        piece = self._take(left)
        if self._fin:
            return self._assembly.finish(piece)
        self._assembly.add(piece)
        return None

    def _read_control(self) -> Event | None:
        if len(self._data) - self._at < self._left:
            return None
        payload = self._take(self._left)
        self._left = _IDLE
        if self._opcode == PING:
            if self.close_sent is None:
                self._pongs.append(payload)
            return Ping(payload)
        if self._opcode == PONG:
            self._alive.answered(payload)
            return Pong(payload)
        return self._read_close(payload)

    def _read_close(self, payload: bytes) -> Closed:
        code, reason = int(CloseCode.NO_STATUS), ""
        if payload:
            code = int.from_bytes(payload[:2])
            if len(payload) == 1 or not may_be_sent(code):
                raise Violation(CloseCode.PROTOCOL_ERROR, "a Close frame has a wrong code")
            try:
                reason = payload[2:].decode()
            except UnicodeDecodeError:
                raise Violation(CloseCode.INVALID_DATA, "the reason of a Close frame is not UTF-8") from None
        if self.close_sent is None:
            self._send_close(payload[:2], (code, reason))
        self._alive.stop()
        return self._finish(Closed(code, reason, clean=True))

    def _finish(self, event: Closed) -> Closed:
        """Nothing that comes counts any more. A server closes now, a client when the server has (section 7.1.1)."""
        self._last = event
        self._data, self._at = b"", 0
        self._assembly.clear()
        if self.client and event.clean and not self._eof:
            self._alive.begin_closing()
        else:
            self.closed = True
        return event

    def _fail(self, code: int, text: str) -> Closed:
        """Fail the connection (section 7.1.7)."""
        if self.close_sent is None:
            self._send_close(code.to_bytes(2) + _cut(text.encode(), MAX_CONTROL - 2), (code, text))
        self._alive.stop()
        return self._finish(Closed(code, "", error=text))

    def _end_of_stream(self) -> Closed:
        self._alive.stop()
        return self._finish(Closed(CloseCode.ABNORMAL, error="the connection ended without a Close frame"))

    # Output.

    def transmit(self, now: float) -> bytes:
        """Return the next bytes to be sent; `b""`: none."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._queued -= len(rest)
            return rest
        if self._pongs:
            pongs = b"".join([build_frame(FIN | PONG, payload, self._next_key()) for payload in self._pongs])
            self._pongs.clear()
            return pongs
        if not self._out:
            return b""
        data, self._rest = self._out.popleft()
        self._queued -= len(data)
        return data

    @property
    def queued(self) -> int:
        """Bytes that `transmit` has yet to return."""
        return self._queued

    def send(self, data: str | bytes | bytearray | memoryview, *, end: bool = True) -> None:
        """Send a message, text or binary; or a fragment of one, the last if `end`.

        Raises `WebSocketClosed` when the connection is closing, `TypeError` for other types, and when the fragments of
        one message are of both kinds.
        """
        payload, opcode = _payload(data)
        self._check_open()
        first = opcode
        if self._sending != CONTINUATION:
            if opcode != self._sending:
                raise TypeError("the fragments of a message are all text or all binary")
            first = CONTINUATION
        elif self._deflater is not None and (len(payload) >= self._min_size or not end):
            self._sending_packed = True
            first |= RSV1
        if self._sending_packed and self._deflater is not None:
            payload = self._deflater.compress(payload, end)
        if end:
            self._sending, self._sending_packed = CONTINUATION, False
            first |= FIN
        else:
            self._sending = opcode
        self._push(first, payload)

    def ping(self, payload: bytes = b"") -> None:
        """Send a Ping with at most 125 bytes. Raises `WebSocketClosed`."""
        self._control(PING, payload)

    def pong(self, payload: bytes = b"") -> None:
        """Send a Pong that nobody has asked for (section 5.5.3). Raises `WebSocketClosed`."""
        self._control(PONG, payload)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Begin to close; messages that come after this are dropped. Without effect if it has begun already.

        1005 stands for a Close frame without a code. Raises `ValueError` for a code that may not be sent, and for a
        reason of more than 123 bytes.
        """
        if code == CloseCode.NO_STATUS and not reason:
            payload = b""
        elif not may_be_sent(code):
            raise ValueError(f"close code {code} may not be sent: 1000 to 1014 but 1004 to 1006, or 3000 to 4999")
        else:
            payload = code.to_bytes(2) + reason.encode()
        if len(payload) > MAX_CONTROL:
            raise ValueError(f"the reason has {len(payload) - 2} bytes, of which a Close frame takes 123")
        if self.close_sent is None and self._last is None:
            self._send_close(payload, (code, reason))
            self._alive.begin_closing()

    def drain(self, now: float) -> None:
        """Say that we are going away."""
        self.close(CloseCode.GOING_AWAY)

    def _control(self, opcode: int, payload: bytes) -> None:
        self._check_open()
        if len(payload) > MAX_CONTROL:
            raise ValueError(f"a control frame takes {MAX_CONTROL} bytes, not {len(payload)}")
        self._push(FIN | opcode, bytes(payload))

    def _check_open(self) -> None:
        if self._last is not None:
            raise WebSocketClosed(self._last.code, self._last.reason, self._last.error)
        if self.close_sent is not None:
            raise WebSocketClosed(*self.close_sent)

    def _send_close(self, payload: bytes, said: tuple[int, str]) -> None:
        self._push(FIN | CLOSE, payload)
        self.close_sent = said

    def _push(self, first: int, payload: bytes) -> None:
        key = self._next_key()
        if len(payload) < JOINED:
            head, rest = build_frame(first, payload, key), b""
        else:
            head, rest = frame_head(first, len(payload), key), mask(payload, key) if key else payload
        self._out.append((head, rest))
        self._queued += len(head) + len(rest)

    def _next_key(self) -> bytes:
        if not self.client:
            return b""
        if self._key_at >= len(self._keys):
            self._keys, self._key_at = self._entropy(_KEYS), 0
        self._key_at = end = self._key_at + 4
        return self._keys[end - 4 : end]

    # Times.

    @property
    def latency(self) -> float | None:
        """Seconds from the last Ping of `ping_interval` to its Pong; None: there was none yet."""
        return self._alive.latency

    def next_deadline(self) -> float | None:
        """Return when `handle_timeout` has something to do, or None."""
        return None if self.closed else self._alive.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """Send a Ping, or give up a peer that does not answer."""
        due = self._alive.expire(now)
        if due is Due.PING and self.close_sent is None:
            self._control(PING, self._alive.payload)
        elif due is Due.SILENT and self._last is None:
            self._late = self._fail(CloseCode.INTERNAL_ERROR, "no answer to a Ping in time")
        elif due is Due.CLOSE:
            if self._last is not None:
                self.closed = True
            else:
                self._late = self._finish(Closed(CloseCode.ABNORMAL, error="no answer to a Close frame in time"))


def _payload(data: str | bytes | bytearray | memoryview) -> tuple[bytes, int]:
    if isinstance(data, str):
        return data.encode(), TEXT
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), BINARY
    raise TypeError(f"a message is str or bytes, not {type(data).__name__}")


def _cut(text: bytes, size: int) -> bytes:
    return text[:size].decode(errors="ignore").encode()
