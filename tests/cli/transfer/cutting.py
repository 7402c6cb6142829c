"""A server of one file that breaks off when it is told to."""

from __future__ import annotations

import hashlib
import http.server
import time
from typing import ClassVar

__all__ = ["CONTENT", "Cutting"]

SIZE = 8 << 20
CONTENT = hashlib.shake_256(b"content").digest(SIZE)


class Cutting(http.server.BaseHTTPRequestHandler):
    """A file with ranges; `cuts` says after how many bytes each of the next responses breaks off."""

    protocol_version = "HTTP/1.1"
    tag = '"one"'
    content = CONTENT
    cuts: ClassVar[list[int]] = []
    asked: ClassVar[list[str | None]] = []
    pause = 0.0

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        wanted, condition = self.headers.get("range"), self.headers.get("if-range")
        type(self).asked.append(wanted)
        start, stop, status = 0, len(self.content), 200
        if wanted and (condition is None or condition == self.tag):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, stop, status = int(first), min(int(last) + 1, stop) if last else stop, 206
        self.send_response(status if start < stop else 416)
        self.send_header("ETag", self.tag)
        if status == 206:
            said = f"{start}-{stop - 1}" if start < stop else "*"
            self.send_header("Content-Range", f"bytes {said}/{len(self.content)}")
        self.send_header("Content-Length", str(max(0, stop - start)))
        self.end_headers()
        if self.cuts:
            stop = min(stop, start + self.cuts.pop(0))
            self.close_connection = True
        for at in range(start, stop, 1 << 16):
            self.wfile.write(self.content[at : min(at + (1 << 16), stop)])
            if self.pause:
                time.sleep(self.pause)

    def do_PUT(self) -> None:
        digest = hashlib.sha256()
        left = int(self.headers["content-length"])
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            digest.update(piece)
            left -= len(piece)
        text = digest.hexdigest().encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
