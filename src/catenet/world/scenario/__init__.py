"""World files, settings and scheduled events."""
