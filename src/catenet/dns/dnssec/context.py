"""What a validation is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from catenet.dns.dnssec.anchors import TrustAnchors
from catenet.dns.dnssec.budget import Budget
from catenet.dns.dnssec.cache import KeyCache
from catenet.dns.dnssec.policy import Policy
from catenet.dns.dnssec.verify import Terms

__all__ = ["ValidationContext"]


@dataclass(slots=True)
class ValidationContext:
    """What a validation rests on.

    Attributes:
        anchors: the trust anchors.
        wall: seconds since 1970.
        keys: what was found of zones before; shared by all questions.
        budget: work allowed; one for each question of a client, through all that it causes.
        policy: settings.
        with_servers: the NS set beside an answer is checked too; not where no client gets it.
    """

    anchors: TrustAnchors
    wall: float
    keys: KeyCache = field(default_factory=KeyCache)
    budget: Budget = field(default_factory=Budget)
    policy: Policy = field(default_factory=Policy)
    with_servers: bool = True

    @property
    def terms(self) -> Terms:
        """On what terms signatures are checked."""
        return Terms(self.wall, self.policy, self.budget)
