"""One question to one server: EDNS, cookies, the case of letters, TCP, and what is done when a server can do less."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from catenet.dns.options import COOKIE, KEEPALIVE
from catenet.dns.resolver.context import Context
from catenet.dns.resolver.servers import LONGEST_WAIT, ServerState
from catenet.dns.resolver.steps import Failure, Outcome, Send, Steps, Work, send
from catenet.dns.response import Response, response_from_message
from catenet.wire.dns.edns import DNSSEC_OK, Edns, edns_to_record
from catenet.wire.dns.message import Message, Question
from catenet.wire.dns.numbers import BADCOOKIE, BADVERS, CD, FORMERR, NOTIMP, RD, TC
from catenet.wire.dns.stub import Server
from catenet.wire.errors import Malformed

__all__ = ["cookie_of", "exchange"]

_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!HH")
CLIENT_COOKIE_LENGTH: Final = 8
_CASE_BITS: Final = bytes(0x20 * (65 <= byte <= 90 or 97 <= byte <= 122) for byte in range(256))
"""Of each byte, the bit by which an upper and a lower case letter differ."""
MOST_TRIES: Final = 5
"""With one server for one question: with another cookie, without EDNS, over TCP."""
SLOWEST_STREAM: Final = 3.0
"""Seconds that a connection gets at least, with its handshakes."""


def random_case(name: bytes, bits: int) -> bytes:
    """The name with letters in the case that `bits` says, a byte each (draft-vixie-dnsext-dns0x20)."""
    size = len(name)
    changed = bits & int.from_bytes(name.translate(_CASE_BITS), "big")
    return (int.from_bytes(name, "big") ^ changed).to_bytes(size, "big")


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
    name, kind, rclass = question
    chance = context.rng.getrandbits(16 + 8 * len(name))
    if exact:
        name = random_case(name, chance >> 16)
        question = Question(name, kind, rclass)
    cookie = tail = b""
    if state.edns is not False:
        if config.cookies and transport != "tls":
            cookie = state.client_cookie = state.client_cookie or _client_cookie(context, server)
        tail = _opt_record(context, state, cookie, transport)
    counts = (1, 0, 0, 1 if tail else 0)
    head = _HEADER.pack(chance & 0xFFFF, (RD | CD) if recursive else 0, *counts)
    data = head + name + _QUESTION.pack(kind, rclass) + tail
    timeout = min(state.timeout, LONGEST_WAIT)
    if transport != "udp":
        timeout = max(SLOWEST_STREAM, 2 * timeout)
    return Send(server, transport, data, question, timeout, cookie, exact)


def _opt_record(context: Context, state: ServerState, cookie: bytes, transport: str) -> bytes:
    """EDNS of a query; that for UDP is the same until the server has another cookie for us."""
    options: tuple[tuple[int, bytes], ...] = ((COOKIE, cookie + state.cookie),) if cookie else ()
    if transport != "udp":
        options += ((KEEPALIVE, b""),)  # how long may the connection stay? (RFC 7828 3.2.1)
    elif state.opt_record[0] == state.cookie:
        return state.opt_record[1]
    config = context.config
    record = edns_to_record(Edns(config.udp_payload, DNSSEC_OK * config.request_dnssec, options))
    if transport == "udp":
        state.opt_record = state.cookie, record
    return record


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
