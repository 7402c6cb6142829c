"""Clients: channels, connections, attempts, retries."""
