"""Values of a configuration file, with the place of each mistake and what may be meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from catenet.dns.dnssec.algorithms import CURRENT, algorithm_to_text
from catenet.dns.server.access import network
from catenet.dns.server.config import ConfigError
from catenet.dns.server.cookies import SECRET_LENGTH
from catenet.dns.server.settings import CookiePolicy
from catenet.wire.dns.name import name_from_text

__all__ = ["Values"]

T = TypeVar("T")
_LEAST: Final = {"udp-payload": 512, "cache-bytes": 1 << 20}
_MOST: Final = {"udp-payload": 4096}


class Values:
    """Reads what stands in one file. `where` is the key that a mistake names.

    Args:
        file: its name, for mistakes.
        folder: that paths in it are relative to.
    """

    def __init__(self, file: str, folder: Path) -> None:
        self._file = file
        self._folder = folder

    def _fields(
        self, where: str, table: object, readers: Mapping[str, Callable[[str, object], object]]
    ) -> dict[str, object]:
        if not isinstance(table, dict):
            raise self._error(where, "is to be a table")
        found = {}
        for key, value in table.items():
            reader = readers.get(key)
            full = f"{where}.{key}" if where else key
            if reader is None:
                near = difflib.get_close_matches(key, readers, 1)
                hint = f"do you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(readers))}"
                raise self._error(full, f"is no setting; {hint}")
            found[key] = reader(full, value)
        return found

    def _tables(self, where: str, value: object, reader: Callable[[str, object], T]) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise self._error(where, f"is to be tables, [[{where}]]")
        return tuple(reader(f"{where}[{number}]", one) for number, one in enumerate(value))

    def _error(self, where: str, what: str) -> ConfigError:
        return ConfigError(f"{self._file}: {where} {what}" if where else f"{self._file} {what}")

    def _text(self, where: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._error(where, f"is to be a text, not {value!r}")
        return value

    def _name(self, where: str, value: object) -> str:
        text = self._text(where, value)
        try:
            name_from_text(text.rstrip(".") + ".")
        except ValueError as error:
            raise self._error(where, f"is to be a name: {error}") from None
        return text

    def _choice(self, where: str, value: object, choices: Sequence[str]) -> str:
        text = self._text(where, value)
        if text not in choices:
            near = difflib.get_close_matches(text, choices, 1)
            hint = f"do you mean {near[0]!r}?" if near else f"one of {', '.join(choices)}"
            raise self._error(where, f"cannot be {text!r}; {hint}")
        return text

    def _path(self, where: str, value: object) -> str:
        text = self._text(where, value)
        return str(self._folder / text) if text else ""

    def _texts(self, where: str, value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            raise self._error(where, f"is to be a list of texts, not {value!r}")
        return tuple(self._text(f"{where}[{number}]", one) for number, one in enumerate(value))

    def _networks(self, where: str, value: object) -> tuple[str, ...]:
        texts = self._texts(where, value)
        for number, text in enumerate(texts):
            try:
                network(text)
            except ValueError as error:
                raise self._error(f"{where}[{number}]", f"{error}") from None
        return texts

    def _truth(self, where: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self._error(where, f"is to be true or false, not {value!r}")
        return value

    def _count(self, where: str, value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 40:
            raise self._error(where, f"is to be a whole number from 0 on, not {value!r}")
        return value

    def _size(self, where: str, value: object) -> int:
        least = _LEAST.get(where, 1)
        number = self._count(where, value)
        if number < least:
            raise self._error(where, f"is to be at least {least}")
        if number > _MOST.get(where, number):
            raise self._error(where, f"is to be at most {_MOST[where]}")
        return number

    def _seconds(self, where: str, value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e6:
            raise self._error(where, f"is to be a number of seconds above 0, not {value!r}")
        return float(value)

    def _policy(self, where: str, value: object) -> CookiePolicy:
        return CookiePolicy(self._choice(where, value, [one.value for one in CookiePolicy]))

    def _secrets(self, where: str, value: object) -> tuple[bytes, ...]:
        secrets = []
        for number, text in enumerate(self._texts(where, value)):
            try:
                secret = bytes.fromhex(text)
            except ValueError:
                secret = b""
            if len(secret) != SECRET_LENGTH:
                raise self._error(f"{where}[{number}]", f"is to be {2 * SECRET_LENGTH} hexadecimal digits")
            secrets.append(secret)
        return tuple(secrets)

    def _algorithm(self, where: str, value: object) -> int:
        """An algorithm that we sign with, by number or mnemonic."""
        names = {algorithm_to_text(number): int(number) for number in sorted(CURRENT)}
        number = names.get(value.upper()) if isinstance(value, str) else value
        if isinstance(number, int) and number in names.values():
            return number
        near = difflib.get_close_matches(str(value).upper(), names, 1)
        known = ", ".join(f"{number} ({name})" for name, number in names.items())
        hint = f"do you mean {near[0]!r}?" if near else f"one of {known}"
        raise self._error(where, f"is to be an algorithm to sign with, not {value!r}; {hint}")
