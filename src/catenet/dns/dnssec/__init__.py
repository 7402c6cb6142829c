"""DNSSEC: keys, signatures, proofs of denial, validation, trust anchors, signing (RFC 4033 to 4035, RFC 5155).

Needs `cryptography` (the extra `dns`).
"""

from catenet.dns.dnssec.anchor_text import AnchorError
from catenet.dns.dnssec.anchors import TrustAnchors
from catenet.dns.dnssec.budget import Budget
from catenet.dns.dnssec.cache import KeyCache
from catenet.dns.dnssec.cds import delete_sets, sync_sets, wanted_ds
from catenet.dns.dnssec.context import ValidationContext
from catenet.dns.dnssec.policy import Policy
from catenet.dns.dnssec.private import KeyTimes, SigningKey, generate_key, read_private_key
from catenet.dns.dnssec.proof import Proof
from catenet.dns.dnssec.rollover import AnchorKeeper, anchor_file
from catenet.dns.dnssec.schedule import Delays, finish_entry_roll, keys_at, roll_entry_key, roll_zone_key, sign_at
from catenet.dns.dnssec.sign import Nsec3Settings, SigningSettings, sign_zone
from catenet.dns.dnssec.validate import Verdict, validate
from catenet.dns.dnssec.zonemd import check_zonemd, make_zonemd

__all__ = [
    "AnchorError",
    "AnchorKeeper",
    "Budget",
    "Delays",
    "KeyCache",
    "KeyTimes",
    "Nsec3Settings",
    "Policy",
    "Proof",
    "SigningKey",
    "SigningSettings",
    "TrustAnchors",
    "ValidationContext",
    "Verdict",
    "anchor_file",
    "check_zonemd",
    "delete_sets",
    "finish_entry_roll",
    "generate_key",
    "keys_at",
    "make_zonemd",
    "read_private_key",
    "roll_entry_key",
    "roll_zone_key",
    "sign_at",
    "sign_zone",
    "sync_sets",
    "validate",
    "wanted_ds",
]
