"""Network Time Security (RFC 8915): keys and cookies by TLS, and packets that only their server can have made."""
