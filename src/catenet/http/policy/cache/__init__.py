"""A private cache (RFC 9111): decisions without I/O, and two places to keep responses."""
