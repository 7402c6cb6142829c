"""Handlers in workers that have taken the caller's user; what that user may not do, the kernel refuses."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import uvloop
from acting import abstract, as_user, call_as
from echoservice import SAY, Echo, failure, serving, text, until
from google.protobuf.wrappers_pb2 import StringValue

from catenet.net import separation
from catenet.net.separation import Broker, Refused, Terms, question, read_answer, receive_descriptors, send_descriptors
from catenet.rpc import Channel, Code, RpcError
from catenet.rpc.server import callers
from catenet.rpc.server.callers import CallerWorkers


def work(request: StringValue) -> StringValue:
    command, _, rest = request.value.partition(":")
    if command == "who":
        status = Path("/proc/self/status").read_text()
        capable = status.partition("CapEff:")[2].split()[0]
        return StringValue(
            value=json.dumps([os.getresuid(), os.getresgid(), sorted(os.getgroups()), capable, os.getpid()])
        )
    if command == "raise":
        raise KeyError("secret")
    if command == "refuse":
        raise RpcError(Code.OUT_OF_RANGE, rest)
    if command == "die":
        os._exit(3)
    if command == "sleep":
        time.sleep(float(rest))
    if command == "large":
        return StringValue(value="x" * int(rest))
    if command == "descriptors":
        links = Path("/proc/self/fd").iterdir()
        found = [os.readlink(link) for link in links if int(link.name) > 2 and os.path.lexists(link)]
        return StringValue(value=json.dumps([name for name in found if name not in ("/dev/null", "/proc/self/fd")]))
    if command == "read":
        return StringValue(value=Path(rest).read_text())
    return StringValue(value=request.value)


class Acting(Echo):
    """Runs what it is told in a worker; `open:PATH` opens a file there and reads it here."""

    def __init__(self, **options):
        super().__init__()
        self.workers = CallerWorkers(**options)
        self.workers.function(work)
        self.workers.start()

    async def say(self, request, context):
        command, _, rest = request.value.partition(":")
        if command == "open":
            with open(await self.workers.open(rest, os.O_RDONLY, context)) as file:
                return text(file.read())
        return await self.workers.run(work, request, context)


def acting(test, url, run=asyncio.run, **options):
    async def main():
        service = Acting(**options)
        try:
            async with serving(url, service) as (_, _, url_):
                await test(url_, service)
        finally:
            service.workers.close()

    run(main())


def own(test, tmp_path, **options):
    """A test of callers that are this user; no root is needed."""

    async def with_channel(url, service):
        async with Channel(url) as channel:
            await test(channel, service.workers)

    acting(with_channel, f"unix:{tmp_path}/s", own=True, root=True, **options)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_worker_is_another_process_and_stays_for_the_next_call(tmp_path, run):
    """On uvloop too, whose loops begin their descriptors anew in every fork."""

    async def test(channel, workers):
        first = json.loads((await channel.unary(SAY, text("who"))).value)
        assert first[0] == [os.geteuid()] * 3
        assert first[4] != os.getpid()
        assert json.loads((await channel.unary(SAY, text("who"))).value) == first
        assert len((await channel.unary(SAY, text("large:3000000"))).value) == 3_000_000
        open_there = json.loads((await channel.unary(SAY, text("descriptors"))).value)
        assert [name.partition(":")[0] for name in open_there if not name.startswith("/proc/")] == ["socket"]

    own(test, tmp_path, run=run)


def test_errors_and_the_end_of_a_worker(tmp_path, capfd):
    async def test(channel, workers):
        error = await failure(channel.unary(SAY, text("refuse:no more")))
        assert (error.code, error.message) == (Code.OUT_OF_RANGE, "no more")
        error = await failure(channel.unary(SAY, text("raise")))
        assert (error.code, error.message) == (Code.UNKNOWN, "KeyError in the handler")
        assert (await failure(channel.unary(SAY, text("die")))).code is Code.UNAVAILABLE
        assert (await channel.unary(SAY, text("a"))).value == "a"

    own(test, tmp_path)
    assert "secret" in capfd.readouterr().err


def test_a_call_that_is_cancelled_ends_its_worker(tmp_path):
    async def test(channel, workers):
        pid = json.loads((await channel.unary(SAY, text("who"))).value)[4]
        assert (await failure(channel.unary(SAY, text("sleep:60"), timeout=0.05))).code is Code.DEADLINE_EXCEEDED
        assert json.loads((await channel.unary(SAY, text("who"))).value)[4] != pid
        await until(lambda: not Path(f"/proc/{pid}").exists())

    own(test, tmp_path, most_each=2)


def test_one_user_s_calls_wait_for_its_workers(tmp_path):
    async def test(channel, workers):
        pids = {
            json.loads(answer.value)[4]
            for answer in await asyncio.gather(*(channel.unary(SAY, text("who")) for _ in range(10)))
        }
        assert len(pids) <= 2
        assert workers._rooms == {}

    own(test, tmp_path, most_each=2)


def test_idle_workers_end(tmp_path):
    async def test(channel, workers):
        pid = json.loads((await channel.unary(SAY, text("who"))).value)[4]
        await until(lambda: not Path(f"/proc/{pid}").exists())
        assert workers._ready == {}

    own(test, tmp_path, idle=0.01)


def test_files_are_opened_by_the_worker_and_read_here(tmp_path):
    (tmp_path / "file").write_text("hello")

    async def test(channel, workers):
        assert (await channel.unary(SAY, text(f"open:{tmp_path}/file"))).value == "hello"
        for name, code in (
            ("no", Code.NOT_FOUND),
            ("file/x", Code.FAILED_PRECONDITION),
            ("a\0b", Code.FAILED_PRECONDITION),
        ):
            assert (await failure(channel.unary(SAY, text(f"open:{tmp_path}/{name}")))).code is code

    own(test, tmp_path)


def test_a_caller_without_a_user():
    async def test(url, service):
        async with Channel(url) as channel:
            error = await failure(channel.unary(SAY, text("who")))
            assert (error.code, error.message) == (
                Code.FAILED_PRECONDITION,
                "only a caller on a Unix socket has a user to act as",
            )

    acting(test, "tcp://127.0.0.1:0", own=True, root=True)


def test_functions_that_are_none():
    workers = CallerWorkers(own=True)

    def untyped(request): ...

    def numbers(request: int) -> int: ...

    for wrong in (untyped, numbers):
        with pytest.raises(ValueError, match="takes a message and returns one"):
            workers.function(wrong)


def ask(broker, descriptor, number=1, uid=0):
    send_descriptors(broker.sock, question(number), [descriptor])
    while (found := read_answer(*receive_descriptors(broker.sock, 4096), number, uid)) is None:
        pass
    return found


def test_the_broker_believes_the_kernel_alone(tmp_path):
    """A server that was taken over cannot name a user: what it passes must be a socket that somebody has connected."""
    broker = Broker(lambda sock: None, Terms(root=True), own=True)
    try:
        with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as lonely, open(os.devnull) as file:
            for wrong in (tcp, lonely):
                with pytest.raises(Refused, match="the kernel does not know"):
                    ask(broker, wrong.fileno())
            with pytest.raises(Refused, match=r"socket|descriptor"):
                ask(broker, file.fileno())
        for noise in (b"x", b"S", b"S" * 5, b"K\0\0\0\1", b"\0" * 4096):  # without a descriptor there is no answer
            broker.sock.send(noise)
        one, other = socket.socketpair()
        with one, other:
            pid, sock = ask(broker, one.fileno(), uid=os.geteuid())
            assert pid != os.getpid()
            sock.close()
            with pytest.raises(Refused):
                ask(broker, one.fileno(), uid=os.geteuid() + 1)
    finally:
        broker.close()


def test_a_broker_that_does_not_answer(tmp_path, monkeypatch):
    """The call ends; what the broker answers after all is no answer to the next one's question."""
    monkeypatch.setattr(callers, "_PATIENCE", 0.1)

    async def test(channel, workers):
        os.kill(workers._broker.pid, signal.SIGSTOP)
        error = await failure(channel.unary(SAY, text("who")))
        assert (error.code, error.message.rpartition(":")[2]) == (
            Code.UNAVAILABLE,
            " the broker has not answered within 0.1 s",
        )
        monkeypatch.setattr(callers, "_PATIENCE", 60.0)
        os.kill(workers._broker.pid, signal.SIGCONT)
        assert (await channel.unary(SAY, text("a"))).value == "a"

    own(test, tmp_path)


