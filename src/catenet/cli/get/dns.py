"""dns: records of a name (RFC 4501), a line for each, as zone files have them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from catenet.cli.transfer.codes import Code, TransferError

if TYPE_CHECKING:
    from catenet.cli.transfer.job import Job


SCHEMES = ("dns",)

_URL = re.compile(r"dns:(?://([^/?]*)/)?([^?]*)(?:\?(.*))?", re.IGNORECASE).fullmatch


async def get(job: Job) -> None:
    """Ask, and write the records of the answer. Raises `TransferError`."""
    from catenet.dns.client import Client, Query
    from catenet.dns.config import server_host, system_config
    from catenet.dns.text import data_to_text
    from catenet.net.target import host_and_port
    from catenet.wire.dns import numbers
    from catenet.wire.dns.message import Question
    from catenet.wire.dns.name import name_from_text, name_to_text

    found = _URL(job.url)
    if found is None or not found[2]:
        raise TransferError(
            Code.MALFORMED_URL, f"URL {job.url!r}: write it as dns://SERVER/NAME?type=TYPE, or dns:NAME"
        )
    asked = {key.lower(): value for key, _, value in (part.partition("=") for part in re.split("[;&]", found[3] or ""))}
    try:
        kind = numbers.type_from_text(asked.get("type", "A").upper())
        network = numbers.class_from_text(asked.get("class", "IN").upper())
        question = Question(name_from_text(unquote(found[2])), kind, network)
    except ValueError as error:
        raise TransferError(Code.MALFORMED_URL, f"URL {job.url!r}: {error}") from None
    server = found[1] or ""
    if not server:
        servers = system_config().servers
        if not servers:
            raise TransferError(Code.NAME, "no name server in /etc/resolv.conf; name one, dns://SERVER/NAME")
        server = host_and_port(server_host(servers[0]), 53)
    try:
        async with Client() as client:
            reply = await client.ask(server, Query(question))
    except ValueError as error:
        raise TransferError(Code.MALFORMED_URL, f"URL {job.url!r}: {error}") from None
    except TimeoutError as error:
        raise TransferError(Code.TIMEOUT, str(error) or f"no answer from {server}") from None
    except OSError as error:
        raise TransferError(Code.CONNECT, str(error)) from None
    message = reply.message
    rcode = numbers.rcode_to_text(message.flags & 0xF)
    job.facts.update(server=reply.server, rcode=rcode, seconds=round(reply.seconds, 6))
    lines = [
        f"{name_to_text(one.name)} {one.ttl} {numbers.class_to_text(one.rclass)} {numbers.type_to_text(one.type)} "
        f"{data_to_text(one)}"
        for one in message.answer
    ]
    if rcode != "NOERROR":
        raise TransferError(Code.NAME, f"{found[2]}: {rcode} from {reply.server}")
    content = "".join(f"{line}\n" for line in lines).encode()
    job.begin(job.target(found[2], None), 0, len(content))
    await job.write(content)
    job.finish()
