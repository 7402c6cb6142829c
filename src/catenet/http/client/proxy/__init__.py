"""The handshakes with proxies as pure cores: HTTP CONNECT, SOCKS5, SOCKS4."""
