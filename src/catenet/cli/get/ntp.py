"""ntp: what time it is by a server (RFC 5905), a line in UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from catenet.cli.transfer.codes import Code, TransferError

if TYPE_CHECKING:
    from catenet.cli.transfer.job import Job


SCHEMES = ("ntp",)


async def get(job: Job) -> None:
    """Ask once, and write the time. Raises `TransferError`."""
    from catenet.ntp.client import query

    try:
        result = await query([job.url])
    except ValueError as error:
        raise TransferError(Code.MALFORMED_URL, f"URL {job.url!r}: {error}") from None
    chosen = result.selection
    if chosen.offset is None:
        kiss = result.answers[0].association.kiss
        raise TransferError(Code.TIMEOUT, f"no time from {job.url}" + (f": it says {kiss}" if kiss else ""))
    job.facts.update(offset=chosen.offset, error_bound=chosen.error_bound)
    content = (
        f"{datetime.fromtimestamp(time.time() + chosen.offset, UTC).isoformat(timespec='microseconds')}\n".encode()
    )
    job.begin(job.target("time", None), 0, len(content))
    await job.write(content)
    job.finish()
