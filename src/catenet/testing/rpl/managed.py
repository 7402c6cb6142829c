"""Files of trust anchors that follow roll-overs (RFC 5011), of a scenario: nothing is written to disk."""

from __future__ import annotations

import random
import re

from catenet.dns.dnssec import AnchorError, AnchorKeeper, Policy, TrustAnchors
from catenet.testing.rpl.syntax import ScenarioError
from catenet.wire.dns.name import fold, name_from_text

__all__ = ["ManagedAnchors"]

_ID = re.compile(r"^;;id: (\S+) 1", re.MULTILINE)


class ManagedAnchors:
    """Reads the files, makes their keeper, and knows what they say.

    Args:
        files: their texts by their names.
        anchors: what is trusted; the files add to it.
        policy: settings of signatures.
        rng: draws times of probes.
    """

    def __init__(self, files: dict[str, str], anchors: TrustAnchors, policy: Policy, rng: random.Random) -> None:
        self._texts = dict(files)
        self._files: dict[bytes, str] = {}
        """Names of files by zone."""
        kept: dict[str, str] = {}
        for name, text in files.items():
            found = _ID.search(text)
            try:
                if found is not None:
                    kept[name] = text
                    self._files[fold(name_from_text(found[1]))] = name
                else:
                    anchors.add_text(text, name)
                    self._files |= dict.fromkeys(TrustAnchors.from_text(text, name).zones, name)
            except (AnchorError, ValueError) as error:
                raise ScenarioError(0, str(error)) from None
        self.keeper = AnchorKeeper(anchors, list(self._files), rng, self._save, policy) if self._files else None
        if self.keeper is not None:
            for name, text in kept.items():
                self.keeper.load(text, name)

    def text(self, name: str) -> str:
        """What a file says now."""
        return self._texts.get(name, "")

    def _save(self, zone: bytes, text: str) -> None:
        self._texts[self._files[zone]] = text
