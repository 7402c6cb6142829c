"""What an operator decides about validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from catenet.dns.dnssec.algorithms import CURRENT, SHA1_SIGNED
from catenet.dns.dnssec.keys import DIGESTS

__all__ = ["Policy"]

_DEFAULT_ALGORITHMS: Final = CURRENT | SHA1_SIGNED


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of validation.

    Attributes:
        algorithms: numbers of the algorithms that count; zones with no other than the rest are insecure (RFC 4035 5.2).
            Those with SHA-1 are among them by default, as every implementation must be able to (RFC 9905 2).
        refuse_sha1: treat algorithms 5 and 7 as unknown, as RFC 9905 2 tells operators to.
        digests: digest types of DS records that count.
        most_iterations: of NSEC3; with more, an answer is insecure, or bogus (RFC 9276 3.2).
        bogus_above_iterations: bogus rather than insecure.
        permissive: what is bogus passes, with the reason, as unvalidated (for trying validation out).
        bogus_ttl: seconds for which a zone that proved bogus is taken for it, whatever TTLs say.
        most_ttl: seconds for which keys are kept at most.
        least_skew, most_skew: seconds by which signatures may be early or late: a tenth of their life time, within
            these bounds.
    """

    algorithms: frozenset[int] = _DEFAULT_ALGORITHMS
    refuse_sha1: bool = False
    digests: frozenset[int] = DIGESTS
    most_iterations: int = 150
    bogus_above_iterations: bool = False
    permissive: bool = False
    bogus_ttl: int = 60
    most_ttl: int = 86_400
    least_skew: int = 0
    most_skew: int = 0

    def supports(self, algorithm: int) -> bool:
        """Whether signatures of that algorithm count."""
        return algorithm in self.algorithms and not (self.refuse_sha1 and algorithm in SHA1_SIGNED)

    def skew(self, lifetime: int) -> int:
        """Seconds by which a signature of that life time may be early or late."""
        return min(max(lifetime // 10, self.least_skew), self.most_skew)
