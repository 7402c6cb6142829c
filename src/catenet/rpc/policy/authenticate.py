"""From what comes with a call to who calls: the connection's peer, and a bearer token if there is one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from catenet.rpc.identity.tokens import KeyMissing, TokenError, Tokens
from catenet.rpc.model.context import Peer
from catenet.rpc.model.failures import logger
from catenet.rpc.model.identity import Identity, Token, identity_of
from catenet.rpc.model.metadata import Metadata
from catenet.rpc.model.status import Code, RpcError
from catenet.rpc.policy.details import refusal

__all__ = ["CHALLENGE", "Authenticator"]

CHALLENGE: Final = "Bearer"
"""RFC 6750 section 3: what a caller without credentials is asked for."""
_SCHEME: Final = "bearer "


class Authenticator:
    """Verifies the tokens of calls; `clock` tells seconds since 1970."""

    def __init__(self, tokens: Tokens, clock: Callable[[], float]) -> None:
        self.tokens = tokens
        self._clock = clock

    def authenticate(self, peer: Peer, metadata: Metadata) -> Peer | Awaitable[Peer]:
        """Return the peer with what its token adds; a coroutine if the issuer's keys have to be fetched before.

        A call without a token is its connection's. Raises `RpcError`.
        """
        given = [value for name, value in metadata if name == "authorization"]
        if not given:
            return peer
        if len(given) > 1 or not isinstance(given[0], str) or given[0][: len(_SCHEME)].lower() != _SCHEME:
            raise self._refuse(peer, "one field `authorization: Bearer TOKEN` is expected", "CREDENTIALS_UNKNOWN")
        text = given[0][len(_SCHEME) :].strip()
        try:
            return _named(peer, self.tokens.verify(text, self._clock()))
        except KeyMissing as missing:
            if missing.keys.may_fetch():
                return self._after_fetch(peer, text, missing)
            raise self._refuse(peer, str(missing), missing.reason) from None
        except TokenError as error:
            raise self._refuse(peer, str(error), error.reason) from None

    async def _after_fetch(self, peer: Peer, text: str, missing: KeyMissing) -> Peer:
        await missing.keys.fetch()
        try:
            return _named(peer, self.tokens.verify(text, self._clock()))
        except TokenError as error:
            raise self._refuse(peer, str(error), error.reason) from None

    def _refuse(self, peer: Peer, why: str, reason: str) -> RpcError:
        logger.info("token of %s: %s", peer.address, why)
        return refusal(
            Code.UNAUTHENTICATED,
            "the token is not accepted",
            reason,
            metadata=(("www-authenticate", f'{CHALLENGE} error="invalid_token"'),),
        )


def _named(peer: Peer, token: Token) -> Peer:
    known: Identity = peer.identity
    return replace(peer, identity=identity_of(known.local, known.certificate, token))
