"""Databases, brokers, directories, names, and devices: pure-Python drivers against servers that speak the same."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import steady

FOREVER = 10**6


def in_thread(function: Any, *args: Any) -> None:
    threading.Thread(target=function, args=args, daemon=True).start()


def serve_redis() -> None:
    from fakeredis import TcpFakeServer

    server = TcpFakeServer(("0.0.0.0", 6379))
    server.daemon_threads = True
    server.serve_forever()


def open_redis(host: str) -> Any:
    import redis

    client = redis.Redis(host, socket_timeout=5, socket_connect_timeout=5)

    def once() -> Any:
        client.set("key", "value")
        client.rpush("list", *"abc")
        return client.get("key"), client.incr("count"), client.lrange("list", 0, 2)

    return once


serve_redis_async = serve_redis


async def open_redis_async(host: str) -> Any:
    import redis.asyncio

    client = redis.asyncio.Redis(host=host, socket_timeout=5, socket_connect_timeout=5)

    async def once() -> Any:
        async with client.pipeline() as pipe:
            found = await pipe.set("key", "value").get("key").execute()
        assert found == [True, b"value"], found
        return found, await client.incr("count")

    return once


def serve_memcached() -> None:
    """The text protocol of memcached, as far as clients use it."""
    import socketserver

    kept: dict[bytes, tuple[bytes, bytes]] = {}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                verb, *words = line.split()
                if verb == b"set":
                    kept[words[0]] = words[1], self.rfile.read(int(words[3]) + 2)[:-2]
                    self.wfile.write(b"STORED\r\n")
                elif verb in (b"get", b"gets"):
                    for key in words:
                        if key in kept:
                            flags, value = kept[key]
                            self.wfile.write(b"VALUE %b %b %d\r\n%b\r\n" % (key, flags, len(value), value))
                    self.wfile.write(b"END\r\n")
                else:
                    self.wfile.write(b"ERROR\r\n")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    Server(("", 11211), Handler).serve_forever()


def open_memcached(host: str) -> Any:
    from pymemcache.client.base import PooledClient

    client = PooledClient((host, 11211), connect_timeout=5, timeout=5)

    def once() -> Any:
        client.set("key", b"value" * 500, noreply=False)
        found = client.get_many(["key", "none"])
        assert found == {"key": b"value" * 500}
        return len(found)

    return once


async def serve_mysql() -> None:
    import mysql_mimic

    class Session(mysql_mimic.Session):
        async def query(self, expression: Any, sql: str, attrs: Any) -> Any:
            return [(number, "x" * number) for number in range(3)], ["number", "text"]

    server = mysql_mimic.MysqlServer(session_factory=Session)
    await server.start_server(host="0.0.0.0", port=3306)
    await server.serve_forever()


def ask_mysql(host: str) -> Any:
    import pymysql

    with pymysql.connect(host=host, user="user", connect_timeout=5, read_timeout=5) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT number, text FROM things")
            found = list(cursor.fetchall())
    assert [len(row[1]) for row in found] == [0, 1, 2], found
    return found


serve_mysql_async = serve_mysql_connector = serve_mysql


async def ask_mysql_async(host: str) -> Any:
    import aiomysql

    async with asyncio.timeout(10):
        async with aiomysql.connect(host=host, user="user", connect_timeout=5) as connection:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT number, text FROM things")
                return list(await cursor.fetchall())


def ask_mysql_connector(host: str) -> Any:
    import mysql.connector

    with mysql.connector.connect(host=host, user="user", connection_timeout=5) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT number, text FROM things")
            return list(cursor.fetchall())


def serve_postgres() -> None:
    """The wire protocol of PostgreSQL, version 3: each query, simple or extended, yields one row with a text."""
    import socketserver
    import struct

    def message(kind: bytes, body: bytes = b"") -> bytes:
        return kind + struct.pack("!i", len(body) + 4) + body

    def field(name: bytes) -> bytes:
        return message(b"T", struct.pack("!h", 1) + name + b"\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0))

    ROW = message(b"D", struct.pack("!hi", 1, 5) + b"found")
    READY = message(b"Z", b"I")
    DONE = message(b"C", b"SELECT 1\0")
    ANSWERS = {
        b"P": message(b"1"),
        b"B": message(b"2"),
        b"E": ROW + DONE,
        b"C": message(b"3"),
        b"S": READY,
        b"H": b"",
        b"Q": field(b"text") + ROW + DONE + READY,
    }

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while True:
                if not (head := self.rfile.read(8)):
                    return
                size, code = struct.unpack("!ii", head)
                self.rfile.read(size - 8)
                if code == 196608:
                    break
                self.wfile.write(b"N")
            start = message(b"R", struct.pack("!i", 0))
            for name, value in (("server_version", "15.0"), ("client_encoding", "UTF8"), ("TimeZone", "UTC")):
                start += message(b"S", f"{name}\0{value}\0".encode())
            self.wfile.write(start + message(b"K", bytes(8)) + READY)
            while kind := self.rfile.read(1):
                body = self.rfile.read(struct.unpack("!i", self.rfile.read(4))[0] - 4)
                if kind == b"X":
                    return
                if kind == b"D":
                    self.wfile.write(
                        (message(b"t", struct.pack("!h", 0)) if body[:1] == b"S" else b"") + field(b"text")
                    )
                else:
                    self.wfile.write(ANSWERS[kind])

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    Server(("", 5432), Handler).serve_forever()


def ask_postgres(host: str) -> Any:
    import pg8000.dbapi

    connection = pg8000.dbapi.connect(user="user", host=host, timeout=5)
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT text FROM things")
        found = cursor.fetchall()
    finally:
        connection.close()
    assert list(map(tuple, found)) == [("found",)], found
    return found


serve_postgres_async = serve_postgres


async def ask_postgres_async(host: str) -> Any:
    import asyncpg

    connection = await asyncpg.connect(user="user", host=host, timeout=5, command_timeout=5, database="things")
    try:
        found = await connection.fetchval("SELECT text FROM things")
    finally:
        await connection.close(timeout=5)
    assert found == "found", found
    return found


def broker() -> Any:
    from amqtt.broker import Broker

    listeners = {"default": {"type": "tcp", "bind": "0.0.0.0:1883"}}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    return Broker({"listeners": listeners, "plugins": plugins})


async def serve_mqtt() -> None:
    await broker().start()
    await asyncio.Event().wait()


def open_mqtt(host: str) -> Any:
    import queue

    import paho.mqtt.client as mqtt

    heard: queue.Queue[bytes] = queue.Queue()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="stranger")
    client.on_connect = lambda client, *_: client.subscribe("topic", 1)
    client.on_message = lambda client, data, message: heard.put(message.payload)
    client.reconnect_delay_set(1, 2)
    client.connect_async(host, keepalive=5)
    client.loop_start()

    def once() -> Any:
        client.publish("topic", b"hello", 1)
        found = heard.get(timeout=8)
        assert found == b"hello"
        return found

    return once


serve_mqtt_async = serve_mqtt


async def ask_mqtt_async(host: str) -> Any:
    import aiomqtt

    async with asyncio.timeout(15), aiomqtt.Client(host, identifier="stranger", timeout=5) as client:
        await client.subscribe("topic", qos=1)
        await client.publish("topic", b"hello", qos=1)
        async for message in client.messages:
            assert message.payload == b"hello"
            return str(message.topic)
    raise ConnectionError("no message")


async def serve_nats() -> None:
    """The text protocol of NATS: INFO, CONNECT, PING, SUB, PUB."""
    subscriptions: dict[bytes, list[tuple[Any, bytes]]] = {}

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.10.0","proto":1,"max_payload":1048576}\r\n')
        while line := await reader.readline():
            verb, *words = line.split()
            if verb == b"PING":
                writer.write(b"PONG\r\n")
            elif verb == b"SUB":
                subscriptions.setdefault(words[0], []).append((writer, words[-1]))
            elif verb == b"PUB":
                body = (await reader.readexactly(int(words[-1]) + 2))[:-2]
                reply = b" " + words[1] if len(words) > 2 else b""
                for other, number in subscriptions.get(words[0], []):
                    other.write(b"MSG %b %b%b %d\r\n%b\r\n" % (words[0], number, reply, len(body), body))

    await (await asyncio.start_server(handle, port=4222)).serve_forever()


async def open_nats(host: str) -> Any:
    import nats

    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def note(message: Any) -> None:
        await heard.put(message.data)

    client = await nats.connect(
        f"nats://{host}:4222", ping_interval=2, reconnect_time_wait=1, max_reconnect_attempts=-1, connect_timeout=8
    )
    await client.subscribe("topic", cb=note)

    async def once() -> Any:
        await client.publish("topic", b"hello")
        async with asyncio.timeout(5):
            return await heard.get()

    return once


def serve_stomp() -> None:
    """The text protocol of STOMP 1.1: CONNECT, SUBSCRIBE, SEND, receipts."""
    import socketserver

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            subscription = b"0"
            while verb := self.rfile.readline():
                if not (verb := verb.strip(b"\r\n\0")):
                    continue
                heads = {}
                while line := self.rfile.readline().strip():
                    name, _, value = line.partition(b":")
                    heads[name] = value
                body = b""
                while (byte := self.rfile.read(1)) not in (b"\0", b""):
                    body += byte
                if verb in (b"CONNECT", b"STOMP"):
                    self.wfile.write(b"CONNECTED\nversion:1.1\nheart-beat:0,0\n\n\0")
                elif verb == b"SUBSCRIBE":
                    subscription = heads[b"id"]
                elif verb == b"SEND":
                    head = b"MESSAGE\nsubscription:%b\nmessage-id:1\ndestination:%b\n\n%b\0"
                    self.wfile.write(head % (subscription, heads[b"destination"], body))
                if b"receipt" in heads:
                    self.wfile.write(b"RECEIPT\nreceipt-id:%b\n\n\0" % heads[b"receipt"])

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    Server(("", 61613), Handler).serve_forever()


def ask_stomp(host: str) -> Any:
    import queue

    import stomp

    heard: queue.Queue[str] = queue.Queue()

    class Listener(stomp.ConnectionListener):
        def on_message(self, frame: Any) -> None:
            heard.put(frame.body)

    client = stomp.Connection11([(host, 61613)], timeout=5, reconnect_attempts_max=1)
    client.set_listener("", Listener())
    client.connect(wait=True)
    client.subscribe("/queue/a", id="1")
    client.send("/queue/a", "hello")
    found = heard.get(timeout=8)
    client.disconnect()
    assert found == "hello"
    return found


def serve_dns() -> None:
    from dnslib.server import DNSServer
    from dnslib.zoneresolver import ZoneResolver

    zone = "www.example. 60 IN A 192.0.2.7\nbig.example. 60 IN TXT " + " ".join(f'"{"x" * 200}"' for _ in range(9))
    DNSServer(ZoneResolver(zone), tcp=True).start_thread()
    DNSServer(ZoneResolver(zone)).start()


def resolver(module: Any, host: str) -> Any:
    import socket

    found = module.Resolver(configure=False)
    found.nameservers = [socket.gethostbyname(host)]
    found.timeout, found.lifetime = 1, 6
    return found


def ask_dns(host: str) -> Any:
    import dns.resolver

    asked = resolver(dns.resolver, host)
    big = asked.resolve("big.example", "TXT")
    return [str(record) for record in asked.resolve("www.example")], len(str(big[0]))


def serve_names() -> None:
    from twisted.internet import reactor
    from twisted.names import client, dns, server

    class Resolver(client.Resolver):
        def query(self, query: Any, timeout: Any = None) -> Any:
            from twisted.internet import defer

            payload = dns.Record_A(address="192.0.2.9", ttl=60)
            return defer.succeed(([dns.RRHeader(query.name.name, dns.A, dns.IN, 60, payload)], [], []))

    factory = server.DNSServerFactory(clients=[Resolver(servers=[("127.0.0.1", 1)])])
    reactor.listenUDP(53, dns.DNSDatagramProtocol(factory))
    reactor.listenTCP(53, factory)
    reactor.run()


async def ask_names(host: str) -> Any:
    import dns.asyncresolver

    asked = resolver(dns.asyncresolver, host)
    found = [str(record) for record in await asked.resolve("any.example")]
    found += [str(record) for record in await asked.resolve("tcp.example", tcp=True)]
    assert found == ["192.0.2.9"] * 2
    return found


def serve_ldap() -> None:
    from ldaptor.inmemory import fromLDIFFile
    from ldaptor.interfaces import IConnectedLDAPEntry
    from ldaptor.protocols.ldap.ldapserver import LDAPServer
    from twisted.internet import reactor
    from twisted.internet.protocol import ServerFactory
    from twisted.python.components import registerAdapter

    text = b"""dn: dc=org
