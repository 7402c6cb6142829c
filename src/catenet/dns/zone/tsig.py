"""Signatures of messages under a shared key (TSIG, RFC 8945)."""

from __future__ import annotations

import base64
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from catenet.dns.fields import nearest
from catenet.wire.dns.message import HEADER_LENGTH, Message
from catenet.wire.dns.name import fold, name_from_text, name_to_text, skip_name
from catenet.wire.dns.numbers import ANY, NOTAUTH, TSIG
from catenet.wire.dns.record import Record, make_record
from catenet.wire.errors import Malformed

__all__ = [
    "BADKEY",
    "BADSIG",
    "BADTIME",
    "BADTRUNC",
    "SignedRequest",
    "TsigContext",
    "TsigFailure",
    "TsigKey",
    "signed_request",
]

BADSIG: Final = 16
BADKEY: Final = 17
BADTIME: Final = 18
BADTRUNC: Final = 22
_ERRORS: Final = {BADSIG: "BADSIG", BADKEY: "BADKEY", BADTIME: "BADTIME", BADTRUNC: "BADTRUNC"}

FUDGE: Final = 300
"""Seconds by which clocks may differ (RFC 8945 10)."""
MOST_UNSIGNED: Final = 99
"""Messages of an answer without signature between two that have one (RFC 8945 5.3.1)."""
_LEAST_MAC: Final = 10
"""Bytes below which a MAC is not cut (RFC 8945 5.2.2.1)."""

