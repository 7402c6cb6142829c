"""Hosts in processes of their own (docs/design/isolation.md)."""
