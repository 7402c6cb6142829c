"""Segments in: acceptance, data, reassembly, window, urgent data."""
