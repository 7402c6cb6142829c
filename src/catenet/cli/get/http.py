"""http and https."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from catenet.cli.transfer.codes import Code, TransferError

if TYPE_CHECKING:
    from catenet.cli.transfer.job import Job


SCHEMES = ("http", "https")


async def get(job: Job) -> None:
    """Fetch the URL. Raises `TransferError`."""
    from catenet.cli.transfer.fetch import Fetch
    from catenet.cli.transfer.http_request import make_client, save_cookies, save_hsts
    from catenet.cli.transfer.parallel import fetch_in_parts
    from catenet.cli.transfer.resuming import put_resumable
    from catenet.http.url import Url, UrlError

    if re.match(r"\s*(?:$|[/?#:])", job.url):
        raise TransferError(Code.MALFORMED_URL, f"URL {job.url!r} names no host")
    text = job.url if re.match(r"https?:", job.url, re.IGNORECASE) else f"http://{job.url}"
    try:
        url = Url.absolute(text).without_fragment()
    except UrlError as error:
        raise TransferError(Code.MALFORMED_URL, str(error)) from None
    client = await job.shared.client("http", lambda: make_client(job.options))
    fetch = Fetch(client, job, url)
    try:
        if job.options.upload is not None and job.options.resume is not None:
            await put_resumable(fetch)
        elif job.options.parallel > 1:
            await fetch_in_parts(fetch)
        else:
            await fetch.run()
    finally:
        save_cookies(client, job.options)
        save_hsts(client, job.options)


async def put(job: Job) -> None:
    """Send the file that `job.options.upload` names to the URL. Raises `TransferError`."""
    await get(job)
