"""Extended errors (RFC 8914): why a server answers as it does."""

from __future__ import annotations

from typing import Final, NamedTuple

from catenet.dns.options import EXTENDED_ERROR
from catenet.wire.dns.edns import Edns

__all__ = ["ExtendedError", "extended_errors"]

CODES: Final = {
    0: "other error",
    1: "unsupported DNSKEY algorithm",
    2: "unsupported DS digest type",
    3: "stale answer",
    4: "forged answer",
    5: "DNSSEC indeterminate",
    6: "DNSSEC bogus",
    7: "signature expired",
    8: "signature not yet valid",
    9: "DNSKEY missing",
    10: "RRSIGs missing",
    11: "no zone key bit set",
    12: "NSEC missing",
    13: "cached error",
    14: "not ready",
    15: "blocked",
    16: "censored",
    17: "filtered",
    18: "prohibited",
    19: "stale NXDOMAIN answer",
    20: "not authoritative",
    21: "not supported",
    22: "no reachable authority",
    23: "network error",
    24: "invalid data",
    25: "signature expired before valid",
    26: "too early",
    27: "unsupported NSEC3 iterations value",
    28: "unable to conform to policy",
    29: "synthesized",
    30: "invalid query type",
}
"""IANA "Extended DNS Error Codes"."""


class ExtendedError(NamedTuple):
    """One of them: its code, and what the server adds."""

    code: int
    text: str = ""

    @property
    def meaning(self) -> str:
        """What the code says, in words."""
        return CODES.get(self.code, f"extended error {self.code}")

    @property
    def option(self) -> tuple[int, bytes]:
        """The EDNS option that tells it (RFC 8914 2)."""
        return EXTENDED_ERROR, self.code.to_bytes(2, "big") + self.text.encode()


def extended_errors(edns: Edns | None) -> list[ExtendedError]:
    """The extended errors of a message; options that are too short are passed over."""
    if edns is None:
        return []
    return [
        ExtendedError(int.from_bytes(data[:2], "big"), data[2:].decode("utf-8", "replace").rstrip("\0"))
        for code, data in edns.options
        if code == EXTENDED_ERROR and len(data) >= 2
    ]
