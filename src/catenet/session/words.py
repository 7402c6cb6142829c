"""What `connect` and `serve` are told by keywords, for streams and for messages alike."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from catenet.net.limits import ServerLimits
from catenet.net.tls_source import TlsSource
from catenet.session.core import Options
from catenet.session.table import SessionLimits

__all__ = ["Asking", "Authorize", "ClientWords", "ServerWords", "SessionWords", "make_options", "refuse_unknown"]


@dataclass(frozen=True, slots=True)
class Asking:
    """Who wants a session, as `authorize` is asked: `certificate` is the client's (DER), `peername` its address."""

    credentials: bytes
    certificate: bytes | None
    peername: object


Authorize = Callable[[Asking], "bool | Awaitable[bool]"]


class SessionWords(TypedDict, total=False):
    """What both ends may say (`Options`); None is as good as nothing."""

    expiry: float | None
    buffer: int | None
    heartbeat: float | None
    key: bytes | None
    channel_binding: bool
    tls: TlsSource | None


class ClientWords(SessionWords, total=False):
    """What a client may say besides."""

    credentials: bytes
    server_name: str | None
    connect_timeout: float


class ServerWords(SessionWords, total=False):
    """What a server may say besides."""

    authorize: Authorize | None
    limits: SessionLimits | None
    connection_limits: ServerLimits | None
    node: str
    nodes: Mapping[str, str] | None
    state: str | None


def make_options(words: SessionWords, *, messages: bool = False) -> Options:
    """Return the options of a session, the usual ones where nothing is said. Raises `ValueError`."""
    usual = Options()
    expiry, buffer = words.get("expiry"), words.get("buffer")
    return Options(
        usual.expiry if expiry is None else expiry,
        usual.buffer if buffer is None else buffer,
        words.get("heartbeat"),
        words.get("key"),
        messages,
        words.get("channel_binding", True),
    )


def refuse_unknown(words: Mapping[str, object], kind: type, call: str) -> None:
    """Raise `TypeError` for a word that means nothing here, and name the nearest that does."""
    known = kind.__annotations__
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{call}() got an unexpected keyword argument {word!r}{hint}")