dc: org
objectClass: dcObject

dn: cn=bob,dc=org
cn: bob
mail: bob@example.org
objectClass: person
userPassword: secret

"""

    class Factory(ServerFactory):
        protocol = LDAPServer

        def __init__(self, root: Any) -> None:
            self.root = root

        def buildProtocol(self, address: Any) -> Any:
            protocol: Any = self.protocol()
            protocol.factory = self
            return protocol

    def listen(root: Any) -> None:
        registerAdapter(lambda factory: factory.root, Factory, IConnectedLDAPEntry)
        reactor.listenTCP(389, Factory(root))

    import io

    fromLDIFFile(io.BytesIO(text)).addCallback(listen)
    reactor.run()


def ask_ldap(host: str) -> Any:
    import ldap3

    server = ldap3.Server(host, connect_timeout=5, get_info=ldap3.NONE)
    with ldap3.Connection(server, "cn=bob,dc=org", "secret", receive_timeout=5, auto_bind=True) as connection:
        assert connection.search("dc=org", "(cn=bob)", attributes=["mail"])
        return [str(entry.mail) for entry in connection.entries]


def serve_snmp() -> None:
    from pysnmp.carrier.asyncio.dgram import udp
    from pysnmp.entity import config, engine
    from pysnmp.entity.rfc3413 import cmdrsp, context

    asyncio.set_event_loop(asyncio.new_event_loop())
    agent = engine.SnmpEngine()
    config.add_transport(agent, udp.DOMAIN_NAME, udp.UdpTransport().open_server_mode(("0.0.0.0", 161)))
    config.add_v1_system(agent, "area", "public")
    config.add_vacm_user(agent, 2, "area", "noAuthNoPriv", (1, 3, 6), (1, 3, 6))
    place = context.SnmpContext(agent)
    cmdrsp.GetCommandResponder(agent, place)
    cmdrsp.NextCommandResponder(agent, place)
    agent.transport_dispatcher.job_started(1)
    agent.open_dispatcher()


async def ask_snmp(host: str) -> Any:
    from pysnmp.hlapi.v3arch import asyncio as snmp

    target = await snmp.UdpTransportTarget.create((host, 161), timeout=1, retries=5)
    asked = snmp.ObjectType(snmp.ObjectIdentity("1.3.6.1.2.1.1.1.0"))
    engine = snmp.SnmpEngine()
    error, status, _, found = await snmp.get_cmd(
        engine, snmp.CommunityData("public"), target, snmp.ContextData(), asked
    )
    engine.close_dispatcher()
    assert error is None and not status, (error, status)
    return [str(value) for value in found]


async def serve_modbus() -> None:
    from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
    from pymodbus.server import StartAsyncTcpServer

    block = ModbusSequentialDataBlock(1, list(range(100)))
    await StartAsyncTcpServer(ModbusServerContext(ModbusDeviceContext(hr=block), single=True), address=("", 502))


def open_modbus(host: str) -> Any:
    from pymodbus.client import ModbusTcpClient

    client = ModbusTcpClient(host, timeout=3)

    def once() -> Any:
        assert client.connected or client.connect()
        found = client.read_holding_registers(10, count=5)
        assert not found.isError(), found
        return found.registers

    return once


serve_modbus_async = serve_modbus


async def open_modbus_async(host: str) -> Any:
    from pymodbus.client import AsyncModbusTcpClient

    client = AsyncModbusTcpClient(host, timeout=3)

    async def once() -> Any:
        assert client.connected or await client.connect()
        return (await client.read_holding_registers(10, count=5)).registers

    return once


async def serve_opcua() -> None:
    import asyncua

    server = asyncua.Server()
    await server.init()
    server.set_endpoint("opc.tcp://0.0.0.0:4840/")
    await server.register_namespace("urn:stranger")
    thing = await server.nodes.objects.add_object(2, "Thing")
    await thing.add_variable(2, "Value", 42)
    async with server:
        await asyncio.Event().wait()


async def ask_opcua(host: str) -> Any:
    import asyncua

    async with asyncio.timeout(20), asyncua.Client(f"opc.tcp://{host}:4840/", timeout=5) as client:
        node = await client.nodes.objects.get_child(["2:Thing", "2:Value"])
        found = await node.read_value()
        assert found == 42
        return found


async def serve_coap() -> None:
    import aiocoap
    from aiocoap.resource import Resource, Site

    class Thing(Resource):
        async def render_get(self, request: Any) -> Any:
            return aiocoap.Message(payload=b"x" * 3000)

    site = Site()
    site.add_resource(["thing"], Thing())
    await aiocoap.Context.create_server_context(site, bind=("::", 5683))
    await asyncio.Event().wait()


async def ask_coap(host: str) -> Any:
    import aiocoap

    client = await aiocoap.Context.create_client_context()
    try:
        async with asyncio.timeout(20):
            found = await client.request(aiocoap.Message(code=aiocoap.GET, uri=f"coap://{host}/thing")).response
    finally:
        await client.shutdown()
    assert found.payload == b"x" * 3000
    return str(found.code)


async def serve_hl7() -> None:
    from hl7.mllp import start_hl7_server

    async def handle(reader: Any, writer: Any) -> None:
        while not writer.is_closing():
            message = await reader.readmessage()
            writer.writemessage(message.create_ack())
            await writer.drain()

    async with await start_hl7_server(handle, port=2575) as server:
        await server.serve_forever()


async def ask_hl7(host: str) -> Any:
    import hl7
    from hl7.mllp import open_hl7_connection

    text = "MSH|^~\\&|A|B|C|D|20250101||ADT^A01|1|P|2.5\rPID|1||7\r"
    async with asyncio.timeout(10):
        reader, writer = await open_hl7_connection(host, 2575)
        writer.writemessage(hl7.parse(text))
        await writer.drain()
        found = await reader.readmessage()
        writer.close()
    assert str(found.segment("MSA")[1]) == "AA"
    return str(found.segment("MSA"))


def serve_dicom() -> None:
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import Verification

    ae = AE()
    ae.add_supported_context(Verification)
    ae.start_server(("0.0.0.0", 104), evt_handlers=[(evt.EVT_C_ECHO, lambda event: 0)])


def ask_dicom(host: str) -> Any:
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification

    ae = AE()
    ae.add_requested_context(Verification)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 5
    association = ae.associate(host, 104)
    assert association.is_established
    status = association.send_c_echo().Status
    association.release()
    assert status == 0
    return status


def serve_syslog() -> None:
    """Answers each message with its size to port 5514, so that the client knows that it arrived."""
    import socketserver

    class Handler(socketserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.request[1].sendto(str(len(self.request[0])).encode(), (self.client_address[0], 5514))

    socketserver.ThreadingUDPServer(("", 514), Handler).serve_forever()


def ask_syslog(host: str) -> Any:
    import logging.handlers
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("", 5514))
        heard.settimeout(2)
        handler = logging.handlers.SysLogHandler((host, 514))
        handler.emit(logging.makeLogRecord({"msg": "something happened", "levelno": logging.WARNING}))
        handler.close()
        return heard.recv(100)


async def serve_quic() -> None:
    import datetime
    import tempfile

    from aioquic.asyncio import serve
    from aioquic.h3.connection import H3_ALPN
    from aioquic.quic.configuration import QuicConfiguration
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
    begin = datetime.datetime(2024, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + datetime.timedelta(9999))
    certificate = builder.sign(key, hashes.SHA256())
    with tempfile.NamedTemporaryFile() as file:
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write(certificate.public_bytes(serialization.Encoding.PEM) + private)
        file.flush()
        configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
        configuration.load_cert_chain(file.name, file.name)

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def turn() -> None:
            writer.write((await reader.read())[::-1])
            writer.write_eof()

        tasks.append(asyncio.ensure_future(turn()))

    tasks: list[Any] = []
    await serve("0.0.0.0", 4433, configuration=configuration, stream_handler=handle)
    await asyncio.Event().wait()


async def ask_quic(host: str) -> Any:
    import ssl

    from aioquic.asyncio import connect
    from aioquic.h3.connection import H3_ALPN
    from aioquic.quic.configuration import QuicConfiguration

    configuration = QuicConfiguration(alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, idle_timeout=8)
    async with asyncio.timeout(15), connect(host, 4433, configuration=configuration) as client:
        reader, writer = await client.create_stream()
        writer.write(b"turn me round" * 300)
        writer.write_eof()
        found = await reader.read()
    assert found == (b"turn me round" * 300)[::-1]
    return len(found)


def serve_ntp() -> None:
    """A server of NTP by ntplib's own packets."""
    import socket

    import ntplib

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 123))
        while True:
            data, peer = sock.recvfrom(100)
            asked = ntplib.NTPPacket()
            asked.from_data(data)
            answer = ntplib.NTPPacket(4, 4, ntplib.system_to_ntp_time(time.time()))
            answer.stratum = 2
            answer.orig_timestamp = asked.tx_timestamp
            answer.recv_timestamp = answer.ref_timestamp = answer.tx_timestamp
            sock.sendto(answer.to_data(), peer)


def ask_ntp(host: str) -> Any:
    import ntplib

    found = ntplib.NTPClient().request(host, version=4, timeout=2)
    assert abs(found.offset) < 1, found.offset
    return found.stratum


if __name__ == "__main__":
    steady.main(globals())