def test_a_broker_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(separation, "_ENDING", 0.05)
    broker = Broker(lambda sock: None, Terms(), own=True)
    os.kill(broker.pid, signal.SIGSTOP)
    broker.close()
    assert not Path(f"/proc/{broker.pid}").exists()


def test_a_library_that_starts_threads_in_every_fork():
    """The broker would fork beside them; grpcio then waits for threads whose descriptors the broker has let go of."""
    script = (
        "import grpc; from catenet.rpc.server.callers import CallerWorkers\n"
        "channel = grpc.insecure_channel('127.0.0.1:1')\n"
        "try: channel.unary_unary('/a/b')(b'', timeout=1)\n"
        "except grpc.RpcError: pass\n"
        "CallerWorkers(own=True).start()\n"
        "print('begun')"
    )

    def run(supported):
        return subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": supported},
        )

    assert "PrivilegeError: a library has started threads in the workers' broker" in run("1").stderr
    assert run("0").stdout == "begun\n"


@pytest.mark.root
def test_each_caller_s_worker_is_that_user():
    async def test(url, service):
        for uid in (4242, 4343):
            (shown,) = await call_as(uid, url, SAY, text("who"))
            user, group, groups, capable, _ = json.loads(shown)
            assert (user, group, groups) == ([uid] * 3, [uid] * 3, [uid, 9000])
            assert int(capable, 16) == 0
        assert await call_as(0, url, SAY, text("who")) == ["PERMISSION_DENIED"], "the caller is root"
        with tempfile.TemporaryDirectory() as name:
            os.chmod(name, 0o755)
            private = Path(name, "private")
            private.write_text("mine")
            os.chown(private, 4242, 4242)
            os.chmod(private, 0o600)
            for command in (f"open:{private}", f"read:{private}"):
                assert await call_as(4242, url, SAY, text(command)) == ["mine"]
                assert await call_as(4343, url, SAY, text(command)) == ["PERMISSION_DENIED"]

    acting(test, abstract())


