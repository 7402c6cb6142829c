"""Links whose queue decides when and whether a packet leaves, and the choice of a link for its properties."""

from __future__ import annotations

import random

from catenet.link.properties import LinkProperties
from catenet.link.simulated import SimulatedLink

__all__ = ["make_link"]


def make_link(
    properties: LinkProperties, stream: random.Random, previous: SimulatedLink | None = None
) -> SimulatedLink:
    """Return a link with these properties; `previous`, when given, is changed or replaced with its counters kept."""
    if previous is not None:
        previous.change(properties)
        return previous
    return SimulatedLink(properties, stream)
