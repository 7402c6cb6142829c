"""The container daemon: callers touch their own containers alone, whatever they try."""

import array
import asyncio
import contextlib
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tests import commands
from tests.rpc.policy.acting import abstract, as_user

from catenet.rpc import Channel, Code, RpcError, SyncChannel
from catenet.rpc.compile import compile_protos

EXAMPLE = Path(__file__).parents[2] / "examples" / "containers"


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """Messages and methods of the daemon."""
    folder = tmp_path_factory.mktemp("containers")
    compile_protos([EXAMPLE / "containers.proto"], out=folder)
    sys.path.insert(0, str(folder))
    messages, rpc = importlib.import_module("containers_pb2"), importlib.import_module("containers_rpc")
    sys.path.remove(str(folder))
    messages.methods = {method.name: method for method in rpc.CONTAINERS.methods}
    return messages


@contextlib.contextmanager
def daemon(url, folder):
    command = [
        *(sys.executable, "-m", "catenet", "rpc", "serve", EXAMPLE / "containers.proto", "daemon:Containers"),
        *("--listen", url, "--policy", EXAMPLE / "policy.toml", "--audit", folder / "audit.jsonl"),
    ]
    process = commands.Popen(list(map(str, command)), cwd=EXAMPLE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr.readline() == f"serving rpc on {url}\n"
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0, told


def run(url, tmp_path, test):
    with daemon(url, tmp_path):
        asyncio.run(test())
    return [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]


async def outcome(call):
    try:
        return await call
    except RpcError as error:
        return error.code


@pytest.mark.slow(5)
def test_a_caller_and_its_containers(api, tmp_path):
    async def test():
        async with Channel(url) as channel:

            def call(name, request):
                return channel.unary(api.methods[name], request)

            created = await call("Create", api.CreateRequest(name="one", command=["echo", "hello"]))
            assert created.name == "one"
            lines = [
                line.text async for line in channel.server_stream(api.methods["Logs"], api.ContainerName(name="one"))
            ]
            assert lines == ["hello"]
            await call("Create", api.CreateRequest(name="two", command=["sleep", "1000"]))
            assert await outcome(call("Remove", api.ContainerName(name="two"))) is Code.FAILED_PRECONDITION
            assert (await call("Stop", api.ContainerName(name="two"))).status == -signal.SIGKILL
            assert [one.name for one in (await call("List", api.ListRequest())).containers] == ["one", "two"]
            await call("Remove", api.ContainerName(name="two"))
            assert await outcome(call("Stop", api.ContainerName(name="two"))) is Code.PERMISSION_DENIED
            assert await outcome(call("Create", api.CreateRequest(name="one", command=["x"]))) is Code.ALREADY_EXISTS
            for wrong in ({"name": "../one", "command": ["x"]}, {"name": "three"}):
                assert await outcome(call("Create", api.CreateRequest(**wrong))) is Code.INVALID_ARGUMENT
            assert (
                await outcome(call("Create", api.CreateRequest(name="no", command=["/no/such"])))
                is Code.FAILED_PRECONDITION
            )
            await call("Create", api.CreateRequest(name="no", command=["true"]))

    url = f"unix:{tmp_path}/c.sock"
    records = run(url, tmp_path, test)
    removals = [one["objects"]["name"] for one in records if one["method"].endswith("Remove") and "objects" in one]
    assert removals == [[["two", f"uid:{os.geteuid()}"]]] * 2


def calls(api, url, *wanted, metadata=()):
    """What becomes of calls on one connection: names of codes, or messages as text."""
    found = []
    with SyncChannel(url) as channel:
        for name, request in wanted:
            try:
                found.append(str(channel.unary(api.methods[name], request, timeout=20, metadata=metadata)).strip())
            except RpcError as error:
                found.append(f"{error.code.name}: {error.message}")
    return found


@pytest.mark.root
def test_others_containers(api, tmp_path):
    url = abstract()
    mine = api.ContainerName(name="mine")
    every = [(name, mine) for name in ("Stop", "Remove")]

    async def test():
        create = ("Create", api.CreateRequest(name="mine", command=["sh", "-c", "id -u; id -g; exec sleep 1000"]))
        assert "mine" in (await as_user(4242, lambda: calls(api, url, create)))[0]
        missing = [(name, api.ContainerName(name="no-such")) for name in ("Stop", "Remove")]
        denied = ["PERMISSION_DENIED: the caller may not do this"] * 2
        for other in (4343, 0):
            assert await as_user(other, lambda: calls(api, url, *every)) == denied
            assert await as_user(other, lambda: calls(api, url, *missing)) == denied, "whether it exists is not told"
            assert await as_user(other, lambda: calls(api, url, ("List", api.ListRequest()))) == [""]
        assert await as_user(65534, lambda: calls(api, url, ("List", api.ListRequest()))) == denied[:1]
        # Whatever a caller says of itself in metadata is no identity.
        claims = [("x-uid", "4242"), ("x-forwarded-user", "uid:4242"), ("authorization", "Bearer uid:4242")]
        assert await as_user(4343, lambda: calls(api, url, *every, metadata=claims)) == denied
        assert "running" not in (await as_user(4242, lambda: calls(api, url, *every)))[0]

    records = run(url, tmp_path, test)
    refused = [one for one in records if one["event"] == "decision" and not one["allowed"]]
    assert {one["caller"]["name"] for one in refused} == {"uid:4343", "uid:0", "uid:65534"}


@pytest.mark.root
def test_the_container_s_program_is_its_creator_s(api, tmp_path):
    url = abstract()

    def create_and_read():
        calls(api, url, ("Create", api.CreateRequest(name="ids", command=["sh", "-c", "id -u; id -g"])))
        with SyncChannel(url) as channel:
            return [line.text for line in channel.server_stream(api.methods["Logs"], api.ContainerName(name="ids"))]

    async def test():
        assert await as_user(4242, create_and_read) == ["4242", "4242"]

    run(url, tmp_path, test)


STOP = b'{"name":"mine"}'


def stop_on(sock):
    """Ask to stop the container on a connection that there is."""
    sock.sendall(
        b"POST /containers.v1.Containers/Stop HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n%s" % (len(STOP), STOP)
    )
    answer = b""
    while b"}" not in answer:
        more = sock.recv(4096)
        if not more:
            break
        answer += more
    return answer.split(b" ")[1].decode()


@pytest.mark.root
def test_attacks_on_the_socket(api, tmp_path):
    url = abstract()
    address = "\0" + url.partition("@")[2]

    def forged_credentials():
        """SCM_CREDENTIALS with another user: the kernel refuses to send them (unix(7))."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            told = struct.pack("iII", os.getpid(), 4242, 4242)
            try:
                sock.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, told)])
            except PermissionError:
                return "refused"
        return "sent"

    def own_credentials_and_a_call():
        """Credentials that are true, beside a call for another user's container: nobody reads them."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            told = struct.pack("iII", os.getpid(), os.getuid(), os.getgid())
            sock.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, told)])
            return stop_on(sock)

    def lend():
        """The owner connects and passes the socket to a process of another user, which calls on it."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            return stop_on_in_child(sock)

    def stop_on_in_child(sock):
        pair = socket.socketpair()
        if not os.fork():
            try:
                _, control, _, _ = pair[1].recvmsg(1, 64)
                (descriptor,) = array.array("i", control[0][2][:4])
                with socket.socket(fileno=descriptor) as lent:
                    pair[1].send(stop_on(lent).encode())
            finally:
                os._exit(0)
        pair[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))])
        return pair[0].recv(64).decode()

    def connect_then_change():
        """A process of root connects, then becomes the owner: on that connection it stays root."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(address)
            os.setgroups([])
            os.setresgid(4242, 4242, 4242)
            os.setresuid(4242, 4242, 4242)
            return stop_on(sock)

    def leave_to_a_child():
        """The owner connects and ends; its child has the connection. The number of the process may be anybody's now."""
        pair = os.pipe()
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
        if not os.fork():
            try:
                parent = os.getppid()
                os.close(pair[1])
                os.read(pair[0], 1)  # until the parent has ended
                answer = stop_on(sock)
                (Path("/tmp") / f"catenet-{parent}").write_text(answer)
            finally:
                os._exit(0)
        return os.getpid()

    async def test():
        create = ("Create", api.CreateRequest(name="mine", command=["sleep", "1000"]))
        await as_user(4242, lambda: calls(api, url, create))
        assert await as_user(4343, forged_credentials) == "refused"
        assert await as_user(4343, own_credentials_and_a_call) == "403"
        assert await as_user(0, connect_then_change) == "403"
        assert await as_user(4242, lend) == "200", "who passes a connection on lends its name"
        pid = await as_user(4242, leave_to_a_child)
        left = Path("/tmp") / f"catenet-{pid}"
        while not (left.exists() and left.read_text()):
            await asyncio.sleep(0.01)
        assert left.read_text() == "200", "the user that connected, not whoever has its process's number"
        left.unlink()

    run(url, tmp_path, test)