@pytest.mark.root
def test_there_are_no_more_workers_than_may_be():
    async def test(url, service):
        slow = asyncio.ensure_future(call_as(4242, url, SAY, text("sleep:60")))
        await until(lambda: service.workers._rooms)
        await until(lambda: service.workers._asked == 1 and not service.workers._asking.locked())
        assert await call_as(4343, url, SAY, text("who")) == ["RESOURCE_EXHAUSTED"]
        children = Path(f"/proc/{service.workers._broker.pid}/task/{service.workers._broker.pid}/children")
        for child in children.read_text().split():
            os.kill(int(child), signal.SIGKILL)
        assert await slow == ["UNAVAILABLE"]
        assert len(await call_as(4343, url, SAY, text("who"))) == 1

    acting(test, abstract(), most=1)


@pytest.mark.root
def test_a_connected_socket_that_is_passed_on_keeps_its_connector_s_name():
    """One user connects and gives the socket to another: calls on it are the first one's, who lent its name."""

    async def test(url, service):
        def lend():
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect("\0" + url.partition("@")[2])
                pair = socket.socketpair()
                if not os.fork():
                    try:  # another process, which had to be given the socket
                        _, descriptors = receive_descriptors(pair[1], 1)
                        with socket.socket(fileno=descriptors[0]) as lent:
                            body = b'"who"'
                            lent.sendall(
                                b"POST /test.Echo/Say HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                                b"content-length: %d\r\n\r\n%s" % (len(body), body)
                            )
                            answer = b""
                            while b'"' not in answer.partition(b"\r\n\r\n")[2][1:]:
                                answer += lent.recv(4096)
                            pair[1].sendall(answer.partition(b"\r\n\r\n")[2])
                    finally:
                        os._exit(0)
                send_descriptors(pair[0], b"x", [sock.fileno()])
                return pair[0].recv(4096).decode()

        shown = json.loads(json.loads(await as_user(4242, lend)))
        assert shown[0] == [4242] * 3

    acting(test, abstract())


@pytest.mark.root
def test_without_root_there_is_a_clear_error():
    script = (
        "import os; from catenet.rpc.server.callers import CallerWorkers\n"
        "os.setgroups([]); os.setresgid(4242, 4242, 4242); os.setresuid(4242, 4242, 4242)\n"
        "CallerWorkers().start()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1].endswith("only root may run handlers as their callers; this is user 4242")
