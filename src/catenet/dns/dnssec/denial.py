"""Whether an authority section proves that a name, or a type at it, does not exist."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from catenet.dns.dnssec.keys import Key
from catenet.dns.dnssec.nsec import NXNAME, Nsec
from catenet.dns.dnssec.nsec3 import Nsec3, Nsec3Hasher
from catenet.dns.dnssec.rrsig import last_labels, wildcard_of
from catenet.dns.dnssec.verify import Finding, Terms, verify_set
from catenet.dns.response import Security
from catenet.dns.rrset import RRset
from catenet.wire.dns.name import ROOT, is_below, name_to_text, parent
from catenet.wire.dns.numbers import DS, NS, NSEC, NSEC3, type_to_text
from catenet.wire.errors import Malformed

__all__ = ["Denial", "Evidence", "Kind"]

MOST_RECORDS: Final = 12
"""NSEC and NSEC3 sets of one answer that are looked at; a proof takes three, at most four."""


class Kind(enum.Enum):
    """What was proved, with the security of an answer that rests on it."""

    NO_NAME = Security.SECURE, "no such name"
    NO_TYPE = Security.SECURE, "no such type"
    EMPTY = Security.SECURE, "a name without records"
    UNSIGNED = Security.SECURE, "a delegation without DS"
    EXPANDED = Security.SECURE, "made from the wildcard"
    OPT_OUT = Security.INSECURE, "not signed, as delegations may be (opt-out)"
    COSTLY = Security.INSECURE, "too many iterations of NSEC3"
    NOT_PROVEN = Security.BOGUS, "not proven"

    @property
    def security(self) -> Security:
        """Of an answer that rests on it."""
        return self.value[0]


@dataclass(frozen=True, slots=True)
class Denial:
    """The outcome of a proof: of what kind, by which rule (RFC and section), and in words."""

    kind: Kind
    source: str
    text: str


class Evidence:
    """NSEC and NSEC3 records of one zone that are signed by it.

    Others, unsigned ones and those of other zones or with names outside of theirs among them, count for nothing.

    Attributes:
        findings: what was found of each NSEC and NSEC3 set.
        rejected: why records were not taken, in words.
    """

    def __init__(self, authority: Iterable[RRset], zone: bytes, keys: Sequence[Key], terms: Terms) -> None:
        """Verify the records. `zone` is folded. Raises Exhausted."""
        self.findings: dict[RRset, Finding] = {}
        self.rejected: list[str] = []
        self._zone = zone
        self._policy = terms.policy
        self._nsecs: list[Nsec] = []
        self._nsec3s: list[Nsec3] = []
        for rrset in [one for one in authority if one.type in (NSEC, NSEC3)][:MOST_RECORDS]:
            self._take(rrset, keys, terms)
        self._too_many = False
        if self._nsec3s:
            first = self._nsec3s[0]  # RFC 5155 8.2: all of a proof have the same parameters
            same = (first.salt, first.iterations)
            self._nsec3s = [one for one in self._nsec3s if (one.salt, one.iterations) == same]
            self._too_many = first.iterations > terms.policy.most_iterations
            self._hash = Nsec3Hasher(first.salt, first.iterations, terms.budget)

    def _take(self, rrset: RRset, keys: Sequence[Key], terms: Terms) -> None:
        finding = verify_set(rrset, self._zone, keys, terms)
        self.findings[rrset] = finding
        if finding.security is not Security.SECURE:
            self.rejected.append(finding.reason)
            return
        text = f"{type_to_text(rrset.type)} of {name_to_text(rrset.name)}"
        if finding.source_labels is not None or len(rrset.data) != 1:
            self.rejected.append(f"{text} is from a wildcard, or one of several")
            return
        try:
            if rrset.type == NSEC:
                self._nsecs.append(Nsec(rrset.name, rrset.data[0], self._zone))
            else:
                self._nsec3s.append(Nsec3(rrset.name, rrset.data[0], self._zone))
        except (Malformed, ValueError) as error:
            self.rejected.append(f"{text}: {error}")

    @property
    def ttl(self) -> int:
        """Seconds for which what the records prove may be kept; 0 without any."""
        found = [one.ttl for one in self.findings.values() if one.security is Security.SECURE]
        return min(found, default=0)

    @property
    def is_empty(self) -> bool:
        """Whether there is none that counts."""
        return not self._nsecs and not self._nsec3s

    def no_name(self, name: bytes) -> Denial:
        """Whether a folded name, and each wildcard that could stand for it, does not exist."""
        denial = self._nsec_no_name(name) if self._nsecs else None
        if denial is None and self._nsec3s:
            denial = self._costly() or self._nsec3_no_name(name)
        return denial or self._not_proven(f"that {name_to_text(name)} does not exist")

    def no_type(self, name: bytes, kind: int) -> Denial:
        """Whether a folded name has no records of a type: also when it is empty, or made from a wildcard."""
        denial = self._nsec_no_type(name, kind) if self._nsecs else None
        if denial is None and self._nsec3s:
            denial = self._costly() or self._nsec3_no_type(name, kind)
        return denial or self._not_proven(f"that {name_to_text(name)} has no {type_to_text(kind)}")

    def expanded(self, name: bytes, source_labels: int) -> Denial:
        """Whether no name closer to `name` exists than the wildcard below its ancestor of so many labels."""
        encloser = last_labels(name, source_labels)
        wildcard = name_to_text(wildcard_of(encloser)[: 2 + len(encloser)])
        for nsec in self._nsecs:
            if nsec.covers(name) and not nsec.is_above_next(name) and nsec.closest_encloser(name) == encloser:
                text = f"{name_to_text(name)} does not exist, and {wildcard} stands for it"
                return Denial(Kind.EXPANDED, "RFC 4035 5.3.4", text)
        if self._nsec3s:
            if (costly := self._costly()) is not None:
                return costly
            covering = self._covering(last_labels(name, source_labels + 1))
            if covering is not None:
                kind = Kind.OPT_OUT if covering.opt_out else Kind.EXPANDED
                return Denial(kind, "RFC 5155 8.8", f"nothing is closer to {name_to_text(name)} than {wildcard}")
        return self._not_proven(f"that {name_to_text(name)} is from {wildcard}")

    def _not_proven(self, what: str) -> Denial:
        text = f"nothing proves {what}"
        if self.rejected:
            text += f" ({self.rejected[0]})"
        return Denial(Kind.NOT_PROVEN, "RFC 4035 5.4", text)

    # NSEC

    def _nsec_at(self, name: bytes) -> Nsec | None:
        return next((nsec for nsec in self._nsecs if nsec.owner == name), None)

    def _nsec_no_name(self, name: bytes) -> Denial | None:
        at = self._nsec_at(name)
        if at is not None:
            if at.has(NXNAME):
                return Denial(Kind.NO_NAME, "RFC 9824 2", f"NSEC of {name_to_text(name)} says that it does not exist")
            return None
        for nsec in self._nsecs:
            if nsec.covers(name) and not nsec.is_above_next(name):
                wildcard = wildcard_of(nsec.closest_encloser(name))
                if any(one.covers(wildcard) and not one.is_above_next(wildcard) for one in self._nsecs):
                    text = f"nothing between {name_to_text(nsec.owner)} and {name_to_text(nsec.next)}, and no wildcard"
                    return Denial(Kind.NO_NAME, "RFC 4035 5.4", text)
        return None

    def _nsec_no_type(self, name: bytes, kind: int) -> Denial | None:
        at, text = self._nsec_at(name), type_to_text(kind)
        if at is not None:
            if not at.denies_type(kind):
                return None
            if kind == DS and at.has(NS):
                return Denial(Kind.UNSIGNED, "RFC 4035 5.2", f"NSEC of {name_to_text(name)} has NS and no DS")
            return Denial(Kind.NO_TYPE, "RFC 4035 5.4", f"NSEC of {name_to_text(name)} has no {text}")
        for nsec in self._nsecs:
            if not nsec.covers(name):
                continue
            if nsec.is_above_next(name):
                return Denial(Kind.EMPTY, "RFC 4035 5.4", f"{name_to_text(nsec.next)} exists below")
            wildcard = wildcard_of(nsec.closest_encloser(name))
            at = self._nsec_at(wildcard)
            if at is not None and at.denies_type(kind):
                return Denial(Kind.NO_TYPE, "RFC 4035 5.4", f"NSEC of {name_to_text(wildcard)} has no {text}")
        return None

    # NSEC3

    def _costly(self) -> Denial | None:
        if not self._too_many:
            return None
        kind = Kind.NOT_PROVEN if self._policy.bogus_above_iterations else Kind.COSTLY
        count = self._nsec3s[0].iterations
        return Denial(kind, "RFC 9276 3.2", f"NSEC3 of {name_to_text(self._zone)} has {count} iterations")

    def _matching(self, name: bytes) -> Nsec3 | None:
        digest = self._hash(name)
        return next((nsec3 for nsec3 in self._nsec3s if nsec3.owner == digest), None)

    def _covering(self, name: bytes) -> Nsec3 | None:
        digest = self._hash(name)
        return next((nsec3 for nsec3 in self._nsec3s if nsec3.covers(digest)), None)

    def _closest(self, name: bytes) -> tuple[bytes, Nsec3] | None:
        """The closest encloser of a name without a record of its own, and what covers the next closer name.

        RFC 5155 8.3.
        """
        if not is_below(name, self._zone):
            return None
        closer, ancestor = name, parent(name)
        while is_below(ancestor, self._zone) and closer != self._zone:
            at = self._matching(ancestor)
            if at is not None:
                covering = self._covering(closer) if at.can_enclose else None
                return None if covering is None else (ancestor, covering)
            closer, ancestor = ancestor, parent(ancestor)
        return None

    def _nsec3_no_name(self, name: bytes) -> Denial | None:
        if self._matching(name) is not None:
            return None
        found = self._closest(name)
        if found is None or self._covering(wildcard_of(found[0])) is None:
            return None
        encloser, covering = found
        kind = Kind.OPT_OUT if covering.opt_out else Kind.NO_NAME  # RFC 5155 9.2
        return Denial(kind, "RFC 5155 8.4", f"{name_to_text(encloser)} exists, nothing closer, and no wildcard")

    def _nsec3_no_type(self, name: bytes, kind: int) -> Denial | None:
        text = type_to_text(kind)
        at = self._matching(name)
        if at is not None:
            if not at.denies_type(kind) and not (name == ROOT and kind == DS and not at.has(DS)):
                return None
            if kind == DS and at.has(NS) and name != ROOT:
                return Denial(Kind.UNSIGNED, "RFC 5155 8.9", f"NSEC3 of {name_to_text(name)} has NS and no DS")
            source = "RFC 5155 8.6" if kind == DS else "RFC 5155 8.5"
            return Denial(Kind.NO_TYPE, source, f"NSEC3 of {name_to_text(name)} has no {text}")
        found = self._closest(name)
        if found is None:
            return None
        encloser, covering = found
        if covering.opt_out:
            return Denial(Kind.OPT_OUT, "RFC 5155 8.6", f"an opt-out range below {name_to_text(encloser)} covers it")
        at = self._matching(wildcard_of(encloser))
        if at is not None and at.denies_type(kind):
            return Denial(Kind.NO_TYPE, "RFC 5155 8.7", f"the wildcard below {name_to_text(encloser)} has no {text}")
        return None
