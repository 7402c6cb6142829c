"""What HPACK knows before a connection begins: the static table, and what is not worth a place in the dynamic one."""

from __future__ import annotations

__all__ = ["NEVER_INDEXED", "NOT_WORTH_INDEXING", "STATIC", "STATIC_COUNT", "STATIC_FIELD", "STATIC_NAME"]

Field = tuple[bytes, bytes]
# Appendix A. A name without a value has the empty one.
_STATIC_TEXT = """:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate"""


def _static_entry(line: str) -> Field:
    name, _, value = line.partition(" ")
    return name.encode(), value.encode()


STATIC: tuple[Field, ...] = tuple(map(_static_entry, _STATIC_TEXT.split("\n")))
STATIC_COUNT = len(STATIC)
STATIC_FIELD = {field: index for index, field in reversed(list(enumerate(STATIC, 1)))}
STATIC_NAME = {field[0]: index for index, field in reversed(list(enumerate(STATIC, 1)))}

# Secrets: literals that no intermediary may index either (section 7.1.3).
NEVER_INDEXED = frozenset((b"authorization", b"cookie", b"set-cookie", b"proxy-authorization"))
# Values that rarely come twice: in the table they would only push out what does.
NOT_WORTH_INDEXING = frozenset(
    (b"grpc-timeout", b"connect-timeout-ms", b"grpc-message", b"grpc-status-details-bin", b"content-length", b"date",
     b"traceparent", b"tracestate", b"grpc-previous-rpc-attempts")
)  # fmt: skip
