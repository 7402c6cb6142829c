"""How a host's stack is made and told of its devices: the one place where worlds know the stack's configuration."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from catenet.stack.settings import Settings
from catenet.stack.stack import Stack

if TYPE_CHECKING:
    from catenet.world.host import Host

__all__ = ["configure", "make_stack"]


def make_stack(host: Host, generator: random.Random) -> Stack:
    """Make the stack of a host that boots."""
    return Stack(host.settings or Settings(), generator)


def configure(host: Host, stack: Stack) -> None:
    """Tell the stack of the host's devices, their addresses and the routes that the topology knows."""
