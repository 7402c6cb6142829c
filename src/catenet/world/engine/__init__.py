"""Time, hosts and processes: what runs, and when."""
