"""Kiss-o'-death: what a server that refuses asks of its client (RFC 5905 section 7.4, RFC 8915 section 5.7)."""

from __future__ import annotations

from typing import Final

__all__ = ["DENY", "NTSN", "RATE", "STOPPING"]

DENY: Final = "DENY"
RSTR: Final = "RSTR"
RATE: Final = "RATE"
NTSN: Final = "NTSN"

STOPPING: Final = frozenset((DENY, RSTR))
"""Codes after which a client sends nothing more to this server."""

MEANINGS: Final = {
    "ACST": "the association belongs to a unicast server",
    "AUTH": "authentication failed",
    "AUTO": "Autokey sequence failed",
    "BCST": "the association belongs to a broadcast server",
    "CRYP": "authentication or identification failed",
    DENY: "access denied",
    "DROP": "lost peer in symmetric mode",
    RSTR: "access denied by local policy",
    "INIT": "not yet synchronized",
    "MCST": "the association belongs to a dynamically discovered server",
    "NKEY": "no key found",
    RATE: "too many packets",
    "RMOT": "alteration from a remote host",
    "STEP": "a step of the clock has begun",
    NTSN: "Network Time Security negative acknowledgement",
}
"""Every registered code, and what it says."""
