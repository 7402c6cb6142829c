"""A name server: requests from UDP, TCP and TLS to answers of zones, caches and resolvers."""
