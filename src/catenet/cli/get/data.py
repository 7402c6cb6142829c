"""data: the content is in the URL itself (RFC 2397)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from catenet.cli.transfer.codes import Code, TransferError

if TYPE_CHECKING:
    from catenet.cli.transfer.job import Job


SCHEMES = ("data",)


async def get(job: Job) -> None:
    """Write what the URL holds. Raises `TransferError`."""
    head, comma, text = job.url.partition(":")[2].partition(",")
    if not comma:
        raise TransferError(Code.MALFORMED_URL, f"URL {job.url[:80]!r} has no comma before its data")
    content = unquote_to_bytes(text.partition("#")[0])
    kind, encoded = head, False
    if head.lower().endswith(";base64"):
        kind, encoded = head[:-7], True
    if encoded:
        try:
            content = base64.b64decode(b"".join(content.split()), validate=True)
        except binascii.Error as error:
            raise TransferError(Code.MALFORMED_URL, f"URL {job.url[:80]!r} is no base64: {error}") from None
    job.facts["type"] = kind or "text/plain;charset=US-ASCII"
    job.begin(job.target("", None), 0, len(content))
    await job.write(content)
    job.finish()
