"""Who may do what: Basic authentication (RFC 7617), and pages of other origins (CORS)."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from catenet.http.files.answer import Refused
from catenet.http.files.options import FileOptions
from catenet.http.message import Fields, RequestHead
from catenet.http.policy.auth import basic_credentials

__all__ = ["check_user", "cors_fields", "preflight_fields"]

_CHALLENGE: Fields = ((b"www-authenticate", b'Basic realm="files", charset="UTF-8"'),)


def check_user(head: RequestHead, options: FileOptions, writes: bool) -> None:
    """Raise `Refused` (401) if the request needs a user and has none. Who may upload may also read."""
    users: Sequence[tuple[str, str]] = options.users
    if writes and options.upload_users:
        users = options.upload_users
    elif users:
        users = (*users, *options.upload_users)
    if not users:
        return
    value = head.get(b"authorization")
    given = basic_credentials(None if value is None else value.decode("latin-1"))
    if given is None or not _known(given, users):
        raise Refused(401, fields=_CHALLENGE)


def _known(given: tuple[str, str], users: Sequence[tuple[str, str]]) -> bool:
    """Compare with all of them, in a time that tells nothing about how much was right."""
    found = False
    for user in users:
        same = [hmac.compare_digest(one.encode(), other.encode()) for one, other in zip(user, given, strict=True)]
        found |= all(same)
    return found


def cors_fields(options: FileOptions) -> Fields:
    """Return what lets pages of `options.cors` read an answer (Fetch section 3.3.3)."""
    if not options.cors:
        return ()
    exposed = b"accept-ranges, content-disposition, content-range, etag, location, upload-complete, upload-offset"
    said = ((b"access-control-allow-origin", options.cors.encode()), (b"access-control-expose-headers", exposed))
    return said if options.cors == "*" else (*said, (b"vary", b"origin"))


def preflight_fields(head: RequestHead, options: FileOptions, methods: bytes) -> Fields:
    """Return what a page that asks beforehand is told."""
    if not options.cors or head.get(b"access-control-request-method") is None:
        return ()
    asked = head.get(b"access-control-request-headers")
    allowed: Fields = () if asked is None else ((b"access-control-allow-headers", asked),)
    return ((b"access-control-allow-methods", methods), (b"access-control-max-age", b"600"), *allowed)
