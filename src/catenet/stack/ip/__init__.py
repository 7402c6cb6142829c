"""IPv4 and IPv6: output, routes, fragments, ICMP, path MTU."""
