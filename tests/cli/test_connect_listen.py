"""`catenet connect` and `catenet listen` side by side with ncat, socat and openssl."""

import base64
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
import trustme
from tests import commands
from tests.cli.relaying import CATENET, TIME, connect, free_port, is_listening, listening, serving_once, wait_for
from tests.peers import tool

from catenet.cli import main

pytestmark = pytest.mark.slow(20)


def run(words, data=b"", **options):
    return commands.run(words, input=data, capture_output=True, timeout=TIME, **options)


def client(who, url):
    """The command line of a client for a URL of ours."""
    scheme, _, rest = url.partition(":")
    rest = rest.removeprefix("//")
    host, _, port = rest.rpartition(":")
    if who == "catenet":
        return [*CATENET, "connect", url]
    if who == "ncat":
        words = {"tcp": [host, port], "udp": ["-u", host, port], "unix": ["-U", rest]}[scheme]
        return [tool("ncat"), *words]
    address = {"tcp": f"TCP:{rest}", "udp": f"UDP:{rest}", "unix": f"UNIX-CONNECT:{rest}"}[scheme]
    return [tool("socat"), "-t", "5", "-", address]


def ask(who, url, data, answer):
    """What a client gets whose input ends with the answer: of a datagram nobody knows how long to wait for one."""
    with commands.Popen(client(who, url), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdin.write(data)
        child.stdin.flush()
        got = child.stdout.read(len(answer))
        child.terminate()
    return got


def read_all(sock):
    data = b""
    while more := sock.recv(65536):
        data += more
    return data


THEIRS = [pytest.param(name, marks=pytest.mark.peer(name)) for name in ("ncat", "socat")]
CLIENTS = ["catenet", *THEIRS]


@pytest.mark.parametrize("who", CLIENTS)
@pytest.mark.parametrize("scheme", ["tcp", "unix"])
def test_a_client_that_has_said_all_still_hears_the_answer(who, scheme, tmp_path):
    """The server answers only after the end of the request, and some time later."""
    got = []

    def answer(sock):
        got.append(read_all(sock))
        time.sleep(0.2)
        sock.sendall(b"answer" * 20_000)

    where = (socket.AF_UNIX, str(tmp_path / "s")) if scheme == "unix" else (socket.AF_INET, ("127.0.0.1", 0))
    with serving_once(answer, *where) as address:
        url = f"unix:{address}" if scheme == "unix" else f"tcp://127.0.0.1:{address[1]}"
        done = run(client(who, url), b"question" * 20_000)
    assert got == [b"question" * 20_000]
    assert (done.stdout, done.returncode) == (b"answer" * 20_000, 0)


def test_a_server_that_has_said_all_still_hears_the_rest(tmp_path):
    got = []

    def serve(sock):
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        got.append(read_all(sock))

    with serving_once(serve) as address:
        process = commands.Popen(
            client("catenet", f"tcp://127.0.0.1:{address[1]}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout.read() == b"hello"  # the end of standard output is seen while we still send
        process.stdin.write(b"after the end")
        process.stdin.close()
        assert process.wait(TIME) == 0
    assert got == [b"after the end"]


@pytest.mark.parametrize("who", CLIENTS)
def test_udp(who):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(TIME)
        heard = []

        def serve():
            data, peer = server.recvfrom(65535)
            heard.append(data)
            server.sendto(b"pong", peer)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"udp://127.0.0.1:{server.getsockname()[1]}"
        got = run(client(who, url), b"ping").stdout if who == "catenet" else ask(who, url, b"ping", b"pong")
        thread.join()
    assert (heard, got) == ([b"ping"], b"pong")


def test_udp_that_nobody_hears_is_an_error():
    done = connect(f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}", data=b"ping")
    assert done.returncode == 1
    assert re.fullmatch(rb"catenet: udp://127\.0\.0\.1:\d+: Connection refused\n", done.stderr)


def test_a_stream_becomes_datagrams_of_a_size():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{server.getsockname()[1]}"
        done = connect(url, "--datagram", "1000", "--json", "--linger", "0.1", data=b"x" * 2500)
        server.setblocking(False)
        assert [len(server.recv(65535)) for _ in range(3)] == [1000, 1000, 500]
    assert json.loads(done.stdout)["to_right"] == 2500


def test_unix_datagrams_both_ways(tmp_path):
    path = str(tmp_path / "d")
    with listening("-k", f"unix-datagram:{path}", "--exec", "cat") as server:
        assert connect(f"unix-datagram:{path}", data=b"ping").stdout == b"ping"
        assert connect(f"unix-datagram:{path}", data=b"again").stdout == b"again"
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(TIME) == 0
    assert not os.path.exists(path)


@pytest.mark.parametrize("who", CLIENTS)
@pytest.mark.parametrize("scheme", ["tcp", "udp", "unix"])
def test_clients_of_a_server_that_runs_a_program(who, scheme, tmp_path):
    url = f"unix:{tmp_path}/s" if scheme == "unix" else f"{scheme}://127.0.0.1:0"
    with listening("-k", url, "--exec", "tr a-z A-Z") as server:
        for text in (b"one\n", b"two\n"):
            if scheme == "udp":
                # tr has its whole input only at the end, which datagrams have not
                break
            assert run(client(who, server.url), text).stdout == text.upper()
    if scheme == "udp":
        with listening("-k", url, "--exec", "cat") as server:
            assert ask(who, server.url, b"one", b"one") == b"one"
            assert ask(who, server.url, b"two", b"two") == b"two"


@pytest.mark.parametrize("who", THEIRS)
def test_their_servers(who, tmp_path):
    port = free_port()
    words = {
        "ncat": [tool("ncat"), "-l", "-k", "127.0.0.1", str(port), "--exec", "/bin/cat"],
        "socat": [tool("socat"), f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork", "EXEC:cat"],
    }[who]
    process = commands.Popen(words)
    try:
        wait_for(lambda: is_listening(port))
        data = os.urandom(30_000)
        ours = commands.Popen(
            client("catenet", f"tcp://127.0.0.1:{port}"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        ours.stdin.write(data)
        ours.stdin.flush()
        assert ours.stdout.read(len(data)) == data  # ncat's server ends its program at the end of the input
        ours.stdin.close()
        assert ours.wait(TIME) == 0
    finally:
        process.kill()
        process.wait()


# A server's programs.


def test_a_program_that_does_not_want_to_end_goes_at_the_second_interrupt(tmp_path):
    command = f"trap '' TERM INT; echo $$ > {tmp_path}/pid; exec <&- >&-; sleep 1000"
    with listening("-k", "tcp://127.0.0.1:0", "--shell", command) as it:
        with socket.create_connection(("127.0.0.1", it.port)) as client:
            wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"))
            client.shutdown(socket.SHUT_WR)
            assert client.recv(10) == b""
        it.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        it.process.send_signal(signal.SIGINT)
        it.finish()
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read() != b""  # a zombie has none
    except OSError:
        return False


def test_a_program_inherits_its_standard_streams_only():
    """Copies of them would keep its output open when it closes that."""
    with listening("tcp://127.0.0.1:0", "--exec", "ls /proc/self/fd") as it:
        with socket.create_connection(("127.0.0.1", it.port), timeout=TIME) as sock:
            assert read_all(sock).split() == [b"0", b"1", b"2", b"3"]  # 3 is the folder


def test_the_shell_and_what_it_is_told():
    with listening(
        "tcp://127.0.0.1:0", "--shell", 'echo "$CATENET_PEER" "$CATENET_URL"; read line; echo "<$line>"'
    ) as it:
        done = connect(it.url, data=b"hi\n")
        assert re.fullmatch(rb"tcp://127\.0\.0\.1:\d+ tcp://127\.0\.0\.1:\d+\n<hi>\n", done.stdout)
        assert it.finish()[2] == 0


def test_a_program_that_ends_ends_its_connection():
    with listening("tcp://127.0.0.1:0", "--exec", "echo done") as it:
        with socket.create_connection(("127.0.0.1", it.port)) as sock:
            assert read_all(sock) == b"done\n"
            assert it.finish()[2] == 0  # though we have not ended


def test_a_program_whose_peer_is_gone_is_ended(tmp_path):
    command = f"echo $$ > {tmp_path}/pid; exec sleep 1000"
    with listening("tcp://127.0.0.1:0", "--shell", command) as it:
        sock = socket.create_connection(("127.0.0.1", it.port))
        wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        assert it.finish()[2] == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


# Standard input and output.


def test_one_client_after_another_has_standard_output():
    with listening("-k", "tcp://127.0.0.1:0") as it:
        for text in (b"one\n", b"two\n"):
            with socket.create_connection(("127.0.0.1", it.port)) as sock:
                sock.sendall(text)
            assert it.process.stdout.readline() == text
        it.process.send_signal(signal.SIGINT)
        assert it.process.wait(TIME) == 0


def test_one_connection_without_keep():
    with listening("tcp://127.0.0.1:0") as it:
        with socket.create_connection(("127.0.0.1", it.port)) as sock:
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
            out, err, status = it.finish(b"answer")
            assert read_all(sock) == b"answer"
        assert (out, err, status) == (b"hello", b"", 0)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", it.port))


def test_who_reads_no_more_of_standard_output():
    def serve(sock):
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"line\n" * 1000)

    with serving_once(serve) as address:
        words = " ".join([*CATENET, "connect", f"tcp://127.0.0.1:{address[1]}", "</dev/null", "| head -1"])
        done = run(["bash", "-c", f"set -o pipefail; {words}"])
    assert (done.stdout, done.stderr, done.returncode) == (b"line\n", b"", 0)


def test_a_file_is_appended_to_as_by_a_shell(tmp_path):
    with serving_once(lambda sock: sock.sendall(b"two\n")) as address:
        words = " ".join([*CATENET, "connect", f"tcp://127.0.0.1:{address[1]}", "</dev/null"])
        run(["bash", "-c", f"(echo one; {words}; echo three) > {tmp_path}/out"])
    assert (tmp_path / "out").read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("closed", [">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(closed):
    got = []
    with serving_once(lambda sock: (got.append(read_all(sock)), sock.sendall(b"x"))) as address:
        words = " ".join([*CATENET, "connect", f"tcp://127.0.0.1:{address[1]}", closed])
        done = run(["bash", "-c", words], b"said")
    assert got == [b"" if "<&-" in closed else b"said"]
    if ">&-" in closed:  # an answer that nobody gets is a failure
        said = b"" if "2>&-" in closed else b"catenet: standard input and output: Bad file descriptor\n"
        assert (done.returncode, done.stderr, done.stdout) == (1, said, b"")
    else:
        assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"x")


def test_a_terminal_is_not_waited_for():
    with serving_once(lambda sock: sock.sendall(b"bye")) as address:
        ours, theirs = os.openpty()
        process = commands.Popen(
            client("catenet", f"tcp://127.0.0.1:{address[1]}"), stdin=theirs, stdout=subprocess.PIPE
        )
        assert process.stdout.read() == b"bye" and process.wait(TIME) == 0
        os.close(ours)
        os.close(theirs)


# TLS.


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    ca.issue_cert("client@example").private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    return folder


def test_tls_with_client_certificates_alpn_and_a_half_close(authority):
    server_words = ["--cert", authority / "server.pem", "--client-ca", authority / "ca.pem", "--alpn", "echo,other"]
    client_words = ["--ca", authority / "ca.pem", "--cert", authority / "client.pem", "--alpn", "echo"]
    with listening("-k", "tls://127.0.0.1:0", "--shell", "wc -c", *server_words) as it:
        done = connect(it.url, *client_words, "--json", "--output", "/dev/null", data=b"x" * 100_000)
        told = json.loads(done.stdout)
        assert told["tls"] == {"version": "TLSv1.3", "cipher": told["tls"]["cipher"], "alpn": "echo"} | {
            key: value for key, value in told["tls"].items() if key == "peer"
        }
        assert connect(it.url, *client_words, data=b"x" * 100_000).stdout == b"100000\n"
        refused = connect(it.url, "--ca", authority / "ca.pem", data=b"x")
        assert refused.returncode == 1 and refused.stderr.count(b"\n") == 1


@pytest.mark.peer("openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_as_client_and_as_server(authority, version):
    with listening("-k", "tls://127.0.0.1:0", "--cert", authority / "server.pem", "--exec", "cat") as it:
        words = [
            tool("openssl"),
            "s_client",
            "-quiet",
            "-verify_return_error",
            "-CAfile",
            authority / "ca.pem",
            version,
        ]
        process = commands.Popen(
            [*words, "-connect", f"127.0.0.1:{it.port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=-3
        )
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"hello\n"
        process.kill()
        process.communicate()
    port = free_port()
    words = [tool("openssl"), "s_server", "-quiet", "-rev", "-cert", authority / "server.pem", version]
    process = commands.Popen([*words, "-accept", f"127.0.0.1:{port}"], stdin=-3, stdout=-3, stderr=-3)
    try:
        wait_for(lambda: is_listening(port))
        with commands.Popen(
            [*CATENET, "connect", f"tls://127.0.0.1:{port}", "--ca", authority / "ca.pem", "--sni", "localhost"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as ours:
            ours.stdin.write(b"abc\n")
            ours.stdin.flush()
            assert ours.stdout.readline() == b"cba\n"
            ours.stdin.close()
    finally:
        process.kill()
        process.wait()


def test_a_certificate_that_is_not_trusted(authority):
    with listening("-k", "tls://127.0.0.1:0", "--cert", authority / "server.pem", "--exec", "cat") as it:
        done = connect(it.url, data=b"x")
        assert done.returncode == 1 and b"the server's certificate is not accepted" in done.stderr
        assert done.stderr.count(b"\n") == 1
        named = connect(it.url, "--ca", authority / "ca.pem", "--sni", "other.example", data=b"x")
        assert named.returncode == 1 and b"Hostname mismatch" in named.stderr
        for _ in range(3):  # whose descriptors those have had that failed
            done = connect(it.url, "--insecure", data=b"x")
            assert (done.stdout, done.stderr) == (b"x", b"")


def test_tls_in_front_of_a_server_that_has_none(authority, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with serving_once(lambda sock: sock.sendall(read_all(sock)[::-1])) as address:
        with listening("-k", "tls://127.0.0.1:0", f"tcp://127.0.0.1:{address[1]}", "--tls") as it:
            ca = tmp_path / "catenet" / "tls" / "authority.pem"
            assert connect(it.url, "--ca", ca, data=b"abc").stdout == b"cba"


# What is seen and kept.


def test_hex_view_json_and_record(tmp_path):
    with serving_once(lambda sock: sock.sendall(read_all(sock) + b"\x1b[31m")) as address:
        url = f"tcp://127.0.0.1:{address[1]}"
        done = connect(url, "--hex", "--json", "--record", tmp_path / "r", data=bytes(range(20)))
    moment = rb"\d\d:\d\d:\d\d\.\d{6}"
    assert re.fullmatch(
        rb"> " + moment + rb" 20 bytes\n"
        rb"00000000  00 01 02 03 04 05 06 07  08 09 0a 0b 0c 0d 0e 0f  \|\.{16}\|\n"
        rb"00000010  10 11 12 13                                       \|\.{4}\|\n"
        rb"> " + moment + rb" end\n< " + moment + rb" 25 bytes\n(.*\n){2}< " + moment + rb" end\n",
        done.stderr,
    )
    told = json.loads(done.stdout)
    assert {key: told[key] for key in ("kind", "urls", "to_right", "to_left", "reason", "failed")} == {
        "kind": "connect",
        "urls": [url],
        "to_right": 20,
        "to_left": 25,
        "reason": "both directions have ended",
        "failed": False,
    }
    first, *lines = map(json.loads, (tmp_path / "r").read_text().splitlines())
    assert (first["recording"], first["urls"]) == (1, [url])
    assert [(line["direction"], base64.b64decode(line["bytes"]) if "bytes" in line else None) for line in lines] == [
        (">", bytes(range(20))),
        (">", None),
        ("<", bytes(range(20)) + b"\x1b[31m"),
        ("<", None),
    ]
    assert all(line["connection"] == 1 for line in lines)
    times = [line["time"] for line in lines]
    assert times == sorted(times)


def make_recording(path, entries):
    lines = [{"recording": 1, "urls": ["tcp://x:1"], "began": "2026-01-01T00:00:00Z"}]
    for seconds, sign, data in entries:
        line = {"connection": 1, "time": seconds, "direction": sign}
        lines.append(line | ({"end": True} if data is None else {"bytes": base64.b64encode(data).decode()}))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


DIALOGUE = [
    (0, "<", b"220 hi\r\n"),
    (0.1, ">", b"QUIT\r\n"),
    (0.2, "<", b"221 bye\r\n"),
    (0.2, "<", None),
    (0.3, ">", None),
]


def test_a_recording_is_played_as_client_and_as_server(tmp_path):
    make_recording(tmp_path / "r", DIALOGUE)
    with listening("-k", "tcp://127.0.0.1:0", "--replay", tmp_path / "r") as it:
        done = connect(it.url, "--replay", tmp_path / "r", "--json")
        assert (json.loads(done.stdout)["failed"], done.returncode, done.stderr) == (False, 0, b"")
        with socket.create_connection(("127.0.0.1", it.port)) as sock:
            sock.settimeout(TIME)
            assert sock.recv(100) == b"220 hi\r\n"
            sock.sendall(b"HELP\r\n")
            sock.shutdown(socket.SHUT_WR)
            assert read_all(sock) == b"221 bye\r\n"
        assert it.process.stderr.readline() == (
            b"catenet: the peer says something else than the recording, from its byte 0 on\n"
        )


def test_a_recording_is_played_with_its_times(tmp_path):
    make_recording(tmp_path / "r", [(0, ">", b"a"), (0.4, ">", b"b"), (0.4, ">", None), (0.5, "<", None)])
    moments = []

    def serve(sock):
        while sock.recv(1):
            moments.append(time.monotonic())

    with serving_once(serve) as address:
        assert connect(f"tcp://127.0.0.1:{address[1]}", "--replay", tmp_path / "r", "--timed").returncode == 0
    assert moments[1] - moments[0] > 0.3


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "nothing was recorded"),
        ("{}\n", "no recording; catenet connect --record makes one"),
        ('{"recording": 1}\nx\n', ":2: no line of a recording"),
        ('{"recording": 1}\n{"connection": 1, "time": 0, "direction": ">"}\n', ":2: neither bytes nor end"),
        (
            '{"recording": 1}\n{"connection": 1, "time": 0, "direction": ">", "bytes": "?"}\n',
            ":2: bytes are not in base64",
        ),
        ('{"recording": 1}\n{"connection": [], "time": 0, "direction": "x"}\n', ":2: no line of a recording"),
        ("\udcff", "no recording"),
    ],
)
def test_recordings_that_are_none(tmp_path, capsys, text, complaint):
    (tmp_path / "r").write_bytes(text.encode(errors="surrogateescape"))
    assert main(["connect", "tcp://127.0.0.1:1", "--replay", str(tmp_path / "r")]) == 2
    assert complaint in capsys.readouterr().err


def test_newlines(tmp_path):
    with serving_once(lambda sock: sock.sendall(repr(read_all(sock)).encode() + b"\r\nx\r\n")) as address:
        done = connect(f"tcp://127.0.0.1:{address[1]}", "--crlf", data=b"GET / HTTP/1.0\n\n")
    assert done.stdout == rb"b'GET / HTTP/1.0\r\n\r\n'" + b"\nx\n"


# A relay between two, with faults.


def test_a_slow_link_in_front_of_a_server(tmp_path):
    with serving_once(lambda sock: sock.sendall(read_all(sock))) as address:
        with listening(
            "tcp://127.0.0.1:0",
            f"tcp://127.0.0.1:{address[1]}",
            *("--latency", "50ms±10ms", "--rate", "8Mbit", "--stall", "20kB:100ms", "--json"),
        ) as it:
            data = os.urandom(100_000)
            start = time.monotonic()
            assert connect(it.url, data=data).stdout == data
            assert time.monotonic() - start > 0.1 + 0.04 + 0.1  # the rate, one way at least, latency, the stall
            told = json.loads(it.finish()[0])
            assert (told["to_right"], told["to_left"], told["count"]) == (100_000, 100_000, 1)
            assert told["connections"][0]["right"] == f"tcp://127.0.0.1:{address[1]}"


@pytest.mark.parametrize(("word", "error"), [("--reset-after", True), ("--cut", False)])
def test_a_stream_that_ends_too_early(word, error):
    def serve(sock):
        with contextlib.suppress(OSError):
            sock.sendall(b"x" * 100_000)
            read_all(sock)

    with (
        serving_once(serve) as address,
        listening("tcp://127.0.0.1:0", f"tcp://127.0.0.1:{address[1]}", word, "30kB") as it,
    ):
        with socket.create_connection(("127.0.0.1", it.port)) as sock:
            if error:
                with pytest.raises(ConnectionResetError):
                    read_all(sock)
            else:
                assert read_all(sock) == b"x" * 30_000
        assert it.finish()[2] == 0


def test_two_clients_are_connected_by_a_relay_between_two_servers():
    with (
        listening("tcp://127.0.0.1:0", "--exec", "echo from one") as one,
        listening("tcp://127.0.0.1:0", stdin=subprocess.DEVNULL) as two,
    ):
        done = connect(one.url, two.url)
        assert (done.returncode, done.stderr) == (0, b"")
        assert two.finish()[0] == b"from one\n"


def test_udp_through_a_relay():
    with (
        listening("-k", "udp://127.0.0.1:0", "--exec", "cat") as echo,
        listening("-k", "udp://127.0.0.1:0", echo.url) as it,
    ):
        socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
        for number, sock in enumerate(socks):
            sock.settimeout(TIME)
            sock.sendto(b"%d" % number, ("127.0.0.1", it.port))
        for number, sock in enumerate(socks):
            assert sock.recvfrom(100) == (b"%d" % number, ("127.0.0.1", it.port))
            sock.close()
    # Between datagrams a large one stays one, and an empty one comes.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as behind:
        behind.bind(("127.0.0.1", 0))
        behind.settimeout(TIME)
        with listening("-k", "udp://127.0.0.1:0", f"udp://127.0.0.1:{behind.getsockname()[1]}") as it:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as front:
                for data in (b"x" * 20_000, b"", b"y"):
                    front.sendto(data, ("127.0.0.1", it.port))
                    assert behind.recv(65535) == data


def test_max_connections_lets_others_wait():
    with listening("-k", "tcp://127.0.0.1:0", "--exec", "cat", "--max-connections", "1") as it:
        first = socket.create_connection(("127.0.0.1", it.port))
        first.sendall(b"1")
        assert first.recv(1) == b"1"
        second = socket.create_connection(("127.0.0.1", it.port))
        second.sendall(b"2")
        second.settimeout(0.3)
        with pytest.raises(TimeoutError):
            second.recv(1)
        first.close()
        second.settimeout(TIME)
        assert second.recv(1) == b"2"
        second.close()


# What is set on sockets.


@pytest.mark.peer("ss")
def test_options_of_sockets_are_set():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        options = "--bind 127.0.0.2 --keepalive 30s --tos 0x10 --ttl 9 --rcvbuf 8192 --sndbuf 8192"
        process = commands.Popen([*CATENET, "connect", url, *options.split()], stdin=subprocess.PIPE)
        sock, peer = listener.accept()
        assert peer[0] == "127.0.0.2"
        shown = run([tool("ss"), "-tnmoi", "src", "127.0.0.2"]).stdout.decode()
        assert "timer:(keepalive" in shown and "rb16384" in shown and "tb16384" in shown
        process.stdin.close()
        sock.close()
        assert process.wait(TIME) == 0


# Mistakes.


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["connect"], "the following arguments are required: URL"),
        (["connect", "-"], "the first URL is where to connect"),
        (["connect", "tpc://x:1"], "no scheme 'tpc'; do you mean tcp?"),
        (["connect", "tcp://x"], "names no port"),
        (["connect", "mcast://10.0.0.1:5000"], "'10.0.0.1' is no multicast group; write mcast://239.1.2.3:5000"),
        (["connect", "tcp://x:1", "tcp://y:1", "-"], "-: a relay has two ends"),
        (["connect", "tcp://x:1", "tcp://y:1", "--exec", "cat"], "a second URL and --exec: there is one other end"),
        (["connect", "tcp://x:1", "--exec", "'"], "--exec ': No closing quotation"),
        (["connect", "tcp://x:1", "--exec", "cat", "-o", "f"], "--output and --exec"),
        (["connect", "tcp://x:1", "--timed"], "--timed goes with --replay"),
        (["connect", "tcp://x:1", "--latency", "5 parsecs"], "unknown unit of time 'parsecs'"),
        (["connect", "tcp://x:1", "--latency", "5ms±x"], "'x' is no duration"),
        (["connect", "tcp://x:1", "--rate", "fast"], "'fast' is no rate"),
        (["connect", "tcp://x:1", "--stall", "1MB"], "does not say for how long; write for example '1MB:5s'"),
        (
            ["connect", "tcp://x:1", "--cut", "soon"],
            "'soon' is neither bytes nor a time; write for example '1MB' or '10s'",
        ),
        (["connect", "tcp://x:1", "--tos", "256"], "256 is not from 0 to 255"),
        (["connect", "tcp://x:1", "--bind", "a b:x"], "--bind: "),
        (["connect", "tls://x:1", "--ca", "missing.pem"], "TLS: missing.pem: No such file or directory"),
        (["connect", "tls://x:1", "--alpn", "h2,"], "a protocol's name has 1 to 255 bytes"),
        (["connect", "tcp://x:1", "--record", "/no/such/dir/f"], "--record /no/such/dir/f: no such file or directory"),
        (["connect", "tcp://x:1", "-o", "/no/such/dir/f"], "--output /no/such/dir/f: no such file or directory"),
        (["connect", "tcp://x:1", "--replay", "missing"], "--replay missing: no such file or directory"),
        (["listen", "-"], "standard input cannot be listened on"),
        (["listen", "tcp://:0", "--tls"], "--tls: tcp: has no TLS; listen on tls://"),
        (
            ["connect", "host.example", "443"],
            "host.example 443: write it as one word, catenet connect tcp://host.example:443",
        ),
        (["connect", "::1", "80"], "catenet connect tcp://[::1]:80"),
        (["listen", "127.0.0.1", "80"], "write it as one word, catenet listen tcp://127.0.0.1:80"),
        (["listen", "tls://:0"], "needs --tls, or --cert (and --key)"),
        (["listen", "tcp://192.0.2.77:0"], "cannot bind to 192.0.2.77"),
        (["listen", "tcp://:0", "--max-connections", "0"], "at least 1"),
        (
            ["listen", "-k", "tcp://127.0.0.1:0", "--exec", "nosuchprog x"],
            "--exec nosuchprog x: no program 'nosuchprog' in",
        ),
        (["connect", "tcp://127.0.0.1:1", "--exec", "/no/such"], "--exec /no/such: no such file: /no/such"),
        (["listen", "tcp://127.0.0.1:0", "--exec", "/dev/null"], "/dev/null may not be executed"),
        (["listen", "tcp://127.0.0.1:0", "--exec", "/tmp"], "/tmp is a directory"),
        (["listen", "unix:/no/such/dir/s"], "cannot bind to /no/such/dir/s: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, complaint):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("catenet: ") and complaint in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["tcp://127.0.0.1:{port}"], "cannot connect to tcp://127.0.0.1:{port}: Connection refused"),
        (["tls://127.0.0.1:{port}"], "cannot connect to tls://127.0.0.1:{port}: Connection refused"),
        (["unix:/no/such"], "cannot connect to unix:/no/such: No such file or directory"),
        (["unix-datagram:/no/such"], "cannot connect to unix-datagram:/no/such: No such file or directory"),
        (["tcp://no-such-name.invalid:1"], "cannot connect to tcp://no-such-name.invalid:1: "),
        (["tcp://[::1]:{port}", "-4"], "::1 has no IPv4 address"),
        (["tcp://localhost:{port}", "--bind", "192.0.2.1"], "Cannot assign requested address"),
    ],
)
def test_what_cannot_be_reached_is_one_line_and_status_1(capsys, words, complaint):
    port = str(free_port())
    assert main(["connect", *(word.replace("{port}", port) for word in words)]) == 1
    err = capsys.readouterr().err
    assert complaint.replace("{port}", port) in err and err.count("\n") == 1


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
def test_all_addresses_are_called_that(scheme):
    words = [*CATENET, "listen", f"{scheme}://:0", "-k", "--exec", "true"]
    process = commands.Popen(words, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    process.terminate()
    process.communicate()
    port = line.rpartition(":")[2].strip()
    urls = line.removeprefix("serving relay on ").strip().split(", ")
    assert urls and set(urls) <= {f"{scheme}://0.0.0.0:{port}", f"{scheme}://[::]:{port}"}


def test_a_server_whose_second_url_does_not_answer():
    with listening("tcp://127.0.0.1:0", f"tcp://127.0.0.1:{free_port()}") as it:
        with socket.create_connection(("127.0.0.1", it.port)) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        out, err, status = it.finish()
        assert (out, status) == (b"", 1) and b"Connection refused" in err


# Much data.


def memory_of(pid):
    """The largest resident size that a process has had, in bytes."""
    status = open(f"/proc/{pid}/status").read()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10


@pytest.mark.parametrize("options", [[], ["--latency", "5ms"]])
def test_much_data_in_flat_memory(options):
    """128 MB, or a gigabyte with CATENET_LONG, come whole; the relay is not larger for it."""
    size = (1024 if "CATENET_LONG" in os.environ else 128) << (20 - 2 * bool(options))
    piece = os.urandom(1 << 20)
    expected = memoryview(piece * 2)
    counts = []

    def sink(sock):
        count, same, buffer = 0, True, bytearray(1 << 20)
        while got := sock.recv_into(buffer):
            at = count % len(piece)
            same = same and memoryview(buffer)[:got] == expected[at : at + got]
            count += got
        counts.append((count, same))

    with (
        serving_once(sink) as address,
        listening("tcp://127.0.0.1:0", f"tcp://127.0.0.1:{address[1]}", *options, real=True) as it,
    ):
        with socket.create_connection(("127.0.0.1", it.port)) as sock:
            for _ in range(size >> 20):
                sock.sendall(piece)
            memory = memory_of(it.process.pid)
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        assert it.finish()[2] == 0
    assert counts == [(size, True)]
    assert memory < 80 << 20


@pytest.mark.parametrize("options", [[], ["--latency", "5ms"]])
def test_who_does_not_read_stops_who_sends(options):
    release = threading.Event()
    with (
        serving_once(lambda sock: release.wait(TIME)) as address,
        listening("tcp://127.0.0.1:0", f"tcp://127.0.0.1:{address[1]}", *options, real=True) as it,
    ):
        with socket.create_connection(("127.0.0.1", it.port)) as sock:
            sock.settimeout(0.5)
            sent = 0
            with pytest.raises(TimeoutError):
                while sent < 256 << 20:
                    sent += sock.send(bytes(1 << 20))
            assert sent < 64 << 20 and memory_of(it.process.pid) < 80 << 20
        release.set()
