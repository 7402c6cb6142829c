"""OSI layers 3 and 4: one host's kernel, sans-I/O."""
