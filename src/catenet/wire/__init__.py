"""OSI layers 2 to 4 as values: bytes in, values out, and back. Pure functions, no state."""
