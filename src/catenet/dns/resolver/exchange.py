"""One question to one server: EDNS, cookies, the case of letters, TCP, and what is done when a server can do less."""

from __future__ import annotations

import hashlib
import random
from typing import Final

from catenet.dns.options import COOKIE, KEEPALIVE
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.servers import LONGEST_WAIT, ServerState
from catenet.dns.resolver.steps import Failure, Outcome, Send, Steps, Work, send
from catenet.dns.response import Response, response_from_message
from catenet.wire.dns.edns import DNSSEC_OK, Edns
from catenet.wire.dns.message import Message, Question, pack
from catenet.wire.dns.numbers import BADCOOKIE, BADVERS, CD, FORMERR, NOTIMP, RD, TC
from catenet.wire.dns.stub import Server
from catenet.wire.errors import Malformed

__all__ = ["cookie_of", "exchange"]

CLIENT_COOKIE_LENGTH: Final = 8
MOST_TRIES: Final = 5
"""With one server for one question: with another cookie, without EDNS, over TCP."""
SLOWEST_STREAM: Final = 3.0
"""Seconds that a connection gets at least, with its handshakes."""


def random_case(name: bytes, rng: random.Random) -> bytes:
    """The name with letters in random case (draft-vixie-dnsext-dns0x20)."""
    bits = rng.getrandbits(8 * len(name)) if len(name) > 1 else 0
    changed = bytearray(name)
    for at, letter in enumerate(name):
        if bits >> at & 1 and (65 <= letter <= 90 or 97 <= letter <= 122):
            changed[at] = letter ^ 0x20
    return bytes(changed)


def cookie_of(message: Message) -> bytes:
    """The cookie option of a message, empty without one."""
    edns = message.edns
    return b"" if edns is None else next((data for code, data in edns.options if code == COOKIE), b"")


def exchange(
    context: Context, server: Server, question: Question, work: Work, *, recursive: bool = False, tls: bool = False
) -> Steps[Response | str]:
    """Ask one server. Returns what it says, or the fault: see `Outcome`, and `error` for what cannot be read.

    Raises Failure when the client's question has caused too many messages, or too large ones.
    """
    state = context.servers.state(server, context.now)
    transport = "tls" if tls else "tcp" if context.config.tcp_only else "udp"
    for _ in range(MOST_TRIES):
        if work.sends >= context.config.max_sends:
            raise Failure("too many messages for one question", keep=False)
        work.sends += 1
        effect = _query(context, server, state, question, transport, recursive)
        outcome = yield from send(effect)
        if outcome.message is None:
            if outcome.fault in ("case", "forged") and transport == "udp":
                state.exact_case = state.exact_case and outcome.fault != "case"
                transport = "tcp"
                continue
            return _fault(state, effect, outcome)
        state.answered(outcome.seconds)
        work.received += len(outcome.message.data)
        if work.received > context.config.max_received:
            raise Failure("too much data for one question", keep=False)
        try:
            again = _again(context, state, effect, outcome.message, transport)
            if again == "":
                return response_from_message(outcome.message)
        except Malformed:
            context.counts["malformed"] += 1
            return "error"
        transport = again
    return "error"


def _fault(state: ServerState, effect: Send, outcome: Outcome) -> str:
    if outcome.fault in ("timeout", "unreachable"):
        state.timed_out(effect.timeout)
    return outcome.fault or "error"


def _query(
    context: Context, server: Server, state: ServerState, question: Question, transport: str, recursive: bool
) -> Send:
    config = context.config
    exact = config.random_case and state.exact_case and transport == "udp"
    asked = Question(random_case(question.name, context.rng), *question[1:]) if exact else question
    edns, cookie = None, b""
    if state.edns is not False:
        options: tuple[tuple[int, bytes], ...] = ()
        if config.cookies and transport != "tls":
            cookie = _client_cookie(context, server)
            options = ((COOKIE, cookie + state.cookie),)
        if transport != "udp":
            options += ((KEEPALIVE, b""),)  # how long may the connection stay? (RFC 7828 3.2.1)
        edns = Edns(config.udp_payload, DNSSEC_OK * config.request_dnssec, options)
    flags = (RD | CD) if recursive else 0
    data = pack(context.rng.getrandbits(16), flags, asked, edns=edns)
    timeout = min(state.timeout, LONGEST_WAIT)
    if transport != "udp":
        timeout = max(SLOWEST_STREAM, 2 * timeout)
    return Send(server, transport, data, asked, timeout, cookie, exact)


def _client_cookie(context: Context, server: Server) -> bytes:
    """One for each server, so that they cannot follow us by it (RFC 9018 3)."""
    return hashlib.blake2b(server.address, digest_size=CLIENT_COOKIE_LENGTH, key=context.secret).digest()


def _again(context: Context, state: ServerState, effect: Send, message: Message, transport: str) -> str:
    """The transport by which to ask once more, empty if this is the answer."""
    if message.flags & TC:
        if transport != "udp":
            raise Malformed("dns: an answer that came over a connection says that it was cut")
        return "tcp"
    rcode, edns = message.rcode, message.edns
    if edns is None and state.edns is not False and rcode in (FORMERR, NOTIMP):
        # Without EDNS they know nothing else to say (RFC 6891 7); silence is no sign of that since 2019.
        state.edns = False
        return transport
    if rcode == BADVERS:
        state.edns = False
        return transport
    if edns is not None:
        state.edns = True
    if effect.cookie:
        return _check_cookie(state, effect, message, transport)
    return ""


def _check_cookie(state: ServerState, effect: Send, message: Message, transport: str) -> str:
    """Keep the server's cookie; an answer without one from a server that has one may be forged (RFC 7873 5.3)."""
    cookie = cookie_of(message)
    if not cookie:
        if not state.cookie:
            return ""
        if transport == "udp":
            return "tcp"
        state.cookie = b""
        return ""
    was = state.cookie
    state.cookie = cookie[CLIENT_COOKIE_LENGTH:]
    if message.rcode == BADCOOKIE:
        return transport if state.cookie != was and transport == "udp" else "tcp" if transport == "udp" else ""
    return ""
