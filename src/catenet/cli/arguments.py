"""Values that several verbs take, read for argparse."""

from __future__ import annotations

import argparse

from catenet.wire.address import parse_interface
from catenet.world.units import parse_duration

__all__ = ["address", "duration", "seed"]


def seed(text: str) -> int | str:
    """A number, or any text."""
    return int(text) if text.lstrip("-").isdecimal() else text


def duration(text: str) -> float:
    """Seconds of `20ms` or of a bare number."""
    try:
        return parse_duration(float(text) if text.replace(".", "", 1).isdecimal() else text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def address(text: str) -> str:
    """An address with or without a prefix length, as it was written."""
    try:
        parse_interface(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
