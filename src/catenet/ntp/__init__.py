"""The Network Time Protocol (RFC 5905): what time it is by servers, how far to trust it, and a server."""
