"""ntp: what time it is by a server (RFC 5905), a line in UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from catenet.cli.transfer.codes import Code, TransferError

if TYPE_CHECKING:
    from catenet.cli.transfer.job import Job


SCHEMES = ("ntp", "nts")


async def get(job: Job) -> None:
    """Ask once, and write the time. Raises `TransferError`."""
    from catenet.net.tls import TlsError
    from catenet.ntp.client import query

    try:
        result = await query([job.url], ca=job.options.ca)
    except ImportError as error:
        raise TransferError(Code.FAILED, f"NTS needs the package {error.name}: pip install 'catenet[nts]'") from None
    except TlsError as error:
        raise TransferError(Code.CERTIFICATE, f"--cacert: {error}") from None
    except ValueError as error:
        raise TransferError(Code.MALFORMED_URL, f"URL {job.url!r}: {error}") from None
    chosen = result.selection
    if chosen.offset is None:
        answer = result.answers[0]
        kiss = answer.association.kiss
        why = f"it says {kiss}" if kiss else answer.problem
        raise TransferError(Code.TIMEOUT, f"no time from {job.url}" + (f": {why}" if why else ""))
    job.facts.update(offset=chosen.offset, error_bound=chosen.error_bound)
    content = (
        f"{datetime.fromtimestamp(time.time() + chosen.offset, UTC).isoformat(timespec='microseconds')}\n".encode()
    )
    job.begin(job.target("time", None), 0, len(content))
    await job.write(content)
    job.finish()
