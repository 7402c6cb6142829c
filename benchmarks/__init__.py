"""Measurements beside peers: `python -m benchmarks [NAME...]`, one module per benchmark. See docs/benchmarks.md."""
