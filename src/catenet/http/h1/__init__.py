"""HTTP/1.1 (RFC 9112) by the strict reading of the RFC."""
