"""Who calls: certificates and bearer tokens, verified."""
