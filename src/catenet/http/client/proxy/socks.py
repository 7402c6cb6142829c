"""SOCKS5 (RFC 1928) with user names and passwords (RFC 1929), and SOCKS4 with names (4a)."""

from __future__ import annotations

import ipaddress

from catenet.http.client.proxy.handshake import Handshake, Refused

__all__ = ["Socks4", "Socks5"]

VERSION = 5
NO_AUTHENTICATION, PASSWORD, NO_METHOD = 0, 2, 0xFF
CONNECT = 1
IPV4, NAME, IPV6 = 1, 3, 4

_REPLIES = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}
_REPLIES_4 = {91: "request rejected or failed", 92: "it cannot reach identd here", 93: "identd names another user"}


class Socks5(Handshake):
    """Asks for a connection to `host`, a name (which the proxy resolves) or an address, and `port`.

    Raises `ValueError` for what cannot be said: names, users and passwords have at most 255 bytes.
    """

    def __init__(self, host: str, port: int, user: str | None = None, password: str | None = None) -> None:
        super().__init__()
        self._credentials = _credentials(user, password or "") if user is not None else None
        self._request = bytes((VERSION, CONNECT, 0)) + _address(host) + port.to_bytes(2, "big")
        methods = (NO_AUTHENTICATION, PASSWORD) if user is not None else (NO_AUTHENTICATION,)
        self._out = bytes((VERSION, len(methods), *methods))
        self._state = self._on_method

    def _step(self) -> bool:
        return self._state()

    def _take(self, count: int) -> bytes | None:
        if len(self._buffer) < count:
            return None
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _on_method(self) -> bool:
        if self._buffer[:1] != bytes((VERSION,)):
            raise Refused("the proxy does not speak SOCKS5")
        chosen = self._take(2)
        if chosen is None:
            return False
        if chosen[1] == PASSWORD and self._credentials is not None:
            self._out, self._state = self._credentials, self._on_password
        elif chosen[1] == NO_AUTHENTICATION:
            self._out, self._state = self._request, self._on_reply
        elif chosen[1] == NO_METHOD:
            wants = "other credentials than a password" if self._credentials is not None else "a user name"
            raise Refused(f"the proxy wants {wants}")
        else:
            raise Refused(f"the proxy chose authentication {chosen[1]}, which was not offered")
        return True

    def _on_password(self) -> bool:
        answer = self._take(2)
        if answer is None:
            return False
        if answer[1] != 0:
            raise Refused("the proxy does not accept user name and password")
        self._out, self._state = self._request, self._on_reply
        return True

    def _on_reply(self) -> bool:
        head = self._buffer[:5]
        if head[:1] not in (b"", bytes((VERSION,))):
            raise Refused("the proxy does not speak SOCKS5")
        if len(head) >= 2 and head[1] != 0:
            # Some proxies close after the reason, without the rest of the reply.
            raise Refused(f"the proxy cannot connect: {_REPLIES.get(head[1], f'reply {head[1]}')}")
        if len(head) < 5:
            return False
        sizes = {IPV4: 4, IPV6: 16, NAME: 1 + head[4]}
        if head[3] not in sizes:
            raise Refused(f"the proxy's reply has an address of unknown type {head[3]}")
        if self._take(4 + sizes[head[3]] + 2) is None:
            return False
        self.done = True
        return False


class Socks4(Handshake):
    """Asks for a connection by SOCKS4, and by 4a where `host` is a name; `user` is what identd would say."""

    def __init__(self, host: str, port: int, user: str | None = None) -> None:
        super().__init__()
        name = b""
        try:
            address = ipaddress.IPv4Address(host).packed
        except ValueError:
            if ":" in host:
                raise ValueError(f"SOCKS4 has no IPv6 addresses: {host}") from None
            address, name = b"\0\0\0\1", host.encode("ascii") + b"\0"
        named = (user or "").encode()
        if b"\0" in named:
            raise ValueError("a user name for SOCKS4 cannot hold a zero byte")
        self._out = bytes((4, CONNECT)) + port.to_bytes(2, "big") + address + named + b"\0" + name

    def _step(self) -> bool:
        if self._buffer[0] != 0:
            raise Refused("the proxy does not speak SOCKS4")
        if len(self._buffer) < 8:
            return False
        reply = self._buffer[1]
        if reply != 90:
            raise Refused(f"the proxy cannot connect: {_REPLIES_4.get(reply, f'reply {reply}')}")
        self.done = True
        self._buffer = self._buffer[8:]
        return False


def _credentials(user: str, password: str) -> bytes:
    name, secret = user.encode(), password.encode()
    if not 1 <= len(name) <= 255 or len(secret) > 255:
        raise ValueError("user name and password for SOCKS5 have at most 255 bytes, and a user name at least one")
    return bytes((1, len(name))) + name + bytes((len(secret),)) + secret


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.encode("ascii")
        if not 1 <= len(name) <= 255:
            raise ValueError(f"a name for SOCKS5 has at most 255 bytes: {host!r}") from None
        return bytes((NAME, len(name))) + name
    return bytes((IPV4 if address.version == 4 else IPV6,)) + address.packed
