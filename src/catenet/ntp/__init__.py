"""The Network Time Protocol (RFC 5905): what time it is by servers, and how far to trust it."""
