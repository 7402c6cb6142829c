"""From a URL to an end: dialled, over TLS if it says so, as datagrams, as a multicast group."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from catenet.cli.relay.sessions import SessionTerms, is_session, open_session_end
from catenet.cli.relay.urls import is_datagram, is_group
from catenet.net import dial
from catenet.net.client import ConnectError
from catenet.net.datagram import DatagramPeer
from catenet.net.dial import Endpoint
from catenet.net.ends import SocketEnd, TlsEnd
from catenet.net.flows import Flow, Flows
from catenet.net.relay import End
from catenet.net.sockopts import SocketOptions
from catenet.net.target import Target
from catenet.net.tls import explain

__all__ = ["Group", "TlsTerms", "open_end", "open_group", "tls_facts"]

_MREQN: Final = struct.Struct("=4s4si")
_MREQ6: Final = struct.Struct("=16sI")


@dataclass(frozen=True, slots=True)
class TlsTerms:
    """TLS as a client: the context, and what the certificate must name and SNI says instead of the host."""

    context: ssl.SSLContext
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """How a multicast group is joined: `interface` by name, and whether other programs here get what is sent."""

    interface: str | None = None
    loopback: bool = True


async def open_end(
    target: Target,
    options: SocketOptions,
    *,
    patience: float,
    tls: TlsTerms | None = None,
    group: Group = Group(),
    session: SessionTerms = SessionTerms(),
    datagram: int,
) -> End:
    """Connect to what a URL names, within `patience` seconds. Raises `ConnectError`; the text is one line."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience):
            if is_group(target):
                return open_group(loop, target, options, group, datagram)
            if is_datagram(target):
                return await _open_datagrams(loop, target, options, datagram)
            if is_session(target):
                context, name = (None, None) if tls is None else (tls.context, tls.server_name)
                return await open_session_end(target, options, context, name, session)
            return await _open_stream(loop, target, options, tls)
    except TimeoutError:
        raise ConnectError(f"cannot connect to {target.url}: no answer in {patience:g} s") from None
    except OSError as error:
        told = str(error) if isinstance(error, ConnectError) else explain(error)
        raise ConnectError(told if target.url in told else f"cannot connect to {target.url}: {told}") from None


