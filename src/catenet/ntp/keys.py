"""Symmetric keys: MACs by MD5, SHA-1 (RFC 5905 section 7.3) and AES-CMAC (RFC 8573), and files that hold keys.

MD5 and SHA-1 are there because servers have such keys; new ones should be AES128 (RFC 8573 section 2).
"""

from __future__ import annotations

import functools
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.ntp.packet import HEADER_LENGTH, Mac

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.cmac import CMAC

__all__ = ["MD5", "BadKey", "Key", "read_keys"]

MD5: Final = "MD5"

_KINDS: Final = {"MD5": MD5, "M": MD5, "SHA1": "SHA1", "SHA": "SHA1"} | dict.fromkeys(
    ("AES128", "AES-128", "AES", "AES128CMAC", "AES-CMAC"), "AES128"
)
_AES_KEY_LENGTH: Final = 16
_ASCII_KEY_LENGTH: Final = 20
"""Up to so many characters a key of ntpd is text, longer ones are hexadecimal."""


class BadKey(ValueError):
    """A key or a file of keys is not usable; the message says which and why."""


@dataclass(frozen=True)
class Key:
    """A key that client and server share.

    Attributes:
        id: its number, 1 to 65,535 in ntpd, up to 2**32-1 elsewhere.
        kind: `MD5`, `SHA1` or `AES128`.
        secret: the octets.
    """

    id: int
    kind: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.kind not in _KINDS.values():
            raise BadKey(f"key {self.id}: no kind {self.kind!r}; AES128, SHA1 and MD5 are known")
        if self.kind == "AES128" and len(self.secret) != _AES_KEY_LENGTH:
            raise BadKey(f"key {self.id}: an AES128 key has {_AES_KEY_LENGTH} octets, not {len(self.secret)}")
        if not 0 < self.id <= 0xFFFFFFFF or not self.secret:
            raise BadKey(f"key {self.id}: an identifier is 1 to 2**32-1, a key is not empty")

    def seal(self, packet: bytes) -> bytes:
        """Return the packet with its MAC behind it."""
        return packet + Mac(self.id, self._digest(packet)).build()

    def verifies(self, data: bytes, mac: Mac | None) -> bool:
        """Whether the MAC of a packet is by this key; `data` is the whole packet."""
        if mac is None or mac.key_id != self.id or not mac.digest:
            return False
        signed = data[: len(data) - 4 - len(mac.digest)]
        return len(signed) >= HEADER_LENGTH and hmac.compare_digest(self._digest(signed), mac.digest)

    def _digest(self, data: bytes) -> bytes:
        return _DIGESTS[self.kind](self.secret, data)


@functools.lru_cache(maxsize=256)
def _begun_cmac(secret: bytes) -> CMAC:
    """A code of nothing, which costs as much as the rest; copies go on with it."""
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.cmac import CMAC

    return CMAC(AES(secret))


def _cmac(secret: bytes, data: bytes) -> bytes:
    code = _begun_cmac(secret).copy()
    code.update(data)
    return code.finalize()


_DIGESTS: Final[Mapping[str, Callable[[bytes, bytes], bytes]]] = {
    "MD5": lambda secret, data: hashlib.md5(secret + data, usedforsecurity=False).digest(),
    "SHA1": lambda secret, data: hashlib.sha1(secret + data, usedforsecurity=False).digest(),
    "AES128": _cmac,
}


def read_keys(path: str | Path) -> dict[int, Key]:
    """Return the keys of a file as ntpd and chrony have it: identifier, kind and key in a line, `#` for comments.

    A key is `HEX:` and hexadecimal digits, `ASCII:` and text, or plain: text up to 20 characters, hexadecimal beyond.
    Raises `BadKey` naming the line, `OSError`.
    """
    keys: dict[int, Key] = {}
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            key = _key_of(words)
        except ValueError as error:
            raise BadKey(f"{path}, line {number}: {error}") from None
        keys[key.id] = key
    return keys


def _key_of(words: list[str]) -> Key:
    if len(words) == 2:  # chrony's form without a kind
        words.insert(1, "MD5")
    identifier, kind, secret, *_ = words if len(words) >= 3 else ["", "", ""]
    if not (identifier.isascii() and identifier.isdigit()):
        raise BadKey("a line is an identifier (a number), a kind and a key")
    if kind.upper() not in _KINDS:
        raise BadKey(f"no kind {kind!r}; AES128, SHA1 and MD5 are known")
    return Key(int(identifier), _KINDS[kind.upper()], _octets(secret))


def _octets(text: str) -> bytes:
    prefix, colon, rest = text.partition(":")
    try:
        if colon and prefix.upper() == "HEX":
            return bytes.fromhex(rest)
        if colon and prefix.upper() == "ASCII":
            return rest.encode()
        return text.encode() if len(text) <= _ASCII_KEY_LENGTH else bytes.fromhex(text)
    except ValueError:
        raise BadKey("the key is not hexadecimal") from None
