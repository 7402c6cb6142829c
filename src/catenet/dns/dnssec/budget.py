"""How much work one question of a client may cause."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Budget", "Exhausted"]


class Exhausted(Exception):
    """The work that a question may cause is done. It stays within validation, which ends as bogus."""


@dataclass(slots=True)
class Budget:
    """Operations of validation for one question of a client.

    One budget goes with the question through all that it causes: chains of aliases, restarts, other zones' keys.
    Nothing resets it (CVE-2023-50387, CVE-2023-50868: work per answer was limited, answers were not).

    Attributes:
        most_valops: operations allowed: signatures, digests of keys, hashes of NSEC3.
        most_failures: signatures that may prove wrong. Honest zones cause none or few.
        most_questions: DS and DNSKEY questions allowed.
        valops, failures, questions: how many there were.
    """

    most_valops: int = 400
    most_failures: int = 24
    most_questions: int = 128
    valops: int = 0
    failures: int = 0
    questions: int = 0

    def spend(self, cost: int = 1) -> None:
        """Count operations before they are done. Raises Exhausted."""
        if self.valops + cost > self.most_valops:
            raise Exhausted(f"validation takes more than {self.most_valops} operations")
        self.valops += cost

    def fail(self) -> None:
        """Count a signature that proved wrong. Raises Exhausted."""
        self.failures += 1
        if self.failures > self.most_failures:
            raise Exhausted(f"more than {self.most_failures} signatures are wrong")

    def ask(self) -> None:
        """Count a question before it is asked. Raises Exhausted."""
        if self.questions >= self.most_questions:
            raise Exhausted(f"validation takes more than {self.most_questions} questions")
        self.questions += 1