ALGORITHMS: Final = {
    "hmac-md5": (name_from_text("hmac-md5.sig-alg.reg.int."), "md5"),
    "hmac-sha1": (name_from_text("hmac-sha1."), "sha1"),
    "hmac-sha224": (name_from_text("hmac-sha224."), "sha224"),
    "hmac-sha256": (name_from_text("hmac-sha256."), "sha256"),
    "hmac-sha384": (name_from_text("hmac-sha384."), "sha384"),
    "hmac-sha512": (name_from_text("hmac-sha512."), "sha512"),
}
"""Names of algorithms as they are written: on the wire, and in hashlib (RFC 8945 6). MD5 is only for who has to."""
_HASHES: Final = dict(ALGORITHMS.values())
_SIZES: Final = {"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}


class TsigFailure(Exception):
    """A message that is not signed as it should be.

    Attributes:
        error: BADSIG, BADKEY, BADTIME or BADTRUNC; 0 for a signature that is missing.
        reason: in words.
    """

    def __init__(self, error: int, reason: str) -> None:
        super().__init__(f"{_ERRORS[error]}: {reason}" if error else reason)
        self.error = error
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TsigKey:
    """A key that two sides share.

    Attributes:
        name: what both call it, folded.
        algorithm: name of the algorithm on the wire.
        secret: the bytes.
        mac_size: bytes to which MACs are cut, and that a received one must have; None: all.
    """

    name: bytes
    algorithm: bytes
    secret: bytes
    mac_size: int | None = None

    @classmethod
    def from_text(cls, text: str) -> TsigKey:
        """A key from `[ALGORITHM:]NAME:SECRET` as dig has it: HMAC-SHA256 unless named, the secret in base64.

        `hmac-sha256-128` cuts MACs to 128 bits. Raises ValueError.
        """
        words = text.split(":")
        if len(words) == 2:
            words.insert(0, "hmac-sha256")
        if len(words) != 3:
            raise ValueError("a key is [ALGORITHM:]NAME:SECRET, the secret in base64")
        algorithm, bits = words[0].lower(), ""
        if algorithm not in ALGORITHMS:
            algorithm, _, bits = algorithm.rpartition("-")
        if algorithm not in ALGORITHMS or (bits and not (bits.isdecimal() and bits.isascii() and int(bits) % 8 == 0)):
            raise ValueError(f"{words[0]!r} is no algorithm of TSIG{nearest(words[0], ALGORITHMS)}")
        try:
            secret = base64.b64decode(words[2], validate=True)
        except ValueError:
            raise ValueError("the secret of a key is written in base64") from None
        wire, hashed = ALGORITHMS[algorithm]
        size = int(bits) // 8 if bits else None
        if size is not None and not _least(_SIZES[hashed]) <= size <= _SIZES[hashed]:
            raise ValueError(f"a MAC of {algorithm} has {_least(_SIZES[hashed]) * 8} to {_SIZES[hashed] * 8} bits")
        return cls(fold(name_from_text(words[1])), wire, secret, size)

    @property
    def full_size(self) -> int:
        """Bytes of a MAC that is not cut."""
        return _SIZES[_HASHES[self.algorithm]]

    def mac(self, data: bytes) -> bytes:
        """The whole MAC of some bytes."""
        return hmac.digest(self.secret, data, _HASHES[self.algorithm])


def _least(full: int) -> int:
    return max(_LEAST_MAC, full // 2)


class _Tsig(NamedTuple):
    """What a TSIG record says (RFC 8945 4.2)."""

    name: bytes
    algorithm: bytes
    time: int
    """Seconds since 1970 when it was signed."""
    fudge: int
    mac: bytes
    id: int
    """That of the message when it was signed."""
    error: int
    other: bytes

    def variables(self) -> bytes:
        """What is signed besides the message (RFC 8945 4.3.3)."""
        fixed = struct.pack("!HH", self.error, len(self.other))
        return self.name + struct.pack("!HI", ANY, 0) + self.algorithm + self.timers() + fixed + self.other

    def timers(self) -> bytes:
        """What is signed besides later messages of an answer (RFC 8945 5.3.1)."""
        return self.time.to_bytes(6, "big") + self.fudge.to_bytes(2, "big")

    def record(self) -> bytes:
        """As the last record of a message."""
        data = self.algorithm + self.timers() + len(self.mac).to_bytes(2, "big") + self.mac
        data += struct.pack("!HHH", self.id, self.error, len(self.other)) + self.other
        return make_record(self.name, TSIG, 0, data, ANY).source


def _read(record: Record) -> _Tsig:
    data = record.data
    at = skip_name(data, 0)
    if at + 10 > len(data) or data[at - 1]:
        raise Malformed("dns: TSIG record is cut off")
    end = at + 10 + int.from_bytes(data[at + 8 : at + 10], "big")
    if end + 6 > len(data):
        raise Malformed("dns: TSIG record is cut off")
    number, error, size = struct.unpack_from("!HHH", data, end)
    if end + 6 + size != len(data) or record.rclass != ANY:
        raise Malformed("dns: TSIG record")
    return _Tsig(
        fold(record.name),
        fold(data[:at]),
        int.from_bytes(data[at : at + 6], "big"),
        int.from_bytes(data[at + 6 : at + 8], "big"),
        data[at + 10 : end],
        number,
        error,
        data[end + 6 :],
    )


def _tsig_of(message: Message) -> tuple[_Tsig, bytes] | None:
    """The signature of a message, and the message as it was signed (RFC 8945 4.3.2); None without one.

    Raises Malformed for a TSIG record that is not the last one (RFC 8945 5.1).
    """
    found = [record for record in message.additional if record.type == TSIG]
    if not found:
        return None
    if len(found) > 1 or found[0] is not message.additional[-1]:
        raise Malformed("dns: a TSIG record that is not the last record")
    tsig, data = _read(found[0]), message.data
    count = int.from_bytes(data[10:12], "big") - 1
    return tsig, tsig.id.to_bytes(2, "big") + data[2:10] + count.to_bytes(2, "big") + data[12 : found[0].at]


class TsigContext:
    """One exchange under a key: a request, and the message or messages that answer it.

    Who asks signs the request and verifies each message of the answer; who answers verifies the request and signs each
    one. Each signature covers the one before, so that nothing can be left out.
    """

    def __init__(self, key: TsigKey, fudge: int = FUDGE) -> None:
        self.key = key
        self._fudge = fudge
        self._steps = 0
        """Messages that were signed or verified."""
        self._before = b""
        """MAC that the next one covers, its length before it."""
        self._unsigned: list[bytes] = []
        """Messages since then."""

    def sign(self, message: bytes, wall: float, error: int = 0, other: bytes = b"") -> bytes:
        """The message with its signature; `wall`: seconds since 1970."""
        number = int.from_bytes(message[:2], "big")
        tsig = _Tsig(self.key.name, self.key.algorithm, int(wall), self._fudge, b"", number, error, other)
        mac = self.key.mac(self._covered(message, tsig))[: self.key.mac_size]
        self._step(mac)
        return _append(message, tsig._replace(mac=mac))

    @property
    def is_complete(self) -> bool:
        """Whether the last message that was verified had a signature, as that of an answer must (RFC 8945 5.3.1)."""
        return not self._unsigned

    def verify(self, message: Message, wall: float) -> None:
        """Check the next message; of an answer of many messages those between may lack a signature.

        Raises:
            TsigFailure: the signature is missing or wrong, or the other side says that ours is.
            Malformed: a TSIG record that cannot be read.
        """
        found = _tsig_of(message)
        if found is None:
            if self._steps < 2 or len(self._unsigned) >= MOST_UNSIGNED:
                raise TsigFailure(0, "the message has no signature")
            self._unsigned.append(message.data)
            return
        tsig, signed = found
        self.check(tsig, signed, wall)
        if tsig.error:
            raise TsigFailure(tsig.error if tsig.error in _ERRORS else BADSIG, "says the other side")

    def check(self, tsig: _Tsig, signed: bytes, wall: float) -> None:
        """Check a signature in the order of RFC 8945 5.2: key, MAC, time, length of the MAC. Raises TsigFailure."""
        key = self.key
        if tsig.name != key.name or tsig.algorithm != key.algorithm:
            raise TsigFailure(BADKEY, f"signed with {name_to_text(tsig.name)}, not {name_to_text(key.name)}")
        if tsig.error in (BADKEY, BADSIG) and not tsig.mac:
            raise TsigFailure(tsig.error, "says the other side")
        full = key.full_size
        if not _least(full) <= len(tsig.mac) <= full:
            raise Malformed("dns: a MAC of a wrong length")  # RFC 8945 5.2.2.1
        whole = key.mac(self._covered(signed, tsig))
        if not hmac.compare_digest(whole[: len(tsig.mac)], tsig.mac):
            raise TsigFailure(BADSIG, "the signature does not match")
        self._step(tsig.mac)
        if abs(wall - tsig.time) > tsig.fudge:
            raise TsigFailure(BADTIME, f"signed {tsig.time - wall:+.0f} seconds from now, by the clock here")
        if len(tsig.mac) < (full if key.mac_size is None else key.mac_size):
            raise TsigFailure(BADTRUNC, f"a MAC of {len(tsig.mac)} bytes")

    def _covered(self, message: bytes, tsig: _Tsig) -> bytes:
        rest = tsig.variables() if self._steps < 2 else tsig.timers()
        return b"".join([self._before, *self._unsigned, message, rest])

    def _step(self, mac: bytes) -> None:
        self._steps += 1
        self._before = len(mac).to_bytes(2, "big") + mac
        self._unsigned.clear()


def _append(message: bytes, tsig: _Tsig) -> bytes:
    count = int.from_bytes(message[10:12], "big") + 1
    return message[:10] + count.to_bytes(2, "big") + message[HEADER_LENGTH:] + tsig.record()


class SignedRequest:
    """A request with a signature, and what becomes of its answer.

    Attributes:
        key: whose it is; None if it is not known here.
        error: what is wrong with the signature; 0 for nothing.
    """

    def __init__(self, tsig: _Tsig, context: TsigContext | None, error: int) -> None:
        self.key = None if context is None else context.key
        self.error = error
        self._tsig = tsig
        self._context = context

    @property
    def rcode(self) -> int:
        """NOTAUTH for a request that is not to be answered (RFC 8945 5.2), else 0."""
        return NOTAUTH if self.error else 0

    def sign(self, answer: bytes, wall: float) -> bytes:
        """A message of the answer with what belongs behind it: signed if the key is known and was used rightly."""
        if self._context is None or self.error in (BADSIG, BADKEY):
            tsig = self._tsig._replace(mac=b"", error=self.error, other=b"", id=int.from_bytes(answer[:2], "big"))
            return _append(answer, tsig)
        if self.error == BADTIME:
            # Signed with the time of the request, which its sender takes; the clock here is told beside it (5.2.3).
            return self._context.sign(answer, self._tsig.time, BADTIME, int(wall).to_bytes(6, "big"))
        return self._context.sign(answer, wall, self.error)


def signed_request(message: Message, keys: Mapping[bytes, TsigKey], wall: float) -> SignedRequest | None:
    """Check the signature of a request; None for one without.

    Args:
        message: the request.
        keys: by folded name.
        wall: seconds since 1970.

    Raises:
        Malformed: a TSIG record that cannot be read or is not the last, a MAC of an impossible length: FORMERR.
    """
    found = _tsig_of(message)
    if found is None:
        return None
    tsig, signed = found
    key = keys.get(tsig.name)
    if key is None or key.algorithm != tsig.algorithm:
        return SignedRequest(tsig, None, BADKEY)
    context = TsigContext(key)
    try:
        context.check(tsig, signed, wall)
    except TsigFailure as failure:
        return SignedRequest(tsig, context, failure.error)
    return SignedRequest(tsig, context, 0)
