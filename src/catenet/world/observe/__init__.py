"""Observation of a world: reports, captures, plots, sockets."""
