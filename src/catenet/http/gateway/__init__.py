"""A gateway (reverse proxy): requests that came here are answered by servers behind it."""
