"""A call as handlers see it: what the contexts of `grpc` and `grpc.aio` have in common, and that of `grpc`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NoReturn

from catenet.rpc.grpc.interfaces import ServicerContext as AbstractContext
from catenet.rpc.grpc.status import COMPRESSIONS, Compression, Pairs, StatusCode, call_error, pairs_of, sendable
from catenet.rpc.model.status import Code
from catenet.rpc.model.status import RpcError as CallError
from catenet.rpc.server.call import ServerCall

__all__ = ["CallState", "ServicerContext"]


class CallState:
    """One call between our server and a handler: the status that it sets, and what it asks about the caller."""

    def __init__(self, call: ServerCall) -> None:
        self.served = call
        self.aborted = False
        self._code: Any = None
        self._details: Any = None
        self._trailing: Pairs = ()
        self._callbacks: list[Callable[[], None]] | None = []
        call.on_cancel(self.over)

    # What the handler has said.

    def ending(self) -> CallError | None:
        """Return the status that the handler has set, as an error; None for OK."""
        if self._code is None:
            return None
        return call_error(self._code, self._details, self._trailing)

    def failed(self, text: str) -> CallError:
        """Return the error of a handler that raised: the status that it had set, or UNKNOWN."""
        error = self.ending()
        if error is not None:
            return error
        return CallError(Code.UNKNOWN, self._details or text)

    def stop(self, code: Any, details: Any, trailing: Any = None) -> None:
        """Note with which status the handler ends the call. Raises `ValueError` for OK."""
        if code in (StatusCode.OK, 0):
            raise ValueError("abort() called with StatusCode.OK; returning will return OK.")
        self._code, self._details, self.aborted = code, details, True
        if trailing is not None:
            self.set_trailing_metadata(trailing)

    def over(self) -> None:
        """The call is over: whoever waits for that hears it."""
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call `callback()` at the end; False if the end has come already."""
        if self._callbacks is None:
            return False
        self._callbacks.append(callback)
        return True

    # What handlers use.

    def set_code(self, code: Any) -> None:
        """Set the status that the call shall end with."""
        self._code = code

    def set_details(self, details: Any) -> None:
        """Set the text of the status."""
        self._details = details

    def code(self) -> Any:
        """Return the status that has been set."""
        return self._code

    def details(self) -> Any:
        """Return the text that has been set."""
        return self._details

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        """Set what goes with the status."""
        self._trailing = pairs_of(trailing_metadata)
        self.served.set_trailing_metadata(sendable(trailing_metadata))

    def trailing_metadata(self) -> Any:
        """Return what has been set."""
        return self._trailing

    def set_compression(self, compression: Compression) -> None:
        """Compress the responses with that, where the caller takes it."""
        self.served.compression = COMPRESSIONS[compression]

    def disable_next_message_compression(self) -> None:
        """Do nothing: what is small or compresses badly costs little."""

    def invocation_metadata(self) -> Pairs:
        """Return what the caller sent beside its messages."""
        return pairs_of(self.served.metadata)

    def time_remaining(self) -> float | None:
        """Return the seconds until the deadline; None without one."""
        return self.served.time_remaining()

    def peer(self) -> str:
        """Who calls, as gRPC writes addresses."""
        address = self.served.peer.address
        if address == "unix":
            return "unix:"
        host, _, port = address.rpartition(":")
        if host.startswith("["):
            return f"ipv6:%5B{host[1:-1]}%5D:{port}"
        return f"ipv4:{address}"

    def auth_context(self) -> dict[str, list[bytes]]:
        """Return what is known of the caller, name to list of bytes: of TLS, and what its certificate says."""
        certificate = self.served.peer.certificate
        if certificate is None:
            return {}
        context = {"transport_security_type": [b"ssl"]}
        for name, value in (pair for relative in certificate.get("subject", ()) for pair in relative):
            if name == "commonName":
                context.setdefault("x509_common_name", []).append(value.encode())
        for _, value in certificate.get("subjectAltName", ()):
            context.setdefault("x509_subject_alternative_name", []).append(value.encode())
        return context

    def peer_identity_key(self) -> str | None:
        """Return which property of `auth_context` proves who calls, or None."""
        known = self.auth_context()
        return next((key for key in ("x509_subject_alternative_name", "x509_common_name") if key in known), None)

    def peer_identities(self) -> list[bytes] | None:
        """Return the names that the caller's certificate proves, or None."""
        key = self.peer_identity_key()
        return None if key is None else self.auth_context()[key]


class ServicerContext(CallState, AbstractContext):
    """A call as handlers on threads see it."""

    def __init__(self, call: ServerCall) -> None:
        super().__init__(call)
        self._lock = threading.Lock()

    def is_active(self) -> bool:
        """Whether the call is going on."""
        return self._callbacks is not None and not self.served.cancelled

    def cancel(self) -> None:
        """Break the call off."""
        self.served.loop.call_soon_threadsafe(self.served.break_off)

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Call `callback()` at the end; False if the end has come already."""
        with self._lock:
            return super().add_callback(callback)

    def over(self) -> None:
        """The call is over: whoever waits for that hears it."""
        with self._lock:
            callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback()

    def abort(self, code: Any, details: Any) -> NoReturn:
        """End the call with that status, by an exception."""
        self.stop(code, details)
        raise Exception

    def abort_with_status(self, status: Any) -> NoReturn:
        """End the call with a `Status`, by an exception."""
        self.stop(status.code, status.details, status.trailing_metadata)
        raise Exception

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        """Send metadata now, before the first response. Raises `ValueError` if it has been sent."""
        self.on_loop(self._send_initial, sendable(initial_metadata))

    async def _send_initial(self, metadata: Pairs) -> None:
        try:
            self.served.send_initial_metadata(metadata)
        except RuntimeError:
            raise ValueError("Initial metadata no longer allowed!") from None

    def on_loop(self, function: Any, *arguments: Any) -> Any:
        """Run a coroutine function on the loop of the call, and return what it returns."""
        future: Future[Any] = asyncio.run_coroutine_threadsafe(function(*arguments), self.served.loop)
        return future.result()
