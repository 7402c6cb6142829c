"""Trust anchors: the keys that are trusted without a parent's word (RFC 4033 2, RFC 9718)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from catenet.dns.dnssec.anchor_text import parse_anchors
from catenet.dns.dnssec.keys import Ds, Key
from catenet.wire.dns.name import ROOT, fold, parent

__all__ = ["Anchor", "TrustAnchors"]

ROOT_ANCHORS: Final = """\
. 86400 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D ; KSK-2017
. 86400 IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16 ; KSK-2024
"""
"""Of the public root (IANA, https://data.iana.org/root-anchors/root-anchors.xml)."""


class Anchor(NamedTuple):
    """What is trusted of a zone: keys, or digests of keys. `zone` is folded."""

    zone: bytes
    digests: tuple[Ds, ...] = ()
    keys: tuple[Key, ...] = ()


class TrustAnchors:
    """The anchors of a validator, and the negative ones, below which it validates nothing (RFC 7646).

    Attributes:
        generation: a number that changes with the anchors, for those who keep what rests on them.
    """

    def __init__(self, anchors: Iterable[Anchor] = ()) -> None:
        self.generation = 0
        self._anchors: dict[bytes, Anchor] = {}
        self._negative: dict[bytes, float] = {}
        for anchor in anchors:
            self.add(anchor)

    @classmethod
    def root(cls) -> TrustAnchors:
        """Those of the public root."""
        return cls.from_text(ROOT_ANCHORS, "root anchors")

    @classmethod
    def from_text(cls, text: str, source: str = "trust anchors") -> TrustAnchors:
        """Anchors from DS and DNSKEY records in master format.

        Raises:
            AnchorError: a line is neither; it names `source` and the line.
        """
        anchors = cls()
        anchors.add_text(text, source)
        return anchors

    @classmethod
    def from_files(cls, paths: Iterable[Path | str]) -> TrustAnchors:
        """Anchors of several files. Raises AnchorError, OSError."""
        anchors = cls()
        for path in paths:
            anchors.add_text(Path(path).read_text(), str(path))
        return anchors

    def add_text(self, text: str, source: str = "trust anchors") -> None:
        """Trust more, as `from_text`."""
        for zone, value in parse_anchors(text, source):
            self.add(Anchor(zone, (value,)) if isinstance(value, Ds) else Anchor(zone, (), (value,)))

    def add(self, anchor: Anchor) -> None:
        """Trust more keys of a zone."""
        zone = fold(anchor.zone)
        before = self._anchors.get(zone, Anchor(zone))
        self._anchors[zone] = Anchor(zone, before.digests + anchor.digests, before.keys + anchor.keys)
        self.generation += 1

    def replace(self, anchor: Anchor) -> None:
        """Trust these keys of a zone alone; none at all: the zone is as if it had never been trusted (RFC 5011 5)."""
        zone = fold(anchor.zone)
        before = self._anchors.pop(zone, None)
        if anchor.keys or anchor.digests:
            self._anchors[zone] = anchor._replace(zone=zone)
        if _values(before) != _values(self._anchors.get(zone)):
            self.generation += 1

    def add_negative(self, name: bytes, until: float = float("inf")) -> None:
        """Validate nothing at and below a name, until a time in seconds since 1970 (RFC 7646)."""
        self._negative[fold(name)] = until
        self.generation += 1

    def remove_negative(self, name: bytes) -> None:
        """Validate at and below that name again."""
        if self._negative.pop(fold(name), None) is not None:
            self.generation += 1

    def get(self, zone: bytes) -> Anchor | None:
        """The anchor of this very zone (folded)."""
        return self._anchors.get(zone)

    @property
    def zones(self) -> list[bytes]:
        """The zones that have anchors, folded."""
        return sorted(self._anchors)

    def closest(self, name: bytes) -> Anchor | None:
        """The anchor of the deepest zone at or above a folded name."""
        while True:
            anchor = self._anchors.get(name)
            if anchor is not None or name == ROOT:
                return anchor
            name = parent(name)

    def closest_negative(self, name: bytes, wall: float) -> bytes | None:
        """The deepest negative anchor at or above a folded name that holds at `wall`."""
        while self._negative:
            if self._negative.get(name, 0) > wall:
                return name
            if name == ROOT:
                break
            name = parent(name)
        return None


def _values(anchor: Anchor | None) -> tuple[frozenset[Ds], frozenset[bytes]]:
    if anchor is None:
        return frozenset(), frozenset()
    return frozenset(anchor.digests), frozenset(key.data for key in anchor.keys)
