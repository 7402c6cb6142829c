"""OSI layer 6: how values become bytes."""
