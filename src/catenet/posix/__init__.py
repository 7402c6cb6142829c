"""The surface programs use: sockets, readiness, names, interfaces, the clock."""
