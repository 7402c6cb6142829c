"""Keys under which questions are signed (`-y`, `-k`; TSIG, RFC 8945)."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from catenet.cli import UsageError
from catenet.cli.resolve.needs import need

if TYPE_CHECKING:
    from catenet.dns.client.query import Signature
    from catenet.dns.zone.tsig import TsigKey
    from catenet.wire.dns.message import Message

__all__ = ["read_signature"]

_STATEMENT: Final = re.compile(r'key\s+"?([^"\s{]+)"?\s*\{(.*?)\}', re.DOTALL)
_FIELD: Final = re.compile(r'(algorithm|secret)\s+"?([^";\s]+)"?\s*;')
_COMMENT: Final = re.compile(r"(?://|#).*?$|/\*.*?\*/", re.MULTILINE | re.DOTALL)


class _Signature:
    """One exchange under a key."""

    def __init__(self, key: TsigKey) -> None:
        from catenet.dns.zone.tsig import TsigContext

        self._context = TsigContext(key)

    def sign(self, query: bytes) -> bytes:
        return self._context.sign(query, time.time())

    def verify(self, message: Message) -> None:
        from catenet.dns.zone.tsig import TsigFailure
        from catenet.wire.errors import Malformed

        try:
            self._context.verify(message, time.time())
        except TsigFailure as failure:
            raise Malformed(f"dns: TSIG: {failure}") from None

    @property
    def is_complete(self) -> bool:
        return self._context.is_complete


def read_signature(args: argparse.Namespace) -> Callable[[], Signature] | None:
    """What signs the questions of a command line; None without a key. Raises UsageError."""
    if args.tsig is not None and args.keyfile is not None:
        raise UsageError("-y and -k: give one key")
    if args.tsig is not None or args.keyfile is not None:
        need("catenet.dns.zone.tsig", "-k" if args.tsig is None else "-y")
    if args.tsig is not None:
        key = _key("-y", args.tsig)
    elif args.keyfile is not None:
        key = _key(f"-k {args.keyfile}", _text_of(args.keyfile))
    else:
        return None
    return lambda: _Signature(key)


def _key(option: str, text: str) -> TsigKey:
    from catenet.dns.zone.tsig import TsigKey

    try:
        return TsigKey.from_text(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _text_of(path: Path) -> str:
    """The key of a file as tsig-keygen writes it: `key NAME { algorithm …; secret …; };`."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UsageError(f"-k {path}: {str(reason).lower()}") from None
    found = _STATEMENT.search(_COMMENT.sub("", text))
    fields = dict(_FIELD.findall(found[2])) if found else {}
    if found is None or "secret" not in fields:
        raise UsageError(f"-k {path}: no key in it; a key is key NAME {{ algorithm hmac-sha256; secret BASE64; }};")
    return f"{fields.get('algorithm', 'hmac-sha256')}:{found[1]}:{fields['secret']}"
