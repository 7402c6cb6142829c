"""Who a client says it is: Basic (RFC 7617), Digest (RFC 7616), Bearer (RFC 6750), and the passwords of `~/.netrc`.

A flow is a generator: it yields the request to be sent, is sent the response, and ends when that is the final one. It
does no I/O and changes nothing of the request but its fields.
"""

from __future__ import annotations

import base64
import binascii
import netrc
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Protocol, TypeVar

from catenet.http.policy.challenges import parse_challenges
from catenet.http.policy.digest import DigestSession, strongest
from catenet.http.policy.messages import RequestLike, ResponseLike
from catenet.http.url import Url

__all__ = ["Auth", "Basic", "Bearer", "Digest", "NetrcAuth", "basic_credentials", "basic_value"]

R = TypeVar("R", bound=RequestLike)

_BEARER = re.compile(r"[A-Za-z0-9\-._~+/]+=*").fullmatch
MAX_ROUNDS = 3
"""Answers to one request: a nonce that is stale gets a second one, a server that asks for ever does not."""


class Auth(Protocol):
    """A way to authenticate."""

    def flow(self, request: R) -> Generator[R, ResponseLike, None]:
        """Yield what is to be sent; each `send` brings the response to it."""


class _Simple:
    """Sets one field that does not depend on what the server says."""

    def __init__(self, value: str, header: str) -> None:
        self._value = value
        self._header = header

    def flow(self, request: R) -> Generator[R, ResponseLike, None]:
        """Send the request with the credentials, once."""
        request.headers[self._header] = self._value
        yield request


class Basic(_Simple):
    """User name and password as they are, in UTF-8; `header` is Proxy-Authorization towards a proxy."""

    def __init__(self, user: str, password: str, header: str = "Authorization") -> None:
        super().__init__(basic_value(user, password), header)


class Bearer(_Simple):
    """A token; raises `ValueError` for what cannot stand in a field."""

    def __init__(self, token: str, header: str = "Authorization") -> None:
        if not _BEARER(token):
            raise ValueError("a bearer token has letters, digits and -._~+/ only, and = at its end")
        super().__init__(f"Bearer {token}", header)


class Digest:
    """User name and password hashed with what the server drew; its nonce serves for the requests that follow.

    `draw(count)` returns that many bytes nobody can guess (`os.urandom`). With `header` Proxy-Authorization it
    answers status 407 instead of 401.
    """

    def __init__(self, user: str, password: str, draw: Callable[[int], bytes], header: str = "Authorization") -> None:
        self._user = user
        self._password = password
        self._draw = draw
        self._header = header
        self._proxy = header.lower() == "proxy-authorization"
        self._sessions: dict[tuple[str, str, int], DigestSession] = {}

    def flow(self, request: R) -> Generator[R, ResponseLike, None]:
        """Send the request, at once with an answer if the server's nonce is known, else after its challenge."""
        key = ("", "", 0) if self._proxy else request.url.origin
        session = self._sessions.get(key)
        for _ in range(MAX_ROUNDS):
            if session is not None:
                request.headers[self._header] = self._answer(session, request)
            response = yield request
            if response.status != (407 if self._proxy else 401):
                break
            field = "proxy-authenticate" if self._proxy else "www-authenticate"
            challenge = strongest(parse_challenges(response.headers.get_all(field)))
            # Refused again without `stale`: the password is wrong.
            if challenge is None or (session is not None and not self._renewed(session, challenge.parameters)):
                return
            session = DigestSession(challenge)
            if len(self._sessions) >= 1000:
                self._sessions.clear()
            self._sessions[key] = session
        if session is not None:
            session.take_next(
                response.headers.get("proxy-authentication-info" if self._proxy else "authentication-info")
            )

    @staticmethod
    def _renewed(session: DigestSession, parameters: dict[str, str]) -> bool:
        stale = parameters.get("stale", "").lower() == "true"
        # A session of an earlier request may have been forgotten by a server that does not say so.
        return stale or (session.count > 1 and parameters["nonce"] != session.challenge.parameters["nonce"])

    def _answer(self, session: DigestSession, request: R) -> str:
        body = getattr(request, "content", None)
        target = request.url.authority if request.method == "CONNECT" else request.url.target
        cnonce = self._draw(16).hex()
        known = body if isinstance(body, bytes) else b"" if body is None else None
        return session.authorization(self._user, self._password, request.method, target, known, cnonce)


class NetrcAuth:
    """Basic with what a netrc file has for the host; requests to others go as they are.

    Reads the file at once: raises `OSError`, or `ValueError` that names the line.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        found = Path.home() / ".netrc" if path is None else Path(path)
        try:
            self._netrc = netrc.netrc(str(found))
        except netrc.NetrcParseError as error:
            raise ValueError(f"{found}, line {error.lineno}: {error.msg}") from None

    def credentials(self, url: Url) -> tuple[str, str] | None:
        """Return user and password for the host of `url`, None if there are none."""
        found = self._netrc.authenticators(url.host or "")
        if found is None:
            return None
        user, _, password = found
        return user or "", password or ""

    def flow(self, request: R) -> Generator[R, ResponseLike, None]:
        """Send the request, with credentials if the file has them."""
        found = self.credentials(request.url)
        if found is not None and "authorization" not in request.headers:
            request.headers["Authorization"] = basic_value(*found)
        yield request


def basic_value(user: str, password: str) -> str:
    """Return the value of a field for Basic; raise `ValueError` for a user with a colon, or for controls (RFC 7617)."""
    if ":" in user:
        raise ValueError(f"user name {user!r} has a colon, which Basic cannot carry")
    if re.search(r"[\x00-\x1f\x7f]", user + password):
        raise ValueError("user name or password has a control character")
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def basic_credentials(value: str | None) -> tuple[str, str] | None:
    """Return user and password of an Authorization field (server), None if it is no Basic or malformed."""
    scheme, _, token = (value or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(token.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if colon else None
