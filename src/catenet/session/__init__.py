"""OSI layer 5: a byte stream that survives its connection."""
