"""How a connection of a client begins: with a new session, or with one that goes on. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

from catenet.session import keys, wire
from catenet.session.core import Ending, Options, Session
from catenet.session.heartbeat import Heartbeat, Path
from catenet.session.link import Link
from catenet.session.receiving import Receiving
from catenet.session.sending import Sending

__all__ = ["ClientLink", "Entropy", "binding", "client_session"]

Entropy = Callable[[int], bytes]
"""Returns so many random bytes."""

REFUSED: Final = {
    wire.Refusal.UNKNOWN: "the server does not know the session",
    wire.Refusal.BUSY: "the server has no room for another session",
    wire.Refusal.DENIED: "the server does not permit it (its key, its TLS or its kind of stream is another)",
}

STRANGERS: Final = {
    b"HTTP": "HTTP",
    b"SSH-": "SSH",
    b"\x15\x03": "TLS, of which the URL says nothing (session+tls://)",
}
"""What servers of other protocols answer or begin with."""


class _Step(enum.Enum):
    NEW = "asked for a session"
    RESUME = "asked to go on"
    ATTACHED = "through"


def client_session(options: Options, entropy: Entropy, credentials: bytes = b"") -> Session:
    """Return the session of a client, which has yet to begin."""
    start = int.from_bytes(entropy(4), "big")
    session = Session(Sending(start, 0), Receiving(0, options.buffer), options.expiry, Path(options.heartbeat))
    session.credentials = credentials
    return session


def binding(options: Options, channel: bytes) -> bytes:
    """Return what proofs are bound to."""
    return channel if options.channel_binding else b""


class ClientLink(Link):
    """A connection of a client. `refused`: the server will not have it; `redirect`: where it says to go."""

    __slots__ = ("_begun", "_new", "_options", "_owner", "_private", "_step", "entropy", "redirect", "refused")

    def __init__(self, session: Session, options: Options, entropy: Entropy) -> None:
        super().__init__()
        self._owner = session
        self._options = options
        self.entropy = entropy
        self._step = _Step.NEW
        self._new = b""
        self._private = b""
        self._begun = 0.0
        self.refused: int | None = None
        self.redirect = ""

    @property
    def attached(self) -> bool:
        """Whether the server has answered."""
        return self._step is _Step.ATTACHED

    def open(self, now: float) -> None:
        """Ask for a session, or to go on with the one that there is; then go on at once."""
        self._begun = now
        if self._owner.token:
            self._resume()
        else:
            self._ask()

    def _beat(self) -> int:
        return max(1, round(self._owner.path.most))

    def _take(self, data: bytes, now: float) -> None:
        try:
            super()._take(data, now)
        except wire.ForeignError:
            if self.attached:
                raise
            head = self._reader.head
            what = next((name for start, name in STRANGERS.items() if head.startswith(start)), None)
            looks = f"begins with {head!r}" if what is None else f"looks like {what}"
            raise wire.FrameError(f"this is no session server: its answer {looks}") from None

    def _ask(self) -> None:
        session, options = self._owner, self._options
        self._private = self.entropy(32)
        nonce, public = self.entropy(wire.NONCE), keys.public_key(self._private)
        bound = bool(binding(options, self.channel))
        expiry, start = int(session.expiry), session.sending.start
        window = session.receiving.window
        self._new = wire.New(bound, options.messages, self._beat(), expiry, window, start, nonce, public).pack()
        self._out.append(wire.frame(wire.NEW, self._new))

    def _resume(self) -> None:
        session = self._owner
        assert session.keys is not None
        session.epoch += 1
        self._step = _Step.RESUME
        bound = binding(self._options, self.channel)
        received, limit = session.receiving.say()
        nonce = self.entropy(wire.NONCE)
        payload = wire.Resume(bool(bound), self._beat(), session.epoch, received, limit, nonce, session.token).pack()
        self._new = payload + session.keys.client_proof(b"resume", payload, bound)
        self._out.append(wire.frame(wire.RESUME, self._new))
        if not session.confirmed:
            self._confirm(session)
        self.session = session
        session.try_out(self)

    def _confirm(self, session: Session) -> None:
        assert session.keys is not None
        proof = session.keys.client_proof(b"confirm", session.credentials)
        self._out.append(wire.frame(wire.CONFIRM, proof + session.credentials))

    def handshake(self, kind: int, payload: bytes, now: float) -> None:
        """Take the server's answer."""
        if kind == wire.REFUSED and not self.attached:
            self._be_refused(payload[0] if payload else 0, now)
        elif kind == wire.REDIRECT and not self.attached:
            self.redirect = payload.decode("ascii", "replace")
            self.fail("the session is at another server", now)
        elif kind == wire.ACCEPT and self._step is _Step.NEW:
            self._accepted(payload, now)
        elif kind == wire.RESUMED and self._step is _Step.RESUME:
            self._resumed(wire.Resumed.parse(payload), payload, now)
        else:
            raise wire.FrameError(f"a frame of type {kind:#x} may not come now")

    def _be_refused(self, code: int, now: float) -> None:
        session = self._owner
        was_resume = self._step is _Step.RESUME
        self.refused = code
        self.fail(REFUSED.get(code, "the server refuses the session"), now)
        if was_resume and session.ended is None and self._is_newest():
            # Who has everything and has been told everything need not be told that it is over.
            session.finish(Ending.DONE if session.complete else Ending.LOST)

    def _is_newest(self) -> bool:
        # The epoch that this connection has named; a refusal of an older one says nothing.
        return wire.Resume.parse(self._new).epoch == self._owner.epoch

    def _accepted(self, payload: bytes, now: float) -> None:
        accept = wire.Accept.parse(payload)
        session, options = self._owner, self._options
        shared = keys.exchange(self._private, accept.public)
        if shared is None:
            raise wire.FrameError("the server's public key is none")
        said = payload[: -wire.PROOF]
        nonces = wire.New.parse(self._new).nonce + accept.nonce
        transcript = self._new + said + binding(options, self.channel)
        made = keys.derive(shared, options.key or b"", nonces, transcript)
        if not keys.same(accept.proof, made.server_proof(b"accept")):
            self.refused = wire.Refusal.DENIED
            self.fail("the server proves nothing: its key is another, or TLS ends elsewhere", now)
            return
        session.keys, session.token = made, accept.token
        session.expiry = min(session.expiry, accept.expiry)
        session.sending.limit = session.sending.start + accept.window
        session.receiving = Receiving(accept.start, session.receiving.window)
        self._confirm(session)
        self._attach(session, now)

    def _resumed(self, resumed: wire.Resumed, payload: bytes, now: float) -> None:
        session = self._owner
        assert session.keys is not None
        proof, said = self._new[-wire.PROOF :], payload[: -wire.PROOF]
        bound = binding(self._options, self.channel)
        if resumed.epoch != wire.Resume.parse(self._new).epoch or not keys.same(
            resumed.proof, session.keys.server_proof(b"resumed", proof, said, bound)
        ):
            raise wire.FrameError("the server proves nothing")
        session.sending.acknowledge(resumed.received, resumed.limit)
        self._attach(session, now)

    def _attach(self, session: Session, now: float) -> None:
        self._step = _Step.ATTACHED
        self.session = session
        session.path.measured(max(now - self._begun, 0.0))
        self.heartbeat = Heartbeat(session.path, now)
        session.attach(self)
