"""The keys that a zone is signed with, in files: found, made where there are none, read again while the server runs."""

from __future__ import annotations

import difflib
import glob
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from catenet.dns.dnssec import KeyTimes, SigningKey, generate_key, keys_at, read_private_key
from catenet.dns.dnssec.keys import SHA256, ds_from_key
from catenet.dns.server.config import ConfigError, SignConfig, ZoneConfig
from catenet.wire.dns.name import name_to_text

__all__ = ["ZoneKeys"]

logger = logging.getLogger("catenet.dns")

FOLDER: Final = "keys"
_ENDS: Final = (".private", ".key")


class ZoneKeys:
    """The keys of a zone, made on the spot if there are none. Raises ConfigError.

    Called it gives them all; their times say what each does.
    """

    def __init__(self, origin: bytes, told: ZoneConfig, sign: SignConfig) -> None:
        self._origin = origin
        self._sign = sign
        self._places = [Path(one) for one in sign.keys] or [Path(told.file).parent / FOLDER]
        try:
            self._keys = self._read() or self._make()
        except OSError as error:
            raise self._error(f"{error.filename}: {(error.strerror or str(error)).lower()}") from None
        except ValueError as error:
            raise self._error(str(error)) from None
        if not keys_at(self._keys, int(time.time())).signing:
            raise self._error(f"{self._names()}: no key signs at this time; dnssec-settime sets when")

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f"{self._sign.where}.keys: {what}")

    def _names(self) -> str:
        return ", ".join(map(str, self._places))

    def __call__(self) -> list[SigningKey]:
        """All keys."""
        return self._keys

    def refresh(self) -> None:
        """Read the files again; what is wrong with them is logged, and changes nothing."""
        try:
            found = self._read()
        except (OSError, ValueError) as error:
            logger.error("zone %s: keys stay as they were: %s", name_to_text(self._origin), error)
            return
        if keys_at(found, int(time.time())).signing:
            self._keys = found
        else:
            logger.error("zone %s: keys stay as they were: none of them signs now", name_to_text(self._origin))

    def _read(self) -> list[SigningKey]:
        found = {path.with_suffix(".private").resolve(): path for path in self._files()}
        return [read_private_key(path) for path in found]

    def _files(self) -> Iterator[Path]:
        for place in self._places:
            if place.suffix not in _ENDS:
                yield from sorted(place.glob(f"K{glob.escape(name_to_text(self._origin))}+*.private"))
                continue
            if not place.is_file():
                there = [one.name for one in place.parent.glob("K*.private")]
                near = difflib.get_close_matches(place.name, there, 1)
                raise ValueError(f"{place}: no such file" + (f"; do you mean {near[0]!r}?" if near else ""))
            yield place

    def _make(self) -> list[SigningKey]:
        """A key for all, or one for the keys and one for the rest; the parent is told of the former at once."""
        sign, now = self._sign, int(time.time())
        roles = (True, False) if sign.separate_keys else (True,)
        folder = self._places[0]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = []
        for is_entry_point in roles:
            times = KeyTimes(created=now, publish=now, activate=now, sync_publish=now if is_entry_point else None)
            key = generate_key(self._origin, sign.algorithm, is_entry_point=is_entry_point, times=times)
            logger.info("made the key %s", key.write(folder))
            made.append(key)
        return made

    def ds_lines(self) -> list[str]:
        """DS records for the parent, in master format: of the keys that sign the DNSKEY set."""
        signing = keys_at(self._keys, int(time.time())).signing
        keys = [one for one in signing if one.key.is_entry_point and not one.key.is_revoked] or signing
        name = name_to_text(self._origin)
        return [f"{name} IN DS {ds_from_key(self._origin, one.key, SHA256).to_text()}" for one in keys]
