"""What `-w` prints after a transfer, by curl's variables, and the heads that `-D` writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catenet.cli.transfer.codes import Code, TransferError
from catenet.cli.transfer.formats import ESCAPES, PIECE, VARIABLES
from catenet.cli.transfer.job import Job
from catenet.cli.transfer.job import write_out as to_output
from catenet.printable import printable

if TYPE_CHECKING:
    from catenet.http.client.response import Response
    from catenet.http.client.timings import Timings

__all__ = ["Outcome", "dump_heads", "head_lines", "write_out"]

_VERSIONS = {"HTTP/1.0": "1", "HTTP/1.1": "1.1", "HTTP/2": "2"}


@dataclass(slots=True)
class Outcome:
    """How a transfer has ended. `number`: which URL of the command line it was; `seconds`: how long it took."""

    number: int
    status: int
    error: str
    seconds: float


def write_out(job: Job, outcome: Outcome) -> None:
    """Print what `-w` asks for about a transfer that is over."""
    text = job.options.write_out
    if text is None:
        return
    values = _values(job, outcome)
    stream = sys.stdout
    at = 0
    for found in PIECE.finditer(text):
        stream.write(text[at : found.start()])
        at = found.end()
        percent, header, name, escape = found.groups()
        if percent:
            stream.write("%")
        elif escape:
            stream.write(ESCAPES[escape])
        elif header is not None:
            stream.write(printable(_header(job.response, header)))
        elif name in ("stdout", "stderr"):
            stream = sys.stdout if name == "stdout" else sys.stderr
        else:
            stream.write(printable(values[name], keep="\n") if name == "header_json" else printable(values[name]))
    stream.write(text[at:])
    sys.stdout.flush()


def _header(response: Response | None, name: str) -> str:
    return "" if response is None else response.headers.get(name.strip()) or ""


def _values(job: Job, outcome: Outcome) -> dict[str, str]:
    response = job.response
    values = dict.fromkeys(VARIABLES, "0")
    values |= dict.fromkeys(("content_type", "redirect_url", "remote_ip", "scheme", "header_json"), "")
    values |= {
        "errormsg": outcome.error, "exitcode": str(outcome.status), "filename_effective": _file_of(job),
        "http_code": "000", "response_code": "000", "method": job.options.method or "GET", "remote_port": "0",
        "url": job.url, "url_effective": job.url, "urlnum": str(outcome.number),
        "time_total": f"{outcome.seconds:.6f}",
    }  # fmt: skip
    values |= {name: "0.000000" for name in VARIABLES if name.startswith("time_") and name != "time_total"}
    received = max(0, job.size - job.began_at)
    values["size_download"], values["size_upload"] = str(received), str(job.uploaded)
    values["speed_download"] = f"{received / max(outcome.seconds, 1e-6):.0f}"
    values["speed_upload"] = f"{job.uploaded / max(outcome.seconds, 1e-6):.0f}"
    return values if response is None else values | _of_response(response)


def _file_of(job: Job) -> str:
    """The file as the command line names it."""
    written = job.facts.get("file", "")
    if not written:
        return ""
    return str(job.options.folder / (job.output if job.output is not None else Path(written).name))


def _of_response(response: Response) -> dict[str, str]:
    fields: dict[str, list[str]] = {}
    for name, value in response.headers.multi_items():
        fields.setdefault(name.lower(), []).append(value)
    every = [*response.history, response]
    timings = response.timings
    location = response.headers.get("location")
    values = {
        "content_type": response.headers.get("content-type") or "",
        "header_json": json.dumps(fields, ensure_ascii=False, indent=0),
        "http_code": f"{response.status:03}",
        "response_code": f"{response.status:03}",
        "http_version": _VERSIONS.get(response.http_version or "HTTP/1.1", "1.1"),
        "method": response.request.method,
        "num_connects": str(sum(not one.timings.reused for one in every)),
        "num_headers": str(len(list(response.headers.multi_items()))),
        "num_redirects": str(len(response.history)),
        "scheme": response.url.scheme.upper(),
        "size_header": str(sum(len(line) + 2 for one in every for line in (*head_lines(one), ""))),
        "url_effective": str(response.url.without_password()),
    }
    if location and 300 <= response.status < 400:
        values["redirect_url"] = str(response.url.join(location))
    return values | _times(every[0].timings, timings)


def _times(first: Timings, last: Timings) -> dict[str, str]:
    """Seconds since the command's request was called for; of redirects, those before the last request too."""
    start, record = first.called, None if last.reused else last.connect
    found = {"time_redirect": last.called - start, "time_starttransfer": last.first_byte - start}
    found["time_pretransfer"] = (last.begun or last.called) - start
    if record is not None:
        ends = [attempt.end for attempt in record.attempts if attempt.chosen and attempt.end]
        found["time_namelookup"] = (
            record.resolve_end or record.attempts[0].start if record.attempts else start
        ) - start
        found["time_connect"] = (ends[0] if ends else start) - start
        found["time_appconnect"] = record.tls_end - start if record.tls_end else 0.0
    values = {name: f"{max(0.0, seconds):.6f}" for name, seconds in found.items()}
    peer = last.connect.peer if last.connect is not None else ""
    if isinstance(peer, tuple):
        values |= {"remote_ip": peer[0], "remote_port": str(peer[1])}
    return values


# Heads.


def head_lines(response: Response) -> list[str]:
    """Return the lines of a response's head, without line ends."""
    version = response.http_version or "HTTP/1.1"
    reason = f" {response.reason}" if version == "HTTP/1.1" and response.reason else " " if version == "HTTP/2" else ""
    return [f"{version} {response.status}{reason}", *_fields(response.headers.multi_items())]


def _fields(pairs: list[tuple[str, str]]) -> Iterator[str]:
    return (f"{name}: {value}" for name, value in pairs)


def dump_heads(job: Job, response: Response) -> None:
    """Write all heads that led to a response to the file of `-D`. Raises `TransferError`."""
    path = job.options.dump_header
    if path is None:
        return
    lines: list[str] = []
    for one in (*response.history, response):
        for status, headers in one.interim:
            lines += [f"{one.http_version or 'HTTP/1.1'} {status}", *_fields(headers.multi_items()), ""]
        lines += [*head_lines(one), ""]
    data = "".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace")
    if path == "-":
        to_output(data)
        return
    try:
        # One file for all URLs of a command line: what an earlier command has left goes.
        with open(path, "ab" if path in job.shared.begun else "wb") as file:
            file.write(data)
        job.shared.begun.add(path)
    except OSError as error:
        raise TransferError(Code.WRITE, f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
