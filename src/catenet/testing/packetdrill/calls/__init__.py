"""System calls of scripts, made on the POSIX surface, and whether the outcome is the expected one."""

from catenet.testing.packetdrill.calls.dispatch import Calls, Outcome, Work

__all__ = ["Calls", "Outcome", "Work"]
