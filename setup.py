"""Compile the hot modules by mypyc, from the same source, if asked to.

`CATENET_COMPILE=1 pip install --no-build-isolation .`

Needs `pip install "mypy>=1.15" "setuptools>=77"` and a C compiler. Without the variable nothing is compiled, and
everything works the same, more slowly (docs/benchmarks.md).
"""

import os
from pathlib import Path

from setuptools import setup

SOURCE = Path("src")
HOT = (
    "catenet/wire",
    "catenet/stack",
    "catenet/stack/tcp",
    "catenet/stack/tcp/congestion",
    "catenet/stack/tcp/congestion/bbr",
    "catenet/stack/tcp/recovery",
)
SINGLE = (
    "catenet/link/device.py",
    "catenet/link/ecn.py",
    "catenet/link/properties.py",
    "catenet/link/queues.py",
    "catenet/link/shaped.py",
    "catenet/link/simulated.py",
    "catenet/world/hub.py",
    "catenet/world/links.py",
    "catenet/world/trace.py",
)
# Classes derived from bytes and tuple, which mypyc cannot make; what looks into classes; what only Ethernet needs.
LEFT_OUT = ("__init__.py", "offload.py", "parking.py", "endpoint.py", "ethernet.py", "autoconf.py", "dhcp.py")


def hot_modules() -> list[str]:
    """Paths below `src` of the modules that a packet meets; all in one group, so that they call each other directly."""
    found = [path for folder in HOT for path in sorted((SOURCE / folder).glob("*.py")) if path.name not in LEFT_OUT]
    found.append(SOURCE / "catenet/stack/tcp/endpoint.py")
    return [str(path) for path in found] + [str(SOURCE / name) for name in SINGLE]


def extensions() -> list[object]:
    """Nothing, unless asked for."""
    if os.environ.get("CATENET_COMPILE") != "1":
        return []
    from mypyc.build import mypycify

    return list(
        mypycify(["--config-file=", "--follow-imports=silent", *hot_modules()], opt_level="3", group_name="catenet")
    )


setup(ext_modules=extensions())
