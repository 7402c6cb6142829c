"""Settings of a host's stack as people write them: names of Linux, values with units, mistakes in one line."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from catenet.stack.settings import Settings
from catenet.stack.sysctl import SETTINGS, Setting, Value, find
from catenet.world.scenario.units import DURATIONS, nearest, parse_duration, parse_size

__all__ = ["SettingChanges", "apply_settings", "flatten", "parse_assignments", "parse_setting"]

SettingChanges: TypeAlias = Mapping[str, object]
"""Values by names, as `{"tcp_mtu_probing": 1, "net.ipv4.tcp_rmem": "4096 131072 6291456"}`."""

KEYS: Final = re.compile(r"[0-9a-fA-F]{1,8}(-[0-9a-fA-F]{1,8}){3}(,[0-9a-fA-F]{1,8}(-[0-9a-fA-F]{1,8}){3})?|")
NUMBER: Final = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|\d[\d_]*(\.\d+)?)")


def parse_setting(name: str, value: object) -> tuple[str, Value]:
    """The field of `Settings` and what it gets; ValueError names the setting, what it takes, or the nearest name."""
    setting = find(name)
    if setting is None:
        raise ValueError(f"unknown setting {name!r}{nearest(name.rpartition('.')[2], SETTINGS)}")
    try:
        return setting.name, _value(setting, value)
    except ValueError as error:
        raise ValueError(f"{setting.name}: {error}") from None


def apply_settings(changes: SettingChanges, base: Settings | None = None) -> Settings:
    """Settings with some changed, on top of `base` (Linux's defaults); ValueError as `parse_setting`."""
    parsed = dict(parse_setting(name, value) for name, value in changes.items())
    return dataclasses.replace(base or Settings(), **parsed)  # type: ignore[arg-type]


def flatten(table: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Paths and values of a table whose dotted keys have become tables, as TOML's do: `net.ipv4.tcp_sack = 0`."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flatten(value, (*path, key))
        else:
            yield (*path, key), value


def parse_assignments(words: Iterable[str], hosts: Iterable[str]) -> dict[str, dict[str, str]]:
    """Settings of `NAME=VALUE` and `HOST.NAME=VALUE` by host, those of all hosts under ''.

    Raises:
        ValueError: no assignment, an unknown host or setting, or a value that it does not take.
    """
    known = list(hosts)
    chosen: dict[str, dict[str, str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ValueError(f"{word!r} is no NAME=VALUE")
        host = ""
        if find(name) is None:
            host = max((each for each in known if name.startswith(f"{each}.")), key=len, default="")
            front, dot, rest = name.partition(".")
            if not host and dot and front != "net" and find(rest) is not None:
                raise ValueError(f"unknown host {front!r}{nearest(front, known)}")
        field = name.removeprefix(f"{host}.") if host else name
        parse_setting(field, value)
        chosen.setdefault(host, {})[field] = value
    return chosen


def _value(setting: Setting, value: object) -> Value:
    default = setting.default
    if isinstance(default, str):
        return _text(setting, value)
    if not isinstance(default, tuple):
        number = _number(setting, value)
        return number if isinstance(default, float) else _whole(number, value)
    parts = re.split(r"[\s,]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) != len(default):
        example = " ".join(map(str, default))
        raise ValueError(f"{value!r} is not {len(default)} numbers; write for example {example!r}")
    numbers = tuple(_whole(_number(setting, part), part) for part in parts)
    if setting.name == "ip_local_port_range" and numbers[0] > numbers[1]:
        raise ValueError(f"{value!r} has its first port behind its last")
    return numbers


def _text(setting: Setting, value: object) -> str:
    choices = setting.choices
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    if choices and value not in choices:
        raise ValueError(f"{value!r} is not one of {', '.join(choices)}{nearest(value, choices)}")
    if setting.name == "tcp_fastopen_key" and not KEYS.fullmatch(value):
        raise ValueError(f"{value!r} is no key; write one or two as 'a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4'")
    return value


def _number(setting: Setting, value: object) -> float:
    """A number in the unit of the setting, of a bare number, or of a text with another unit of the kind."""
    if isinstance(value, int | float):
        number: float = int(value) if isinstance(value, bool) else value
    elif not isinstance(value, str):
        raise ValueError(f"{value!r} is not a number")
    elif NUMBER.fullmatch(text := value.strip()):
        number = int(text, 16) if "x" in text.lower() else float(text)
    elif setting.unit == "B":
        number = parse_size(text)
    elif setting.unit in DURATIONS:
        number = round(parse_duration(text) / DURATIONS[setting.unit], 6)
    elif setting.unit and text.endswith(setting.unit):
        return _number(setting, text.removesuffix(setting.unit).strip())
    else:
        raise ValueError(f"{value!r} is not a number{f' of {setting.unit}' if setting.unit else ''}")
    if not setting.low <= number <= setting.high:
        unit = f" {setting.unit}" if setting.unit else ""
        raise ValueError(f"{value!r} is not from {setting.low} to {setting.high}{unit}")
    return number


def _whole(number: float, value: object) -> int:
    if number != int(number):
        raise ValueError(f"{value!r} is not a whole number")
    return int(number)
