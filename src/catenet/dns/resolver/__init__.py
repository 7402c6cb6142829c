"""Recursive resolution: cache, iteration from the root, server selection, limits on work. Pure but for its driver."""
