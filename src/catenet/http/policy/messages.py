"""What the policies ask of requests and responses, whoever has made them."""

from __future__ import annotations

from typing import Protocol

from catenet.http.headers import Headers
from catenet.http.url import Url

__all__ = ["RequestLike", "ResponseLike"]


class RequestLike(Protocol):
    """A request; policies change its `headers` in place, the client sends them as they are then."""

    @property
    def method(self) -> str:
        """The method, in upper case where it is a standard one."""

    @property
    def url(self) -> Url:
        """Where it goes."""

    @property
    def headers(self) -> Headers:
        """Its fields."""


class ResponseLike(Protocol):
    """A response of which the head is known."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Headers:
        """Its fields."""
