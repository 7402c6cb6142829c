"""What clients and servers of HTTP decide, without I/O, clock or entropy of its own."""