async def _open_stream(
    loop: asyncio.AbstractEventLoop, target: Target, options: SocketOptions, tls: TlsTerms | None
) -> End:
    async def dial_one(endpoint: Endpoint) -> socket.socket:
        sock = socket.socket(endpoint.family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            options.apply(sock)
            options.bind(sock)
            await loop.sock_connect(sock, endpoint.address)
        except BaseException:
            sock.close()
            raise
        return sock

    _, sock = await dial.connect_first(loop, await _resolve(loop, target, options, socket.SOCK_STREAM), dial_one)
    end = SocketEnd(loop, sock, target.url)
    if not target.tls or tls is None:
        return end
    name = tls.server_name or target.host
    secure = TlsEnd(end, tls.context, server_side=False, server_name=name)
    try:
        await secure.handshake()
    except BaseException:
        end.close()
        raise
    return secure


async def _resolve(
    loop: asyncio.AbstractEventLoop, target: Target, options: SocketOptions, kind: int
) -> Sequence[Endpoint]:
    found = await dial.resolve(loop, target, kind)
    if options.family and not target.unix:
        found = [endpoint for endpoint in found if endpoint.family == options.family]
        if not found:
            version = "IPv6" if options.family == socket.AF_INET6 else "IPv4"
            raise OSError(f"{target.host} has no {version} address")
    return found


# Datagrams.


async def _open_datagrams(loop: asyncio.AbstractEventLoop, target: Target, options: SocketOptions, size: int) -> Flow:
    failure: OSError = OSError("no addresses")
    for endpoint in await _resolve(loop, target, options, socket.SOCK_DGRAM):
        sock = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        try:
            options.apply(sock)
            if endpoint.family == socket.AF_UNIX:
                sock.bind("")  # the kernel chooses an abstract name (unix(7), autobind), so that answers find us
            else:
                options.bind(sock)
            sock.connect(endpoint.address)
        except OSError as error:
            sock.close()
            failure = error
            continue
        flows = Flows(size=size)
        flow = flows.only(DatagramPeer(endpoint.address), target.url)
        flows.start(loop, [sock], [target.url], connected=True)
        return flow
    raise failure


def open_group(
    loop: asyncio.AbstractEventLoop, target: Target, options: SocketOptions, group: Group, size: int
) -> Flow:
    """Join a group: two sockets, one that hears it, one that sends to it and hears the answers. Raises `OSError`.

    What the sender has sent comes back where others on this machine listen too; it is known by its source.
    """
    host, _, zone = target.host.partition("%")
    interface = group.interface or zone
    index = socket.if_nametoindex(interface) if interface else 0
    address = ipaddress.ip_address(host)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    hears, sends = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_DGRAM)
    try:
        for sock in (hears, sends):
            options.apply(sock)
        hears.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        where = (host, target.port, 0, index) if family == socket.AF_INET6 else (host, target.port)
        hears.bind(where)
        _join(hears, family, address.packed, index)
        _aim(sends, family, index, 1 if options.ttl is None else options.ttl, group.loopback)
        options.bind(sends)
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            _aim(probe, family, index, 1, group.loopback)
            options.bind(probe) if not options.port else None
            probe.connect(where)
            own_host = probe.getsockname()[0]
        if not options.port:
            sends.bind((options.host, 0))
        own = (own_host, sends.getsockname()[1])
    except BaseException:
        hears.close()
        sends.close()
        raise
    flows = Flows(size=size)
    peer = DatagramPeer(where, 1)
    flow = flows.only(peer, target.url)
    flows.start(loop, [hears, sends], [target.url], own=_sources(own, index))
    return flow


def _sources(own: tuple[str, int], index: int) -> frozenset[object]:
    """How `recvfrom` may name an address of ours."""
    host, port = own
    bare = host.partition("%")[0]
    return frozenset([(host, port), *((name, port, 0, scope) for name in {host, bare} for scope in {0, index})])


def _join(sock: socket.socket, family: int, group: bytes, index: int) -> None:
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _MREQ6.pack(group, index))
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _MREQN.pack(group, bytes(4), index))


def _aim(sock: socket.socket, family: int, index: int, ttl: int, loopback: bool) -> None:
    if family == socket.AF_INET6:
        level, hops, loop = socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, socket.IPV6_MULTICAST_LOOP
        if index:
            sock.setsockopt(level, socket.IPV6_MULTICAST_IF, index)
    else:
        level, hops, loop = socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, socket.IP_MULTICAST_LOOP
        if index:
            sock.setsockopt(level, socket.IP_MULTICAST_IF, _MREQN.pack(bytes(4), bytes(4), index))
    sock.setsockopt(level, hops, ttl)
    sock.setsockopt(level, loop, loopback)


def tls_facts(end: End) -> dict[str, object] | None:
    """What was agreed on in TLS; None without it."""
    if not isinstance(end, TlsEnd):
        return None
    session = end.session
    cipher = session.cipher()
    try:
        subject = _subject(session.getpeercert())
    except ValueError:  # the peer has not accepted ours
        subject = ""
    facts: dict[str, object] = {
        "version": session.version(),
        "cipher": cipher and cipher[0],
        "alpn": session.selected_alpn_protocol(),
    }
    return {**facts, "peer": subject} if subject else facts


def _subject(certificate: object) -> str:
    """The common name of a certificate that was checked."""
    if not isinstance(certificate, dict):
        return ""
    names = dict(pair[0] for pair in certificate.get("subject", ()) if pair)
    return str(names.get("commonName", ""))
