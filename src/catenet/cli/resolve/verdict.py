"""What DNSSEC says of an answer, whoever found out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["UNKNOWN", "Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict: `secure`, `insecure`, `bogus` or `indeterminate` (RFC 4035 4.3), why, and by which chain.

    Attributes:
        security: the verdict.
        reason: why it is not secure.
        chain: zones from the trust anchor down, each with how it is trusted.
        proof: lines of the proof tree, indented, each with the rule that it rests on.
        seconds: how long validation took.
        queries: how many questions it asked.
    """

    security: str
    reason: str = ""
    chain: Sequence[str] = ()
    proof: Sequence[str] = ()
    seconds: float = 0.0
    queries: int = 0


UNKNOWN: Final = Finding("indeterminate", "signatures are not checked; the AD flag is what the server says")
