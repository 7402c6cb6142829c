"""A client of HTTP/1.1 and HTTP/2."""
