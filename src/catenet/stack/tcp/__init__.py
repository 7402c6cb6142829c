"""TCP (RFC 9293), one file per concern."""
