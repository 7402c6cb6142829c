"""The whole network in one Python package: from packet to procedure call."""

__all__ = ["__version__"]

__version__ = "0.1.0"
