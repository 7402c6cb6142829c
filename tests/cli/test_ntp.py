import asyncio
import json
import socket
import threading
import time
from datetime import datetime, timedelta

import pytest
from tests.ntp.conversation import answer_to

from catenet.cli import main
from catenet.ntp.clocks import SystemClock


class Server(asyncio.DatagramProtocol):
    def __init__(self, offset, changes):
        self.offset, self.changes = offset, changes

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        now = time.time() + self.offset
        self.transport.sendto(answer_to(data, now, now, **self.changes).build(), address)


@pytest.fixture(scope="module")
def start():
    """A function that starts a server on a loop of another thread and returns its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    transports = []

    def begin(offset=0.0, host="127.0.0.1", **changes):
        made = loop.create_datagram_endpoint(lambda: Server(offset, changes), (host, 0))
        transport, _ = asyncio.run_coroutine_threadsafe(made, loop).result()
        transports.append(transport)
        port = transport.get_extra_info("sockname")[1]
        return f"ntp://[{host}]:{port}" if ":" in host else f"{host}:{port}"

    yield begin
    for transport in transports:
        loop.call_soon_threadsafe(transport.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def silent():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{sock.getsockname()[1]}"


def test_json_names_each_server_and_what_most_agree_on(start, capsys):
    servers = [start(), start(host="::1"), start(100.0), start()]
    assert main(["ntp", "--json", "--timeout", "30s", *servers]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["address"] for one in found["servers"]] == servers
    assert [one["verdict"] for one in found["servers"]] == ["truechimer", "truechimer", "falseticker", "truechimer"]
    assert set(found["servers"][0]) == {
        "address", "resolved", "stratum", "offset", "delay", "jitter", "root_distance", "verdict", "nts",
    }  # fmt: skip
    assert [one["resolved"] for one in found["servers"]] == ["127.0.0.1", "::1", "127.0.0.1", "127.0.0.1"]
    assert found["servers"][0]["stratum"] == 2
    assert abs(found["offset"]) <= found["error_bound"]
    assert 99 < found["servers"][2]["offset"] < 101


def test_the_table_names_falsetickers(start, capsys):
    liar = start(100.0)
    assert main(["ntp", "--timeout", "30s", start(), start(), liar]) == 0
    out = capsys.readouterr().out
    assert f"falseticker: {liar}" in out
    assert "±" in out
    assert out.count("truechimer") == 2


def test_servers_that_do_not_agree_give_no_offset(start, capsys):
    assert main(["ntp", "--json", "--timeout", "30s", start(), start(100.0)]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["offset"], found["error_bound"]) == (None, None)
    assert err == "catenet: most servers do not agree\n"


def test_nobody_answers(silent, capsys):
    assert main(["ntp", "--json", "--timeout", "50ms", silent]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["servers"] == [
        {
            "address": silent, "resolved": None, "stratum": None, "offset": None, "delay": None, "jitter": None,
            "root_distance": None, "verdict": "unreachable", "nts": False,
        }
    ]  # fmt: skip
    assert err == "catenet: no server has answered\n"


def test_who_refuses_is_shown_with_the_code(start, capsys):
    assert main(["ntp", "--timeout", "30s", start(stratum=0, reference_id=b"DENY")]) == 1
    assert "unreachable (DENY)" in capsys.readouterr().out


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_a_family_is_asked_for(start, capsys, family):
    servers = [start(), start(host="::1")]
    assert main(["ntp", "--json", "--timeout", "30s", family, *servers]) == 0
    verdicts = [one["verdict"] for one in json.loads(capsys.readouterr().out)["servers"]]
    assert verdicts == ["truechimer", "unreachable"][:: 1 if family == "-4" else -1]


def test_set_without_permission_is_one_line(start, capsys, monkeypatch):
    def refuse(self, seconds):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(SystemClock, "step", refuse)
    assert main(["ntp", "--set", "--timeout", "30s", start()]) == 1
    assert capsys.readouterr().err == "catenet: --set: the clock was not set: that takes CAP_SYS_TIME\n"


@pytest.mark.parametrize("words", [["--set"], []])
def test_the_clock_is_set_only_when_asked(start, monkeypatch, words):
    steps = []
    monkeypatch.setattr(SystemClock, "step", lambda self, seconds: steps.append(seconds))
    assert main(["ntp", *words, "--timeout", "30s", start(5.0)]) == 0
    assert [round(one) for one in steps] == [5] * len(words)


def test_get_prints_the_time(start, capfd):
    address = start().removeprefix("ntp://")
    assert main(["get", f"ntp://{address}"]) == 0
    found = datetime.fromisoformat(capfd.readouterr().out.strip())
    assert found.utcoffset() == timedelta()
    assert abs(found.timestamp() - time.time()) < 60


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://a"], "no scheme 'http'"),
        (["a", "--samples", "9"], "--samples"),
        (["a", "--timeout", "0"], "--timeout: more than 0 s"),
        (["a", "--jsom"], "did you mean --json?"),
    ],
)
def test_wrong_usage(capsys, words, said):
    try:
        status = main(["ntp", *words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert said in capsys.readouterr().err
