"""Zones: master files, look-up as authorities do it, transfers, updates, signing."""
