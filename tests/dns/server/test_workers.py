"""Zones that change, served by several processes: whichever of them gets a request, all of them answer by it."""

import asyncio
import signal
import socket
import time

from tests.dns.server.running import query, serving
from tests.dns.server.test_zones import SECRET, address_of, free_port, primary_config, secondary_config, until, update

from catenet.cli import main
from catenet.dns.server.courier import MOST_WAITING, Courier, Helper, Owner
from catenet.dns.server.request import UDP, read_request
from catenet.dns.zone.tsig import TsigContext, TsigKey
from catenet.wire.dns.edns import Edns
from catenet.wire.dns.message import parse
from catenet.wire.dns.name import name_from_text, name_to_text
from catenet.wire.dns.numbers import RRSIG

WORKERS = ("--workers", "3")
PEERS = 12
"""Sockets that ask: the kernel gives each source port to one of the workers."""


def from_each(port, data):
    """The answers to one message from many source ports."""
    replies = []
    for _ in range(PEERS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            sock.settimeout(20)
            sock.send(data)
            replies.append(parse(sock.recv(4096)))
    return replies


def all_have(port, name):
    return all(reply.answer for reply in from_each(port, query(name)))


def test_updates_reach_all_whoever_gets_them(tmp_path):
    words = primary_config(tmp_path, extra='updates = ["127.0.0.1"]\n')
    with serving(tmp_path, *words, *WORKERS) as server:
        for number in range(6):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(("127.0.0.1", server.port))
                sock.settimeout(20)
                sock.send(update(f"new{number}.example.org."))
                assert parse(sock.recv(512)).rcode == 0
        until(lambda: all(all_have(server.port, f"new{number}.example.org.") for number in range(6)), True)
        serials = {reply.answer[0].data[-20:-16] for reply in from_each(server.port, query("example.org.", 6))}
        assert serials == {b"\0\0\0\7"}
    with serving(tmp_path, *words, *WORKERS) as server:
        assert all_have(server.port, "new5.example.org.")


def test_signatures_of_requests_hold_for_the_owner_too(tmp_path):
    key = TsigKey.from_text(f"hmac-sha256:shared:{SECRET}")
    with serving(tmp_path, *primary_config(tmp_path, extra='key = "shared"\n'), *WORKERS) as server:
        for number in range(6):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(("127.0.0.1", server.port))
                sock.settimeout(20)
                context = TsigContext(key)
                sock.send(context.sign(update(f"new{number}.example.org."), int(time.time())))
                reply = parse(sock.recv(512))
                assert reply.rcode == 0 and reply.additional, "signed"
                sock.send(update("bad.example.org."))
                assert parse(sock.recv(512)).rcode == 5
        until(lambda: all_have(server.port, "new5.example.org."), True)


def test_one_process_signs_for_all(tmp_path):
    words = primary_config(tmp_path, extra='updates = ["127.0.0.1"]\nsign = true\n')
    with serving(tmp_path, *words, *WORKERS) as server:
        signed = query("www.example.org.", edns=Edns(flags=0x8000))

        def signatures(data=signed):
            found = [[one.data for one in reply.answer if one.type == RRSIG] for reply in from_each(server.port, data)]
            return len({tuple(one) for one in found}) == 1 and bool(found[0])

        until(signatures, True)
        assert from_each(server.port, update("new.example.org."))[0].rcode == 0
        until(lambda: signatures(query("new.example.org.", edns=Edns(flags=0x8000))), True)


def test_a_notification_is_for_all(tmp_path):
    port = free_port()
    more = f'notify = ["127.0.0.1:{port}"]\ntransfers = ["127.0.0.1"]\nupdates = ["127.0.0.1"]\n'
    with serving(tmp_path, *primary_config(tmp_path, extra=more)) as primary:
        words = secondary_config(tmp_path, primary.port)[:2]
        with serving(tmp_path, *words, "--listen", f"udp+tcp://127.0.0.1:{port}", *WORKERS) as second:
            until(lambda: all_have(port, "www.example.org."), True)
            from_each(primary.port, update("new.example.org."))
            until(lambda: all_have(port, "new.example.org."), True)
            second.process.send_signal(signal.SIGHUP)
            assert address_of(port, "new.example.org.") == 77


def test_what_processes_share_needs_a_file(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('[[zone]]\nname = "example.org"\nprimaries = ["192.0.2.1"]\n')
    assert main(["serve", "dns", "--config", str(tmp_path / "c.toml"), "--workers", "2"]) == 2
    assert "the zone example.org needs a file" in capsys.readouterr().err


def test_what_waits_for_the_owner_is_bounded():
    async def run():
        courier = Courier(2)
        owner, helper = courier.side(0), courier.side(1)
        assert isinstance(owner, Owner) and isinstance(helper, Helper) and Courier(1).side(0) is None
        told, changed = [], []
        owner.receive = lambda data, transport, address, port, respond: data[:2] + b"!" + address.encode()
        helper.changed = lambda view, name: changed.append((view, name_to_text(name)))
        request = read_request(query(), UDP, "192.0.2.1", 53, told.append)
        assert helper.relay(request)
        owner.tell("inner", name_from_text("example.org."))
        owner.tell("", name_from_text("."))
        while not (told and len(changed) == 2):
            await asyncio.sleep(0)
        assert told == [b"\x12\x34!192.0.2.1"] and changed == [("inner", "example.org."), ("", ".")]
        owner.receive = lambda *_: None
        sent = 0
        for _ in range(4 * MOST_WAITING):
            sent += helper.relay(request)
            if not sent % 50:
                await asyncio.sleep(0)
        assert len(helper._waiting) <= MOST_WAITING
        for number in range(5_000):  # nobody reads: each change is told once, when there is room
            owner.tell("", name_from_text(f"z{number % 10}."))
        while len(set(changed)) < 12:
            await asyncio.sleep(0)
        owner.close(), helper.close()

    asyncio.run(run())
