"""DNSSEC: keys, signatures, proofs of denial, validation, trust anchors. Pure."""
