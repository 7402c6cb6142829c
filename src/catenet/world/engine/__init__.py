"""Time, hosts and processes."""
