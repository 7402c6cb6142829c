"""What can go wrong with a request, by kind: programs decide by the class, people read the one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catenet.http.client.request import Request
    from catenet.http.client.response import Response
    from catenet.http.client.timings import ConnectRecord, Timings

__all__ = [
    "BodyTooLarge",
    "CertificateError",
    "ConnectFailed",
    "ConnectionLost",
    "ContentError",
    "NameNotFound",
    "PeerError",
    "ProxyError",
    "RedirectFailed",
    "RequestError",
    "RequestTimeout",
    "StatusError",
    "TlsError",
]


class RequestError(Exception):
    """A request that got no response, or not all of it.

    `timings`: how far it came, if that is known; `record`: how connecting went, if that was it.
    """

    request: Request | None = None
    timings: Timings | None = None
    record: ConnectRecord | None = None


class ConnectFailed(RequestError, ConnectionError):
    """No connection to the server: the request was not sent."""


class NameNotFound(ConnectFailed):
    """The name of the server has no address."""


class TlsError(ConnectFailed):
    """The server and this client cannot agree on TLS."""


class CertificateError(TlsError):
    """The server's certificate is not accepted."""


class ProxyError(ConnectFailed):
    """The proxy does not connect, or refuses. `status`: of its response, if it gave one."""

    status: int | None = None


class RequestTimeout(RequestError, TimeoutError):
    """It took too long. `phase`: `pool`, `connect`, `write`, `read` or `total`."""

    def __init__(self, message: str, phase: str = "total") -> None:
        super().__init__(message)
        self.phase = phase


class ConnectionLost(RequestError, ConnectionError):
    """The connection or the stream broke off before the response was complete.

    `unprocessed`: the server is known not to have acted on the request, so that it may be repeated whatever its method
    (RFC 9113 section 8.7). `early`: nothing of a response had come. `reused`: the connection had been idle before.
    """

    unprocessed = False
    early = False
    reused = False


class PeerError(RequestError):
    """The server broke HTTP."""


class BodyTooLarge(RequestError):
    """The body is over the limit for responses that are read whole."""


class ContentError(RequestError):
    """The body is not what its Content-Encoding says, or grows beyond the limits."""


class RedirectFailed(RequestError):
    """Redirects without end, or one that cannot be followed."""


class StatusError(RequestError):
    """`raise_for_status` found a status of 400 or more."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message)
        self.response = response
