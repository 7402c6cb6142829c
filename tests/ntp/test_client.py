import asyncio
import time

import pytest

from catenet.ntp.client import query

from .conversation import answer_to


class Server(asyncio.DatagramProtocol):
    def __init__(self, offset, **changes):
        self.offset, self.changes, self.ports = offset, changes, []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.ports.append(address[1])
        now = time.time() + self.offset
        self.transport.sendto(b"junk", address)
        self.transport.sendto(answer_to(data, now, now, **self.changes).build(), address)


async def ask(*servers, family="127.0.0.1"):
    loop, transports, names = asyncio.get_running_loop(), [], []
    for server in servers:
        transport, _ = await loop.create_datagram_endpoint(lambda server=server: server, (family, 0))
        transports.append(transport)
        host = f"[{family}]" if ":" in family else family
        names.append(f"ntp://{host}:{transport.get_extra_info('sockname')[1]}")
    try:
        return await query(names, patience=5.0)
    finally:
        for transport in transports:
            transport.close()


@pytest.mark.parametrize("family", ["127.0.0.1", "::1"])
def test_one_liar_among_four_is_named(family):
    result = asyncio.run(ask(Server(0), Server(0), Server(100), Server(0), family=family))
    assert [one.verdict for one in result.answers] == ["truechimer", "truechimer", "falseticker", "truechimer"]
    assert abs(result.selection.offset) <= result.selection.error_bound


def test_a_server_that_refuses_is_unreachable():
    result = asyncio.run(ask(Server(0), Server(0, stratum=0, reference_id=b"DENY")))
    assert [one.verdict for one in result.answers] == ["truechimer", "unreachable"]
    assert result.answers[1].association.kiss == "DENY"


def test_what_is_no_server():
    with pytest.raises(ValueError, match="no scheme 'http'"):
        asyncio.run(query(["http://a"]))
