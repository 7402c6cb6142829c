"""The whole network in one Python package: from packet to procedure call."""

__version__ = "0.1.0"
