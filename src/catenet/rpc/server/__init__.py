"""Servers: connections, routes, calls and their limits."""
