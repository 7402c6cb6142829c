"""Whether and how packets reach an address: what `catenet ping` and `catenet trace` share."""
