"""Processes of a host that came by fork: they run in processes of the machine, their kernel in the host's first."""
