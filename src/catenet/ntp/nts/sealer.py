"""A server's side of packets that NTS protects (`catenet.ntp.responder.Sealer`; RFC 8915 section 5.7). Pure.

A request brings its keys along, in its cookie. The answer is made by the same ones, with a new cookie for the one that
was used and for each placeholder, encrypted, so that nobody sees which cookies will be used next.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from catenet.ntp import kiss
from catenet.ntp.errors import Malformed
from catenet.ntp.nts.cookies import CookieKeys, SessionKeys
from catenet.ntp.nts.fields import (
    COOKIE,
    NONCE_LENGTH,
    UNIQUE_ID,
    UNIQUE_ID_LENGTH,
    Protected,
    protect,
    read,
)
from catenet.ntp.nts.records import MOST_COOKIES
from catenet.ntp.packet import Extension, Packet

__all__ = ["NtsSealer"]


class NtsSealer:
    """Opens requests and seals answers.

    Args:
        keys: of the cookies.
        clock: Unix time in seconds, by which those rotate.
        rng: draws nonces; for real servers `random.SystemRandom()`.
    """

    def __init__(self, keys: CookieKeys, clock: Callable[[], float], rng: random.Random) -> None:
        self._keys = keys
        self._clock = clock
        self._rng = rng

    def open(self, data: bytes, packet: Packet) -> tuple[str, Callable[[bytes], bytes]] | None:
        """See `Sealer`. A request that cannot be verified gets NTSN, without anything that is authentic."""
        found = read(data, packet)
        if not found.cookies:
            return None
        if len(found.unique_id) < UNIQUE_ID_LENGTH or found.sealed is None:
            raise Malformed("a cookie without an identifier, or without an authenticator")
        session = self._keys.open(found.cookies[0], self._clock())
        if session is None or found.open(session.to_server) is None:
            return kiss.NTSN, partial(_plain, found.unique_id)
        return "", partial(self._seal, session, found)

    def _seal(self, session: SessionKeys, found: Protected, header: bytes) -> bytes:
        length = len(found.cookies[0])
        places = min(1 + sum(one >= length for one in found.placeholders), MOST_COOKIES)
        now = self._clock()
        cookies = b"".join(Extension(COOKIE, self._keys.seal(session, now)).build() for _ in range(places))
        identifier = Extension(UNIQUE_ID, found.unique_id)
        return protect(header, [identifier], session.to_client, self._rng.randbytes(NONCE_LENGTH), cookies)


def _plain(unique_id: bytes, header: bytes) -> bytes:
    return header + Extension(UNIQUE_ID, unique_id).build()
