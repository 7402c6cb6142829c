"""The machine's configuration as scripts change it: settings, the route to the peer, files of zeros."""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Final

from catenet.stack.ip.routes import RouteMetrics
from catenet.testing.packetdrill.config import Config
from catenet.testing.packetdrill.machine import Machine
from catenet.wire.siphash import siphash

__all__ = ["Environment", "fast_open_cookies"]

_RENAMED: Final = {
    "net.core.somaxconn": "somaxconn",
    "net.core.rmem_default": "rmem_default",
    "net.core.rmem_max": "rmem_max",
    "net.core.wmem_default": "wmem_default",
    "net.core.wmem_max": "wmem_max",
    "net.core.optmem_max": "optmem_max",
    "net.ipv4.route.min_pmtu": "min_pmtu",
    "net.ipv4.route.mtu_expires": "mtu_expires",
    "net.ipv6.route.mtu_expires": "mtu_expires",
}
"""Settings whose field is not the last part of their name."""

_KEY: Final = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"


def fast_open_cookies(config: Config) -> dict[str, str]:
    """Cookies that scripts know by name: of Linux's algorithm with the key that `defaults.sh` sets, and with key zero.

    SipHash-2-4 of the SYN's source and destination addresses, as Linux has had it since 5.3.
    """
    assert config.remote_ip is not None
    assert config.local_ip is not None
    message = config.remote_ip + config.local_ip
    key = struct.pack("<4I", *(int(part, 16) for part in _KEY.split("-")))
    return {
        "TFO_COOKIE": struct.pack("<Q", siphash(key, message)).hex(),
        "TFO_COOKIE_ZERO": struct.pack("<Q", siphash(bytes(16), message)).hex(),
    }


class Environment:
    """The effects of commands (`shell.Effects`), and the files that they write."""

    def __init__(self, machine: Machine, config: Config, notes: list[str]) -> None:
        self._machine = machine
        self._config = config
        self._notes = notes
        self._set: set[str] = set()
        self._names = {one.name for one in fields(machine.settings)}
        self.files: dict[str, bytes] = {"/dev/null": b""}

    def set_sysctl(self, name: str, value: str) -> None:
        """Set the field of `Settings` that a sysctl stands for; one that does not exist here is noted."""
        parts = name.split(".")
        field = _RENAMED.get(name, parts[-1])
        if parts[:2] == ["net", "ipv6"] and field not in self._names:
            field = f"ipv6_{field}"
        if field not in self._names:
            self.note(f"skipped: no setting {name} here")
            return
        try:
            setattr(self._machine.settings, field, _converted(value, getattr(self._machine.settings, field)))
        except ValueError:
            raise ValueError(f"{name}={value}: not a value of this setting") from None
        self._set.add(field)

    def adopt_scale(self, scale: int) -> None:
        """Make buffers as large as the window scale of our SYN says, unless commands have set them."""
        settings = self._machine.settings
        if "tcp_rmem" in self._set or "rmem_max" in self._set:
            return
        largest = 1 << (scale + 15)
        if settings.tcp_rmem[2].bit_length() != largest.bit_length():
            least, usual, _ = settings.tcp_rmem
            settings.tcp_rmem = (least, min(usual, largest), largest)
            settings.rmem_max = min(settings.rmem_max, largest)
            self.note(f"tcp_rmem is made to end at {largest}, for the window scale of {scale} in the script")

    def set_route(self, metrics: dict[str, str]) -> None:
        """Metrics of the default route, which leads to the peer."""
        known = {one: metrics[one] for one in ("advmss", "initcwnd", "initrwnd", "quickack") if one in metrics}
        values: dict[str, object] = {name: int(value) for name, value in known.items()}
        if "mtu" in metrics:
            values["mtu"] = int(metrics["mtu"].removeprefix("lock "))
        if "hoplimit" in metrics:
            values["hop_limit"] = int(metrics["hoplimit"])
        if "rto_min" in metrics:
            values["rto_min"] = _duration(metrics["rto_min"])
        if "ecn" in metrics.get("features", ""):
            values["ecn"] = True
        if "congctl" in metrics:
            values["congestion"] = metrics["congctl"].removeprefix("lock ")
        if metrics.get("fastopen_no_cookie") == "1":
            values["fastopen_no_cookie"] = True
        for name in metrics.keys() - {"advmss", "initcwnd", "initrwnd", "quickack", "mtu", "hoplimit", "rto_min"}:
            if name not in ("features", "congctl", "fastopen_no_cookie"):
                self.note(f"skipped: route metric {name}")
        self._machine.route.metrics = RouteMetrics(**values)  # type: ignore[arg-type]
        self._machine.stack.output.invalidate()

    def set_link_mtu(self, mtu: int) -> None:
        """Change the interface's MTU."""
        self._machine.stack.set_mtu(self._machine.interface.index, mtu)

    def forget_metrics(self) -> None:
        """Forget Fast Open cookies."""
        self._machine.stack.tcp.cookies.clear()

    def set_qdisc(self, kind: str, full: bool) -> None:
        """`fq` paces, one without room drops everything; others queue, which nothing here needs."""
        self._machine.stack.tcp.held = full
        self._machine.settings.default_qdisc = kind or "pfifo_fast"

    def make_file(self, path: str, size: int) -> None:
        """A file of zeros, for `open`."""
        self.files[path] = bytes(size)

    def note(self, text: str) -> None:
        """Say something in the result."""
        self._notes.append(text)


def _converted(value: str, now: object) -> object:
    """A setting's text as the type that it has."""
    if isinstance(now, tuple):
        numbers = tuple(int(part, 0) for part in value.split())
        if len(numbers) != len(now):
            raise ValueError
        return numbers
    if isinstance(now, bool):
        return bool(int(value, 0))
    if isinstance(now, int):
        return int(value, 0)
    if isinstance(now, float):
        return float(value)
    if isinstance(now, bytes):
        return struct.pack("<4I", *(int(part, 16) for part in value.split("-")))
    return value


def _duration(text: str) -> float:
    """Seconds of `200ms`, `1s` or `200` (milliseconds)."""
    text = text.removeprefix("lock ")
    if text.endswith("ms"):
        return float(text[:-2]) / 1000
    if text.endswith("s"):
        return float(text[:-1])
    return float(text) / 1000
