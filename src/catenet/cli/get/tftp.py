"""tftp: files by the Trivial File Transfer Protocol (RFC 1350, URLs of RFC 3617)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, BinaryIO, Final

from catenet.cli import UsageError
from catenet.cli.transfer.codes import Code, TransferError

if TYPE_CHECKING:
    from catenet.cli.transfer.job import Job
    from catenet.tftp import Channel, Wishes


SCHEMES = ("tftp",)

PIECE: Final = 512 << 10
_CODES: Final = {
    1: Code.TFTP_NOT_FOUND,
    2: Code.TFTP_ACCESS,
    3: Code.TFTP_DISK_FULL,
    4: Code.TFTP_ILLEGAL,
    5: Code.TFTP_UNKNOWN_ID,
    6: Code.TFTP_EXISTS,
    7: Code.TFTP_NO_USER,
    8: Code.TFTP_ILLEGAL,
}
"""By the code of an ERROR packet."""


async def get(job: Job) -> None:
    """Fetch the file. Raises `TransferError`."""
    from catenet.tftp import parse_url, reading

    if job.options.upload is not None:
        await put(job)
        return
    _refuse_what_it_lacks(job)
    async with _explained(job):
        name = parse_url(job.url).name
        async with reading(job.url, _wishes(job), patience=_patience(job)) as channel:
            granted = await channel.begun()
            job.begin(job.target(name, None), 0, granted.size)
            while piece := await channel.read():
                await job.write(piece)
            job.finish()
            await channel.finish()
            _note(job, channel)


async def put(job: Job) -> None:
    """Send the file that `job.options.upload` names. Raises `TransferError`."""
    from catenet.tftp import writing

    _refuse_what_it_lacks(job)
    url = job.url
    upload = job.options.upload or ""
    if url.partition(";")[0].endswith("/"):
        if upload == "-":
            raise TransferError(Code.MALFORMED_URL, f"URL {url!r} names no file, and standard input has no name")
        path, semicolon, mode = url.partition(";")
        url = f"{path}{_quoted(os.path.basename(upload))}{semicolon}{mode}"
        job.facts["url"] = url
    file, size = _opened(upload)
    async with _explained(job):
        with contextlib.closing(file) if upload != "-" else contextlib.nullcontext():
            async with writing(url, _wishes(job), size=size, patience=_patience(job)) as channel:
                await channel.begun()
                job.begin_upload(size)
                while piece := await asyncio.to_thread(_read, file, upload):
                    await channel.write(piece)
                    job.bar.advance(len(piece))
                    await job.pace(len(piece))
                await channel.finish()
                job.bar.end()
                job.facts["size"] = channel.moved
                _note(job, channel)


def _refuse_what_it_lacks(job: Job) -> None:
    """The protocol has no words for some options; others would be silently without effect."""
    options = job.options
    if options.resume is not None or options.ranges is not None or options.parallel > 1:
        raise TransferError(Code.RANGE, f"{job.url}: TFTP cannot begin in the middle of a file: no -C, -r, --parallel")
    if options.proxy is not None or options.user is not None or options.data or options.forms:
        raise TransferError(Code.FAILED, f"{job.url}: TFTP has no proxies, users or forms")


def _wishes(job: Job) -> Wishes:
    from catenet.tftp import Wishes

    options = job.options
    block, window = (512, 1) if options.tftp_plain else (options.tftp_block, options.tftp_window)
    try:
        return Wishes(block, window, options.tftp_timeout, options.tftp_rollover, size=not options.tftp_plain)
    except ValueError as error:
        raise UsageError(f"--tftp-{error}") from None


def _patience(job: Job) -> float:
    from catenet.tftp.timing import PATIENCE

    return min(PATIENCE, job.options.connect_timeout)


@contextlib.asynccontextmanager
async def _explained(job: Job) -> AsyncIterator[None]:
    """Failures as statuses of curl."""
    from catenet.net.client import ConnectError
    from catenet.tftp import NoAnswerError, TftpError

    try:
        yield
    except ValueError as error:
        raise TransferError(Code.MALFORMED_URL, str(error)) from None
    except NoAnswerError as error:
        raise TransferError(Code.TIMEOUT, f"{job.url}: {error}") from None
    except TftpError as error:
        if isinstance(error, ConnectionError):
            raise TransferError(Code.CONNECT, f"{job.url}: {error}") from None
        code = _CODES.get(error.code, Code.TFTP_ILLEGAL)
        job.facts["code"] = error.code
        raise TransferError(code, f"{job.url}: {error}") from None
    except ConnectError as error:
        unknown = isinstance(error.__cause__, OSError) and type(error.__cause__).__name__ == "gaierror"
        raise TransferError(Code.NAME if unknown else Code.CONNECT, str(error)) from None


def _note(job: Job, channel: Channel) -> None:
    """What `--json` and `-v` say of it."""
    transfer = channel.transfer
    granted = transfer.granted
    assert granted is not None
    job.facts.update(peer=transfer.peer.name, blksize=granted.block, windowsize=granted.window)
    job.remark(f"{transfer.peer.name}: blocks of {granted.block}, windows of {granted.window}")


def _opened(path: str) -> tuple[BinaryIO, int | None]:
    if path == "-":
        return sys.stdin.buffer, None
    try:
        file = open(path, "rb", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise TransferError(Code.READ, f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    found = os.fstat(file.fileno())
    return file, found.st_size if stat.S_ISREG(found.st_mode) else None


def _read(file: BinaryIO, path: str) -> bytes:
    try:
        return file.read(PIECE)
    except OSError as error:
        raise TransferError(Code.READ, f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(name), safe="")
