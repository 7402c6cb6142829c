"""How connections begin: listeners, handshakes, SYN cookies, Fast Open, ports."""
