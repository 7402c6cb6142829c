"""Master files (RFC 1035 5): zones, root hints and trust anchors as text, read and written."""
