"""HTTP/1.1 (RFC 9112), heads by `httptools`, framing by the strict reading of the RFC."""
