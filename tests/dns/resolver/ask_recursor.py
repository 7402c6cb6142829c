"""Ask a recursor: `python ask_recursor.py HINTS ANCHORS FILE`; the file has questions and settings as JSON.

Prints for each question its response code, whether it is secure, and the data of its answer as text.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from catenet.dns.dnssec import TrustAnchors
from catenet.dns.resolver import ForwardZone, Recursor, ResolverConfig
from catenet.dns.response import Response, Security
from catenet.dns.text import data_to_text
from catenet.wire.address import parse_address
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.numbers import rcode_to_text, type_from_text, type_to_text
from catenet.wire.dns.record import make_record
from catenet.wire.dns.stub import Server


def summary(response: Response) -> dict[str, object]:
    answer = sorted(
        f"{name_to_text(one.name)} {type_to_text(one.type)} {data_to_text(make_record(one.name, one.type, 0, data))}"
        for one in response.answer
        for data in one.data
    )
    return {
        "rcode": rcode_to_text(response.rcode),
        "secure": response.security is Security.SECURE,
        "answer": answer,
        "reason": response.reason,
    }


async def main(hints: str, anchors: str, path: str) -> None:
    wanted = json.loads(Path(path).read_text())
    servers = tuple(map(parse_address, hints.split(",")))
    settings = ResolverConfig(
        hints={name_from_text("a.root."): servers}, do_not_query=(), special_names=False, **wanted["settings"]
    )
    if "forward" in wanted:
        server = Server(parse_address(wanted["forward"]), wanted.get("port", 53))
        forward = ForwardZone(b"\0", (server,), tls="" if "port" in wanted else None)
        settings = ResolverConfig(forwards=(forward,), do_not_query=(), special_names=False, **wanted["settings"])
    trusted = TrustAnchors.from_files([anchors]) if anchors != "-" else None
    async with Recursor(settings, anchors=trusted) as recursor:
        questions = [Question(name_from_text(name), type_from_text(kind)) for name, kind in wanted["questions"]]
        responses = await asyncio.gather(*(recursor.resolve(question, dnssec_ok=False) for question in questions))
        again = await asyncio.gather(*(recursor.resolve(question, dnssec_ok=False) for question in questions))
        print(
            json.dumps(
                {
                    "answers": list(map(summary, responses)),
                    "again": list(map(summary, again)),
                    "sent": recursor.core.context.counts["sent"],
                }
            )
        )


asyncio.run(main(*sys.argv[1:]))
