"""Mail, files, shells and terminals."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

import steady

TEXT = b"a line of text\r\n" * 400
USER, PASSWORD = "user", "secret"


def folder() -> Path:
    """A folder of the host with one file that was just written."""
    path = Path(tempfile.mkdtemp())
    (path / "note.txt").write_bytes(TEXT)
    return path


def serve_smtp() -> None:
    from aiosmtpd.controller import Controller

    class Handler:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            return f"250 took {len(envelope.content)} bytes for {','.join(envelope.rcpt_tos)}"

    Controller(Handler(), hostname="0.0.0.0", port=25).start()
    while True:
        time.sleep(3600)


def ask_smtp(host: str) -> Any:
    import smtplib

    with smtplib.SMTP(host, timeout=10) as client:
        assert client.sendmail("a@client", ["b@server", "c@server"], TEXT) == {}
        return client.noop()


serve_smtp_async = serve_smtp


async def ask_smtp_async(host: str) -> Any:
    import aiosmtplib

    return await aiosmtplib.send(TEXT, sender="a@client", recipients=["b@server"], hostname=host, port=25, timeout=10)


def serve_pop3() -> None:
    import io

    from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
    from twisted.cred.portal import Portal
    from twisted.internet import reactor
    from twisted.internet.protocol import ServerFactory
    from twisted.mail import pop3
    from zope.interface import implementer

    @implementer(pop3.IMailbox)
    class Box:
        def listMessages(self, index: int | None = None) -> Any:
            return [len(TEXT)] if index is None else len(TEXT)

        def getMessage(self, index: int) -> Any:
            return io.BytesIO(TEXT.replace(b"\r\n", b"\n"))

        def getUidl(self, index: int) -> bytes:
            return b"1"

        def deleteMessage(self, index: int) -> None:
            pass

        def undeleteMessages(self) -> None:
            pass

        def sync(self) -> None:
            pass

    class Realm:
        def requestAvatar(self, avatar: Any, mind: Any, *interfaces: Any) -> Any:
            return pop3.IMailbox, Box(), lambda: None

    checker = InMemoryUsernamePasswordDatabaseDontUse(**{USER: PASSWORD.encode()})
    portal = Portal(Realm(), [checker])

    class Factory(ServerFactory):
        def buildProtocol(self, address: Any) -> Any:
            protocol = pop3.POP3()
            protocol.portal = portal
            protocol.factory = self
            return protocol

        challengers: ClassVar[Any] = {}

        def cap_IMPLEMENTATION(self) -> str:
            return "stranger"

    reactor.listenTCP(110, Factory())
    reactor.run()


def ask_pop3(host: str) -> Any:
    import poplib

    client = poplib.POP3(host, timeout=10)
    client.user(USER)
    client.pass_(PASSWORD)
    assert b"\r\n".join(client.retr(1)[1]).strip() == TEXT.strip()
    return client.quit()


def serve_imap() -> None:
    from twisted.internet import reactor
    from twisted.internet.protocol import ServerFactory
    from twisted.mail import imap4
    from zope.interface import implementer

    @implementer(imap4.IMailbox)
    class Box:
        def getFlags(self) -> Any:
            return ["\\Seen"]

        def getHierarchicalDelimiter(self) -> str:
            return "/"

        def getUIDValidity(self) -> int:
            return 1

        def getUIDNext(self) -> int:
            return 8

        def getMessageCount(self) -> int:
            return 7

        def getRecentCount(self) -> int:
            return 0

        def isWriteable(self) -> bool:
            return True

        def addListener(self, listener: Any) -> None:
            pass

        def removeListener(self, listener: Any) -> None:
            pass

    class Account(imap4.MemoryAccount):
        def _emptyMailbox(self, name: Any, id: Any) -> Any:
            return Box()

    class Server(imap4.IMAP4Server):
        def authenticateLogin(self, user: bytes, password: bytes) -> Any:
            account = Account(user.decode())
            account.create("INBOX")
            return imap4.IAccount, account, lambda: None

    factory = ServerFactory()
    factory.protocol = Server
    reactor.listenTCP(143, factory)
    reactor.run()


def ask_imap(host: str) -> Any:
    import imaplib

    client = imaplib.IMAP4(host, timeout=10)
    client.login(USER, PASSWORD)
    found = client.select("INBOX")
    assert found == ("OK", [b"7"]), found
    return client.logout()


def serve_ftp() -> None:
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, PASSWORD, str(folder()), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer})
    FTPServer(("0.0.0.0", 21), handler).serve_forever()


def ask_ftp(host: str) -> Any:
    import ftplib
    import io

    with ftplib.FTP(host, timeout=10) as client:
        client.login(USER, PASSWORD)
        client.storbinary("STOR mine.txt", io.BytesIO(TEXT))
        got = io.BytesIO()
        client.retrbinary("RETR mine.txt", got.write)
        assert got.getvalue() == TEXT
        facts = dict(client.mlsd(facts=["modify"]))
        stamp = time.strftime("%Y%m%d%H%M", time.gmtime())
        assert facts["mine.txt"]["modify"][:10] == stamp[:10], (facts, stamp)
        return facts


serve_ftp_async = serve_ftp


async def ask_ftp_async(host: str) -> Any:
    import aioftp

    async with aioftp.Client.context(host, user=USER, password=PASSWORD, socket_timeout=10) as client:
        async with client.download_stream("note.txt") as stream:
            assert await stream.read() == TEXT
        return [(str(path), facts.get("modify")) for path, facts in await client.list()]


async def serve_aioftp() -> None:
    import aioftp

    user = aioftp.User(USER, PASSWORD, base_path=folder())
    server = aioftp.Server([user], ipv4_pasv_forced_response_address=None)
    await server.run("0.0.0.0", 21)


def ask_aioftp(host: str) -> Any:
    import ftplib
    import io

    with ftplib.FTP(host, timeout=10) as client:
        client.login(USER, PASSWORD)
        got = io.BytesIO()
        client.retrbinary("RETR note.txt", got.write)
        assert got.getvalue() == TEXT
        return dict(client.mlsd())


async def serve_asyncssh() -> None:
    import asyncssh

    class Server(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    def handle(process: Any) -> None:
        process.stdout.write(f"ran {process.command}\n")
        process.exit(0)

    key = asyncssh.generate_private_key("ssh-ed25519")
    await asyncssh.create_server(
        Server, "0.0.0.0", 22, server_host_keys=[key], process_factory=handle, sftp_factory=True
    )
    await asyncio.Event().wait()


async def ask_asyncssh(host: str) -> Any:
    import asyncssh

    async with asyncio.timeout(15):
        async with asyncssh.connect(host, username=USER, password=PASSWORD, known_hosts=None) as client:
            done = await client.run("date")
            assert done.stdout == "ran date\n", done
            path = tempfile.mkdtemp() + "/x"
            async with client.start_sftp_client() as files:
                async with files.open(path, "wb") as file:
                    await file.write(TEXT)
                return await files.getsize(path)


serve_asyncssh_paramiko = serve_asyncssh


def ask_asyncssh_paramiko(host: str) -> Any:
    import paramiko

    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            host, username=USER, password=PASSWORD, timeout=10, banner_timeout=10, auth_timeout=10, allow_agent=False,
            look_for_keys=False,
        )  # fmt: skip
        _, output, _ = client.exec_command("date", timeout=10)
        found = output.read()
        assert found == b"ran date\n", found
        return found


def serve_paramiko() -> None:
    import socket
    import threading

    import paramiko

    key = paramiko.ECDSAKey.generate()

    class Server(paramiko.ServerInterface):
        def check_auth_password(self, username: str, password: str) -> int:
            return paramiko.AUTH_SUCCESSFUL if password == PASSWORD else paramiko.AUTH_FAILED

        def check_channel_request(self, kind: str, number: int) -> int:
            return paramiko.OPEN_SUCCEEDED

        def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
            def run() -> None:
                channel.sendall(b"ran " + command)
                channel.send_exit_status(0)
                channel.close()

            threading.Timer(0.1, run).start()
            return True

    listener = socket.create_server(("", 22))
    while True:
        connection, _ = listener.accept()
        transport = paramiko.Transport(connection)
        transport.add_server_key(key)
        try:
            transport.start_server(server=Server())
        except (paramiko.SSHException, EOFError):
            pass


def ask_paramiko(host: str) -> Any:
    import paramiko

    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            host, username=USER, password=PASSWORD, timeout=10, banner_timeout=10, auth_timeout=10, allow_agent=False,
            look_for_keys=False,
        )  # fmt: skip
        found = client.exec_command("date", timeout=10)[1].read()
        assert found == b"ran date", found
        return found


async def serve_telnet() -> None:
    import telnetlib3

    async def shell(reader: Any, writer: Any) -> None:
        writer.write((await reader.readline()).strip()[::-1] + "\r\n")
        await writer.drain()
        writer.close()

    await telnetlib3.create_server(host="0.0.0.0", port=23, shell=shell)
    await asyncio.Event().wait()


async def ask_telnet(host: str) -> Any:
    import telnetlib3

    async with asyncio.timeout(15):
        reader, writer = await telnetlib3.open_connection(host, 23)
        writer.write("hello\r\n")
        found = ""
        while "olleh" not in found:
            more = await reader.read(100)
            assert more, found
            found += more
        writer.close()
        return found


def serve_tftp() -> None:
    import tftpy

    tftpy.TftpServer(str(folder())).listen("0.0.0.0", 69)


def ask_tftp(host: str) -> Any:
    import tftpy

    path = Path(tempfile.mkdtemp()) / "got"
    tftpy.TftpClient(host, 69).download("note.txt", str(path), timeout=2)
    assert path.read_bytes() == TEXT
    return path.stat().st_size


def serve_irc() -> None:
    from irc.server import IRCClient, IRCServer

    server = IRCServer(("0.0.0.0", 6667), IRCClient)
    server.daemon_threads = True
    server.serve_forever()


def ask_irc(host: str) -> Any:
    import irc.client

    reactor = irc.client.Reactor()
    heard: list[Any] = []
    connection = reactor.server().connect(host, 6667, "guest")
    connection.add_global_handler("welcome", lambda connection, event: connection.join("#lounge"))
    connection.add_global_handler("join", lambda connection, event: heard.append(event.target))
    end = time.monotonic() + 10
    while not heard and time.monotonic() < end:
        reactor.process_once(0.2)
    connection.close()
    assert heard == ["#lounge"], heard
    return heard


if __name__ == "__main__":
    steady.main(globals())
