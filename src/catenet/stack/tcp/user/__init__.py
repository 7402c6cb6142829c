"""The user/TCP interface (RFC 9293 3.9.1): endpoints, reading, writing, socket options, TCP_INFO."""
