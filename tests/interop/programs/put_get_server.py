"""`http.server` that also takes uploads with PUT into the current folder: put_get_server.py PORT."""

import http.server
import socket
import sys
from pathlib import Path


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        Path(self.translate_path(self.path)).write_bytes(content)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    http.server.ThreadingHTTPServer.address_family = socket.AF_INET6
    with http.server.ThreadingHTTPServer(("::", int(sys.argv[1])), Handler) as server:
        print("serving", flush=True)
        server.serve_forever()
