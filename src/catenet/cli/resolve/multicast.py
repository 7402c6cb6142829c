"""Names of the local network, asked for by multicast DNS (RFC 6762)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from catenet.cli.resolve.plan import Ask
    from catenet.cli.resolve.servers import NameServer
    from catenet.dns.client import Reply

__all__ = ["MDNS", "ask_multicast", "everybody", "is_local"]

MDNS: Final = "mdns"
"""Scheme of what has no server."""


def is_local(name: bytes) -> bool:
    """Whether a name is one of the local network: below `local.` (RFC 6762 3)."""
    from catenet.wire.dns.name import fold, is_below, name_from_text

    return is_below(fold(name), name_from_text("local."))


def everybody() -> NameServer:
    """What stands for the hosts of all links."""
    from catenet.cli.resolve.servers import NameServer
    from catenet.net.target import Target

    return NameServer(MDNS, Target(MDNS, "local", 5353))


async def ask_multicast(ask: Ask) -> Reply:
    """Ask the hosts of all links; what they say becomes one message. Raises OSError when nobody answers."""
    from catenet.dns.client import Reply
    from catenet.dns.multicast.client import ask_links
    from catenet.wire.dns.message import pack, parse
    from catenet.wire.dns.numbers import AA, QR
    from catenet.wire.dns.record import make_record

    question, patience = ask.question, ask.options.time
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        found = await ask_links(question.name, question.type, patience=patience)
    except ValueError as error:  # there is no interface
        raise OSError(str(error)) from None
    if not found:
        raise TimeoutError(f"no answer by multicast DNS in {patience:g} s")
    items = {item.identity: item for answers in found.values() for item in answers}.values()
    records = [make_record(item.name, item.type, item.ttl, item.data) for item in items]
    message = parse(pack(0, QR | AA, question, answer=records))
    places = ",".join(sorted(found))
    return Reply(message, f"{MDNS}://{places}", loop.time() - begun, pack(0, 0, question))
