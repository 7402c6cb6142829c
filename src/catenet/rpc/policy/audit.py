"""The audit log: a line of JSON for each decision and each end of a call, from which decisions can be made again.

A record is written before what it allows happens. If it cannot be written, nothing is allowed.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from catenet.net.local_peer import LocalPeer
from catenet.rpc.model.identity import Certificate, Identity, Token, identity_of
from catenet.rpc.model.status import Code

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = [
    "Audit",
    "AuditFailed",
    "identity_from_record",
    "identity_record",
    "objects_record",
    "request_record",
    "status_name",
]

LONGEST: Final = 256
"""Characters of a text that a caller has chosen."""
_LONGEST_REQUEST: Final = 64 << 10


class AuditFailed(OSError):
    """A record cannot be written."""


class Audit:
    """Writes records. `write` takes a line; `requests`: keep the requests of decisions that looked at them.

    A field that the .proto marks `debug_redact` is left out of them.
    """

    def __init__(self, write: Callable[[bytes], object], *, requests: bool = False) -> None:
        self._write = write
        self.requests = requests

    @classmethod
    def open(cls, path: str | Path, *, requests: bool = False) -> Audit:
        """Append to a file, which only its owner may read. Several processes may. Raises `OSError`."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(f"{path}: no regular file")

        def write(line: bytes) -> None:
            if os.write(descriptor, line) != len(line):
                raise OSError("the disk is full")

        return cls(write, requests=requests)

    def record(self, event: str, fields: Mapping[str, object]) -> None:
        """Write a record. Raises `AuditFailed`."""
        line = json.dumps({"event": event, "server": os.getpid(), **fields}, separators=(",", ":"), default=str)
        try:
            self._write(line.encode() + b"\n")
        except OSError as error:
            raise AuditFailed(error.errno, f"the audit log cannot be written: {error}") from None


def short(text: str) -> str:
    """A text of bounded length."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def request_record(request: Message) -> str:
    """A request as JSON, without what is to be left out, for a record."""
    from catenet.codec import CODECS

    copy = type(request)()
    copy.CopyFrom(request)
    _redact(copy)
    text: str = CODECS["json"].encode(copy).decode()
    return text if len(text) <= _LONGEST_REQUEST else ""


def _redact(message: Any) -> None:
    for descriptor, value in message.ListFields():
        if descriptor.GetOptions().debug_redact:
            message.ClearField(descriptor.name)
        elif descriptor.message_type is not None and not descriptor.message_type.GetOptions().map_entry:
            for each in value if descriptor.is_repeated else [value]:
                _redact(each)
        elif descriptor.message_type is not None and descriptor.message_type.fields_by_name["value"].message_type:
            for each in value.values():
                _redact(each)


def identity_record(identity: Identity) -> dict[str, object]:
    """A caller, with what rules look at; of a token's claims those alone that have names of their own."""
    found: dict[str, object] = {"kind": identity.kind, "name": short(identity.name)}
    local, certificate, token = identity.local, identity.certificate, identity.token
    if local is not None:
        found["local"] = [local.pid, local.uid, local.gid, list(local.groups), local.label]
    if certificate is not None:
        names = [certificate.dns, certificate.uris, certificate.emails, certificate.addresses]
        found["certificate"] = [certificate.subject, certificate.fingerprint, *map(list, names), certificate.spiffe]
    if token is not None:
        found["token"] = [token.issuer, token.subject, list(token.audience), token.expires, list(token.scopes),
                          token.key_id, token.algorithm]  # fmt: skip
    return found


def identity_from_record(found: Mapping[str, Any]) -> Identity:
    """Return the caller of a record. Raises `ValueError`."""
    try:
        local = certificate = token = None
        if "local" in found:
            pid, uid, gid, groups, label = found["local"]
            local = LocalPeer(pid, uid, gid, tuple(groups), label)
        if "certificate" in found:
            subject, fingerprint, dns, uris, emails, addresses, spiffe = found["certificate"]
            names = (tuple(dns), tuple(uris), tuple(emails), tuple(addresses))
            certificate = Certificate(subject, fingerprint, *names, spiffe)
        if "token" in found:
            issuer, subject, audience, expires, scopes, key_id, algorithm = found["token"]
            token = Token(issuer, subject, tuple(audience), expires, tuple(scopes), key_id, algorithm)
        return identity_of(local, certificate, token)
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"no caller of a record: {error}") from None


def objects_record(names: Sequence[str], owners: Sequence[str | None]) -> list[list[str | None]]:
    """Objects and their owners."""
    return [[short(name), owner] for name, owner in zip(names, owners, strict=True)]


def status_name(code: Code | None) -> str:
    """A status in a record."""
    return "OK" if code is None else code.name
