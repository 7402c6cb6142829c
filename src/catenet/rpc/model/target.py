"""Where a call goes, as text: the URLs that channels and servers take."""

from __future__ import annotations

from collections.abc import Mapping

from catenet.http import target as http
from catenet.net import target as net
from catenet.net.target import Scheme, Target

__all__ = ["SCHEMES", "parse_target"]

SCHEMES: Mapping[str, Scheme] = {
    name: {**net.SCHEMES, **http.SCHEMES}[name] for name in ("tcp", "tls", "http", "https", "dns", "unix")
}


def parse_target(text: str, listening: bool = False) -> Target:
    """Return the target that `text` names; raise `ValueError` that says what is wrong with it.

    `tcp://host:port`, `tls://host:port`, `http(s)://host[:port]/base`, `dns:///host:port`, `unix:/path`,
    `unix://path` and plain `host:port` (which is `tcp`). `base` is the path that stands before
    `/service/method`. `listening`: the host may be missing, which means all addresses of this machine.
    """
    return net.parse_target(text, listening=listening, schemes=SCHEMES)
