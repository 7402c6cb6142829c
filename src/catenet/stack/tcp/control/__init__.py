"""A connection's state, its timers and its end."""
