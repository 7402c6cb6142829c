"""Network address translation of a router: NAPT for IPv4."""
