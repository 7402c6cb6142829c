"""Idle connections in a compact form."""
