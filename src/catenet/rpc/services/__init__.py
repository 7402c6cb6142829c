"""Services that every server can have: health checking, reflection, telemetry."""
