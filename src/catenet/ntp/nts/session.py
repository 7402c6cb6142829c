"""A client's keys and cookies: what a request carries, and whether an answer is authentic (RFC 8915 section 5). Pure.

Each request carries a cookie that no other has carried, so that nobody can tell by it that two come from one client
(section 9), and asks by placeholders for as many as are missing. A client that has none left, or whose server does not
know them any more, must establish keys anew (`needs_keys`).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from catenet.ntp import kiss
from catenet.ntp.errors import Malformed
from catenet.ntp.nts.fields import (
    COOKIE,
    NONCE_LENGTH,
    PLACEHOLDER,
    UNIQUE_ID,
    UNIQUE_ID_LENGTH,
    protect,
    read,
    read_fields,
)
from catenet.ntp.nts.records import MOST_COOKIES
from catenet.ntp.packet import Extension, Packet

__all__ = ["Keys", "Session"]


@dataclass(frozen=True, slots=True)
class Keys:
    """What key establishment has come to: keys for both directions, and where the time is told.

    Without `server` that is the host that has said this, without `port` port 123.
    """

    algorithm: int
    to_server: bytes = field(repr=False)
    to_client: bytes = field(repr=False)
    cookies: tuple[bytes, ...] = field(repr=False, default=())
    server: str = ""
    port: int | None = None


class Session:
    """What protects the packets of one association (`catenet.ntp.association.Protection`), once it has keys.

    `rng` draws identifiers and nonces; for real servers `random.SystemRandom()`.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._keys = Keys(0, b"", b"")
        self._cookies: deque[bytes] = deque(maxlen=MOST_COOKIES)
        self._unique_id = b""
        self.refused = False
        """Whether the server has said that it does not know the cookie (NTSN), which anybody can say."""

    def use(self, keys: Keys) -> None:
        """Go on with other keys."""
        self._keys = keys
        self._cookies.clear()
        self._add(keys.cookies)
        self.refused = False

    @property
    def cookies(self) -> int:
        """How many are left."""
        return len(self._cookies)

    @property
    def needs_keys(self) -> bool:
        """Whether there is nothing to ask with, or the server does not take it."""
        return self.refused or not self._cookies

    def seal(self, header: bytes) -> bytes:
        """Return a request with this header. Takes a cookie, of which there must be one."""
        assert self._cookies, "no cookie is left"
        cookie = self._cookies.popleft()
        self._unique_id = self._rng.randbytes(UNIQUE_ID_LENGTH)
        missing = MOST_COOKIES - 1 - len(self._cookies)
        fields = [Extension(UNIQUE_ID, self._unique_id), Extension(COOKIE, cookie)]
        fields += [Extension(PLACEHOLDER, bytes(len(cookie)))] * missing
        return protect(header, fields, self._keys.to_server, self._rng.randbytes(NONCE_LENGTH))

    def opens(self, data: bytes, packet: Packet) -> bool:
        """Whether an answer to the last request is authentic; its cookies are kept. Only NTSN need not be."""
        try:
            found = read(data, packet)
            if not self._unique_id or found.unique_id != self._unique_id:
                return False
            if found.sealed is None and packet.kiss_code == kiss.NTSN:
                self.refused = True
                return True
            secret = found.open(self._keys.to_client)
            if secret is None:
                return False
            self._add(one.body for one in read_fields(secret) if one.type == COOKIE)
        except Malformed:
            return False
        self._unique_id = b""  # an answer counts once, and so do its cookies
        self.refused = False
        return True

    def _add(self, cookies: Iterable[bytes]) -> None:
        for cookie in cookies:
            if cookie and len(self._cookies) < MOST_COOKIES:
                self._cookies.append(cookie)
