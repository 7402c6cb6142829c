"""DNS on the wire (RFC 1035): names, messages and their records, EDNS."""
