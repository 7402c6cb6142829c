"""Why there is no TUN device, and what helps."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

__all__ = ["DeviceUnavailable", "unavailable"]

HOW_TO_GET_IT: Final = (
    "run as root (sudo), give this Python the capability (sudo setcap cap_net_admin+ep {python}), "
    "or have a device made for you once (sudo ip tuntap add dev {name} mode tun user {user})"
)


class DeviceUnavailable(OSError):
    """The TUN device is not available; the message is one line that says why and what helps."""


def unavailable(error: OSError, name: str) -> DeviceUnavailable:
    """Say in one line why there is no TUN device and what helps."""
    number = error.errno or 0
    if number in (errno.EPERM, errno.EACCES):
        user = os.environ.get("USER", "$USER")
        help_ = HOW_TO_GET_IT.format(python=os.path.realpath(sys.executable), name=name.replace("%d", "0"), user=user)
        return DeviceUnavailable(number, f"a TUN device needs the privilege CAP_NET_ADMIN: {help_}")
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return DeviceUnavailable(number, "the kernel offers no /dev/net/tun; load its module (sudo modprobe tun)")
    if number == errno.EBUSY:
        return DeviceUnavailable(number, f"the TUN device {name} is in use by another program; choose another name")
    return DeviceUnavailable(number, f"cannot set up the TUN device {name}: {error.strerror}")
