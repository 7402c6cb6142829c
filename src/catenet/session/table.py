"""All sessions of a server: how they begin, go on and expire, and what they may cost together. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from catenet.checks import check_numbers
from catenet.session import keys, wire
from catenet.session.core import Ending, Options, Session
from catenet.session.heartbeat import Heartbeat, Path
from catenet.session.keys import Keys
from catenet.session.link import Link
from catenet.session.opening import Entropy, binding
from catenet.session.receiving import Receiving
from catenet.session.sending import Sending

__all__ = ["ServerLink", "SessionLimits", "Table", "Terms"]

NODE_END: Final = b"/"
RANDOM: Final = 16
SMALL_WINDOW: Final = 64 << 10
SILENCE: Final = 2.5
"""A client's connection is dead after so many of its heartbeats."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What sessions may cost a server. Times in seconds, sizes in bytes. Raises `ValueError` that names the field.

    * `max_sessions`: at once, those without a connection included.
    * `max_of_peer`: of these, such as have begun from one address (of IPv6, one /64), since a stranger who leaves them
      behind needs no more than one connection at a time; None: any number, where a balancer stands in front.
    * `max_pending`: sessions that their clients have not confirmed; the oldest goes when there is another, first of
      those whose connection is gone.
    * `max_held`: of all sessions, what was written and is not acknowledged and what has come and is not read. From half
      of it on, each may have little; beyond it those go that hold most, without a connection first.
    * `pending_time`: how long one that is not confirmed waits for its client to come back.
    * `remember`: how long a session that has ended can be asked whether it has, up to its expiry; its client may have
      lost the connection a moment before.
    """

    max_sessions: int = 10_000
    max_of_peer: int | None = 2_500
    max_pending: int = 1_000
    max_held: int = 256 << 20
    pending_time: float = 3600.0
    remember: float = 24 * 3600.0

    def __post_init__(self) -> None:
        check_numbers(self, ("max_sessions", "max_pending", "max_held"), whole=True)
        check_numbers(self, ("max_of_peer",), none=True, whole=True)
        check_numbers(self, ("pending_time", "remember"))


@dataclass(slots=True)
class Terms:
    """What a server wants. `node` names it in its tokens, `nodes` says where others are: `host:port` by their names."""

    options: Options = field(default_factory=Options)
    limits: SessionLimits = field(default_factory=SessionLimits)
    node: bytes = b""
    nodes: Mapping[bytes, str] = field(default_factory=dict)


class Table:
    """The sessions. `on_open` is called with one when its client has proved that it has the keys.

    `remember_epoch`, if there is one, is called before a session goes on, and has kept its new epoch when it returns.
    """

    def __init__(self, terms: Terms, entropy: Entropy, on_open: Callable[[Session], None]) -> None:
        if len(terms.node) > wire.MAX_TOKEN - RANDOM - 1 or NODE_END in terms.node:
            raise ValueError(f"node {terms.node!r}: at most {wire.MAX_TOKEN - RANDOM - 1} bytes, without a slash")
        self.terms = terms
        self.entropy = entropy
        self.on_open = on_open
        self.on_close: Callable[[Session], None] = _ignore
        self.remember_epoch: Callable[[Session], None] = _ignore
        self.sessions: dict[bytes, Session] = {}
        self.commits = False
        """What comes is acknowledged when it is committed."""
        self.tight = False
        self.refusing = False
        """No new session is taken."""
        self._pending: dict[bytes, Session] = {}
        self._left: dict[bytes, None] = {}
        """Of these, those whose connection is gone, the oldest first."""
        self._of_peer: Counter[str] = Counter()
        self._ended: dict[bytes, tuple[Session, float]] = {}
        self._nobody = Keys(entropy(32), entropy(32))

    def link(self) -> ServerLink:
        """Return the core of a connection."""
        return ServerLink(self)

    def __len__(self) -> int:
        return len(self.sessions) + len(self._pending)

    @property
    def held(self) -> int:
        """Bytes that all sessions hold."""
        return sum(session.held for session in self.sessions.values())

    def find(self, token: bytes) -> Session | None:
        """Return a session, also one that waits for its client or has ended a moment ago."""
        ended = self._ended.get(token)
        return self.sessions.get(token) or self._pending.get(token) or (ended[0] if ended is not None else None)

    def place(self, token: bytes) -> str:
        """Return where a session is that another server has; empty: not known, or here."""
        node, slash, _ = token.partition(NODE_END)
        return self.terms.nodes.get(node, "") if slash and node != self.terms.node else ""

    def decoy(self) -> Keys:
        """Return keys that nobody has, so that an unknown session takes as long as a known one."""
        return self._nobody

    # How sessions begin and end.

    def offer(self, new: wire.New, peer: bytes, origin: str = "") -> Session | None:
        """Make a session that its client has yet to confirm; None: there is no room. `origin`: where it comes from."""
        limits, options = self.terms.limits, self.terms.options
        if self.refusing or len(self.sessions) >= limits.max_sessions or self.held > limits.max_held:
            return None
        if self._is_crowded(origin):
            return None
        if len(self._pending) >= limits.max_pending:
            oldest = next(iter(self._left or self._pending))
            self._unpend(oldest).lose()
        start = int.from_bytes(self.entropy(4), "big")
        sending = Sending(start, min(new.window, wire.MAX_BUFFER))
        receiving = Receiving(new.start, min(SMALL_WINDOW, options.buffer), commits=self.commits)
        session = Session(sending, receiving, max(1, min(new.expiry, int(options.expiry))), Path(options.heartbeat))
        if self.commits:
            session.sending.hold()
        session.token = self._token()
        session.peer = peer
        session.origin = origin
        self._pending[session.token] = session
        return session

    def _token(self) -> bytes:
        node = self.terms.node
        # The slash of an unnamed server is no part of a name that another may have.
        return (node + NODE_END if node else b"") + self.entropy(RANDOM)

    def _is_crowded(self, origin: str) -> bool:
        most = self.terms.limits.max_of_peer
        return most is not None and bool(origin) and self._of_peer[origin] >= most

    def _unpend(self, token: bytes) -> Session:
        self._left.pop(token, None)
        return self._pending.pop(token)

    def return_to(self, session: Session) -> None:
        """The client has come back."""
        self._left.pop(session.token, None)

    def abandon(self, session: Session) -> None:
        """The connection over which a session was offered is gone; its client may come back."""
        if session.token in self._pending:
            self._left[session.token] = None

    def confirm(self, session: Session) -> bool:
        """The client has shown that it has the keys; return False if the session has had to go meanwhile."""
        if session.token not in self._pending or self._is_crowded(session.origin):
            return False
        self._unpend(session.token)
        session.confirmed = True
        self.sessions[session.token] = session
        if session.origin:
            self._of_peer[session.origin] += 1
        self.on_open(session)
        return True

    def grant(self, session: Session) -> None:
        """The client may do as it likes from now on."""
        session.receiving.window = self.window
        session.touch()

    @property
    def window(self) -> int:
        """What a session may have received and not read."""
        buffer = self.terms.options.buffer
        return min(SMALL_WINDOW, buffer) if self.tight else buffer

    def restore(self, session: Session) -> None:
        """Take a session that was kept."""
        self.sessions[session.token] = session

    def leave(self, session: Session) -> None:
        """Let a session be: the next process goes on with it."""
        if self.sessions.pop(session.token, None) is not None:
            self._forget_origin(session)

    def _forget_origin(self, session: Session) -> None:
        origin = session.origin
        if origin:
            self._of_peer[origin] -= 1
            if not self._of_peer[origin]:
                del self._of_peer[origin]

    def close(self, session: Session, now: float) -> None:
        """A session has ended: keep it for who asks once more."""
        if session.token in self._pending:
            self._unpend(session.token)
        if self.sessions.pop(session.token, None) is not None:
            self._forget_origin(session)
            while len(self._ended) >= self.terms.limits.max_sessions:
                del self._ended[next(iter(self._ended))]
            session.forget()
            self._ended[session.token] = session, now + min(self.terms.limits.remember, session.expiry)
            self.on_close(session)

    def check(self, now: float) -> None:
        """Let what has waited for too long end, and see to the memory of all. About once a second."""
        for token, (_, until) in list(self._ended.items()):
            if until <= now:
                del self._ended[token]
        for token, session in list(self._pending.items()):
            since = session.lost_since
            if since is not None and now - since > self.terms.limits.pending_time:
                self._unpend(token)
        for session in list(self.sessions.values()):
            since = session.lost_since
            if session.ended is None and since is not None and now - since > session.expiry:
                session.finish(Ending.LOST)
            if session.ended is not None:
                session.on_change()  # what has come and is not read is handed on first
                self.close(session, now)
        self._relieve(now)

    def _relieve(self, now: float) -> None:
        most, held = self.terms.limits.max_held, self.held
        tight = held > most // 2
        if tight is not self.tight:
            self.tight = tight
            for session in self.sessions.values():
                session.receiving.window = self.window
        if held <= most:
            return
        ranked = sorted(self.sessions.values(), key=lambda one: (one.lost_since is None, -one.held))
        for session in ranked:
            if held <= most:
                return
            held -= session.held
            session.reset(wire.ResetCode.LIMIT)
            self.close(session, now)
            session.on_change()


class ServerLink(Link):
    """A connection of a server, of which two things are set before it begins. `peer`: hash of the certificate that the
    client has shown; `origin`: where it comes from, its address or that of its network.
    """

    is_server = True

    __slots__ = ("_new", "_offered", "_table", "origin", "peer")

    def __init__(self, table: Table) -> None:
        super().__init__()
        self._table = table
        self._offered: Session | None = None
        self.peer = b""
        self.origin = ""

    @property
    def attached(self) -> bool:
        """Whether the client has shown that it has the keys."""
        return self.session is not None

    def lost(self, now: float) -> None:
        """The connection is closed."""
        for session in (self._offered, self.session):
            if session is not None:
                self._table.abandon(session)
        super().lost(now)

    def handshake(self, kind: int, payload: bytes, now: float) -> None:
        """Take what a client begins with."""
        if kind == wire.NEW and self._offered is None and self.session is None:
            self._offer(payload, now)
        elif kind == wire.RESUME and self._offered is None and self.session is None:
            self._resume(payload, now)
        elif kind == wire.CONFIRM:
            self._confirmed(payload, now)
        else:
            raise wire.FrameError(f"a frame of type {kind:#x} may not come now")

    def _refuse(self, code: int) -> None:
        self.failure = "refused"
        self.say_last(wire.frame(wire.REFUSED, bytes([code])))

    def _offer(self, payload: bytes, now: float) -> None:
        table, options = self._table, self._table.terms.options
        new = wire.New.parse(payload)
        bound = binding(options, self.channel)
        if new.bound != bool(bound) or new.messages != options.messages:
            self._refuse(wire.Refusal.DENIED)
            return
        private = table.entropy(32)
        shared = keys.exchange(private, new.public)
        if shared is None:
            raise wire.FrameError("the client's public key is none")
        session = table.offer(new, self.peer, self.origin)
        if session is None:
            self._refuse(wire.Refusal.BUSY)
            return
        session.peer_silence = new.heartbeat
        nonce = table.entropy(wire.NONCE)
        said = wire.Accept(
            int(session.expiry),
            session.receiving.window,
            session.sending.start,
            nonce,
            keys.public_key(private),
            session.token,
        ).pack()
        session.keys = keys.derive(shared, options.key or b"", new.nonce + nonce, payload + said + bound)
        self._out.append(wire.frame(wire.ACCEPT, said + session.keys.server_proof(b"accept")))
        session.lost_since = now
        self._offered = session

    def _confirmed(self, payload: bytes, now: float) -> None:
        session = self._offered or self.session
        if session is None or session.keys is None:
            raise wire.FrameError("there is nothing to be confirmed")
        proof, credentials = payload[: wire.PROOF], payload[wire.PROOF :]
        if not keys.same(proof, session.keys.client_proof(b"confirm", credentials)):
            self._refuse(wire.Refusal.DENIED)
            return
        if self._offered is not None:
            if session.ended is not None or session.epoch:
                self._refuse(wire.Refusal.UNKNOWN)  # the client has come back by another connection
                return
            self._offered = None
            self._attach(session, now)
        if not session.confirmed:
            session.credentials = credentials
            if not self._table.confirm(session):
                self._refuse(wire.Refusal.UNKNOWN)
                return
        self.answer(wire.ack(*session.receiving.say()))

    def _resume(self, payload: bytes, now: float) -> None:
        table = self._table
        resume = wire.Resume.parse(payload)
        session = table.find(resume.token)
        place = table.place(resume.token)
        if session is None and place:
            self.failure = "redirected"
            self.say_last(wire.frame(wire.REDIRECT, place.encode("ascii")))
            return
        made = table.decoy() if session is None or session.keys is None else session.keys
        bound = binding(table.terms.options, self.channel)
        proof = made.client_proof(b"resume", payload[: -wire.PROOF], bound)
        fine = keys.same(proof, resume.proof) and resume.bound == bool(bound)
        if session is None or not fine or resume.epoch <= session.epoch or session.peer != self.peer:
            self._refuse(wire.Refusal.UNKNOWN)
            return
        session.epoch = resume.epoch
        table.remember_epoch(session)
        table.return_to(session)
        if session.ended is not None and session.ended is not Ending.DONE:
            self._say_end(session, made, resume, bound)
            return
        # The proof covers both numbers: they are the client's own.
        session.sending.acknowledge(resume.received, resume.limit)
        session.peer_silence = resume.heartbeat
        self._say_resumed(session, made, resume, bound)
        if session.ended is Ending.DONE:
            self._out.extend(session.last_words())
            self.retire()
            return
        self._attach(session, now)

    def _say_resumed(self, session: Session, made: Keys, resume: wire.Resume, bound: bytes) -> None:
        said = wire.Resumed(resume.epoch, *session.receiving.say()).pack()
        proof = made.server_proof(b"resumed", resume.proof, said, bound)
        self._out.append(wire.frame(wire.RESUMED, said + proof))

    def _say_end(self, session: Session, made: Keys, resume: wire.Resume, bound: bytes) -> None:
        if session.ended is Ending.ABORTED:
            self._say_resumed(session, made, resume, bound)
            self.say_last(wire.frame(wire.RESET, bytes([session.reset_code])))
        else:
            self._refuse(wire.Refusal.UNKNOWN)

    def _attach(self, session: Session, now: float) -> None:
        self.session = session
        self.heartbeat = Heartbeat(session.path, now, silence=max(10.0, session.peer_silence * SILENCE + 10.0))
        session.attach(self)


def _ignore(session: Session) -> None:
    """Nobody wants to know."""
